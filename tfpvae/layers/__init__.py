"""Distribution layers: drop-in `tfp.layers` whose KL counts once and whose models can be saved.

On the plain stack `DistributionLambda.call` returns (distribution, value) and Keras regularizes
each of the two outputs, so the KL enters the loss twice; and the layer's config is a pickled
function. Here the layer itself adds the KL, once, and its config is its arguments.
"""

from tfpvae.layers.distribution_lambda import DistributionLambda
from tfpvae.layers.kl_add_loss import KLDivergenceAddLoss
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.layers.likelihoods.bernoulli import IndependentBernoulli
from tfpvae.layers.likelihoods.beta import BetaLikelihood
from tfpvae.layers.likelihoods.categorical import CategoricalLikelihood
from tfpvae.layers.likelihoods.continuous_bernoulli import IndependentContinuousBernoulli
from tfpvae.layers.likelihoods.counts import NegativeBinomialLikelihood, PoissonLikelihood
from tfpvae.layers.likelihoods.coupled_logistic_mixture import CoupledLogisticMixtureLikelihood
from tfpvae.layers.likelihoods.independent_poisson import IndependentPoisson
from tfpvae.layers.likelihoods.location_scale import LogisticLikelihood, StudentTLikelihood
from tfpvae.layers.likelihoods.logistics import (
    DiscretizedLogisticLikelihood,
    LogisticMixtureLikelihood,
)
from tfpvae.layers.likelihoods.mixture_logistic import MixtureLogistic
from tfpvae.layers.likelihoods.mixture_normal import MixtureNormal
from tfpvae.layers.likelihoods.mixture_of_one_hot_categoricals import (
    CategoricalMixtureOfOneHotCategorical,
)
from tfpvae.layers.likelihoods.mixture_same_family import MixtureSameFamily
from tfpvae.layers.likelihoods.normal import NormalLikelihood
from tfpvae.layers.likelihoods.one_hot_categorical import OneHotCategorical
from tfpvae.layers.one_hot import OneHot
from tfpvae.layers.posteriors.base import Posterior
from tfpvae.layers.posteriors.deterministic import Deterministic
from tfpvae.layers.posteriors.independent_logistic import IndependentLogistic
from tfpvae.layers.posteriors.independent_normal import IndependentNormal
from tfpvae.layers.posteriors.inverse_autoregressive_flow import InverseAutoregressiveFlow
from tfpvae.layers.posteriors.ladder import Ladder
from tfpvae.layers.posteriors.multivariate_normal_low_rank import MultivariateNormalLowRank
from tfpvae.layers.posteriors.multivariate_normal_tril import MultivariateNormalTriL
from tfpvae.layers.variable_layer import VariableLayer
from tfpvae.networks.ladder import DensePath

__all__ = [
    "BetaLikelihood",
    "CategoricalLikelihood",
    "CategoricalMixtureOfOneHotCategorical",
    "CoupledLogisticMixtureLikelihood",
    "DensePath",
    "Deterministic",
    "DiscretizedLogisticLikelihood",
    "DistributionLambda",
    "IndependentBernoulli",
    "IndependentContinuousBernoulli",
    "IndependentLogistic",
    "IndependentNormal",
    "IndependentPoisson",
    "InverseAutoregressiveFlow",
    "KLDivergenceAddLoss",
    "KLDivergenceRegularizer",
    "Ladder",
    "LogisticLikelihood",
    "LogisticMixtureLikelihood",
    "MixtureLogistic",
    "MixtureNormal",
    "MixtureSameFamily",
    "MultivariateNormalLowRank",
    "MultivariateNormalTriL",
    "NegativeBinomialLikelihood",
    "NormalLikelihood",
    "OneHot",
    "OneHotCategorical",
    "PoissonLikelihood",
    "Posterior",
    "StudentTLikelihood",
    "VariableLayer",
]
