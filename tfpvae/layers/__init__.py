"""Distribution layers: drop-in `tfp.layers` whose KL counts once and whose models can be saved.

On the plain stack `DistributionLambda.call` returns (distribution, value) and Keras regularizes
each of the two outputs, so the KL enters the loss twice; and the layer's config is a pickled
function. Here the layer itself adds the KL, once, and its config is its arguments.
"""

from tfpvae.layers.densities import BetaLikelihood, NormalLikelihood
from tfpvae.layers.discretized import DiscretizedLogisticLikelihood, LogisticMixtureLikelihood
from tfpvae.layers.flows import InverseAutoregressiveFlow
from tfpvae.layers.labels import OneHot
from tfpvae.layers.likelihoods import IndependentBernoulli, IndependentContinuousBernoulli
from tfpvae.layers.posteriors import (
    Deterministic,
    IndependentNormal,
    MultivariateNormalLowRank,
    MultivariateNormalTriL,
    Posterior,
)
from tfpvae.regularizers import KLDivergenceRegularizer

__all__ = [
    "BetaLikelihood",
    "Deterministic",
    "DiscretizedLogisticLikelihood",
    "IndependentBernoulli",
    "IndependentContinuousBernoulli",
    "IndependentNormal",
    "InverseAutoregressiveFlow",
    "KLDivergenceRegularizer",
    "LogisticMixtureLikelihood",
    "MultivariateNormalLowRank",
    "MultivariateNormalTriL",
    "NormalLikelihood",
    "OneHot",
    "Posterior",
]
