"""p(z): the distributions that latents are drawn from.

Every prior is a `tfd.Distribution` of batch shape [] and event shape [latent_dim]. Its variables
train with the model that holds it.
"""

from tfpvae.priors.build import PRIORS, build_prior
from tfpvae.priors.flow import Flow
from tfpvae.priors.ladder import Ladder
from tfpvae.priors.vampprior import VampPrior

__all__ = ["PRIORS", "Flow", "Ladder", "VampPrior", "build_prior"]
