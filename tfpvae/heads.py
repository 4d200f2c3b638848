"""The last layers by name or as given, and the KL term that one of them holds."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tfpvae import _checks, layers
from tfpvae.layers.likelihoods import LikelihoodLayer
from tfpvae.priors import VampPrior, build_prior
from tfpvae.schedules import is_schedule

POSTERIORS: dict[str, Any] = {
    "deterministic": layers.Deterministic,
    "iaf": layers.InverseAutoregressiveFlow,
    "independent_normal": layers.IndependentNormal,
    "low_rank": layers.MultivariateNormalLowRank,
    "multivariate_normal_tril": layers.MultivariateNormalTriL,
}
LIKELIHOODS: dict[str, Any] = {
    "bernoulli": layers.IndependentBernoulli,
    "beta": layers.BetaLikelihood,
    "continuous_bernoulli": layers.IndependentContinuousBernoulli,
    "discretized_logistic": layers.DiscretizedLogisticLikelihood,
    "mixture_of_logistics": layers.LogisticMixtureLikelihood,
    "normal": layers.NormalLikelihood,
    "normal_per_pixel": partial(layers.NormalLikelihood, scale="per_pixel"),
}


def posterior_layer(
    posterior: str | layers.Posterior, latent_dim: int, scale_floor: float
) -> layers.Posterior:
    """Returns the layer that ends an encoder, without a KL term unless it came with one."""
    if isinstance(posterior, str):
        _checks.one_of("posterior", posterior, POSTERIORS)
        is_point = posterior == "deterministic"
        if posterior == "iaf":  # whose own message would speak of its event_size
            _checks.whole_number("latent_dim", latent_dim, minimum=2)
        options: dict[str, Any] = {} if is_point else {"scale_floor": scale_floor}
        return POSTERIORS[posterior](latent_dim, name="posterior", **options)
    if not isinstance(posterior, layers.Posterior):
        raise TypeError(
            f"posterior: wanted a name or a posterior layer of tfpvae.layers, got {posterior!r}."
        )
    if posterior.output_shape[1:] != (latent_dim,):
        raise ValueError(
            f"posterior: wanted a layer of event shape ({latent_dim},) (latent_dim), got "
            f"{posterior.output_shape[1:]}."
        )
    return posterior


def likelihood_layer(
    likelihood: str | LikelihoodLayer, image_shape: tuple[int, int, int]
) -> LikelihoodLayer:
    """Returns the layer that ends a decoder."""
    if isinstance(likelihood, str):
        _checks.one_of("likelihood", likelihood, LIKELIHOODS)
        # As a tensor a likelihood is its mean; a draw would draw every pixel at each step.
        return LIKELIHOODS[likelihood](image_shape, "mean", name="likelihood")
    if not isinstance(likelihood, LikelihoodLayer):
        raise TypeError(
            f"likelihood: wanted a name or a likelihood layer of tfpvae.layers, got {likelihood!r}."
        )
    if likelihood.event_shape != image_shape:
        raise ValueError(
            f"likelihood: wanted a layer of event shape {image_shape} (image_shape), got one of "
            f"{likelihood.event_shape}."
        )
    return likelihood


def is_made_of_the_encoder(prior: Any) -> bool:
    """Returns whether a prior is one that only the VAE can hold."""
    return isinstance(prior, VampPrior) or (isinstance(prior, str) and prior == "vampprior")


def kl_term(
    prior: Any,
    latent_dim: int,
    kl_weight: float | Callable = 1.0,
    use_exact_kl: bool | None = None,
    kl_samples: int = 1,
) -> layers.KLDivergenceRegularizer:
    """Returns the KL term against a prior by name or as given."""
    check_kl_options(kl_weight, use_exact_kl, kl_samples)
    return layers.KLDivergenceRegularizer(
        build_prior(prior, latent_dim=latent_dim),
        use_exact_kl=use_exact_kl,
        weight=kl_weight,
        num_samples=kl_samples,
    )


def check_kl_options(kl_weight: Any, use_exact_kl: Any, kl_samples: Any) -> None:
    """Raises unless these are what a KL term can have, also where there will be none."""
    if not is_schedule(kl_weight):
        _checks.not_keras_3("kl_weight", kl_weight)
        _checks.finite_number("kl_weight", kl_weight, minimum=0)
    _checks.flag("use_exact_kl", use_exact_kl, or_none=True)
    _checks.whole_number("kl_samples", kl_samples)


def vampprior_term(
    prior: Any, image_shape: Any, latent_dim: Any, start_images: Any = None, **options: Any
) -> layers.KLDivergenceRegularizer:
    """Returns the KL term that the VAE holds, of an encoder's arguments."""
    if isinstance(prior, str):
        given = {"image_shape": image_shape, "start_images": start_images}
        prior = build_prior(prior, latent_dim=latent_dim, **given)
    names = ("kl_weight", "use_exact_kl", "kl_samples")
    return kl_term(prior, latent_dim, **{name: options[name] for name in names if name in options})


def no_prior(prior: Any) -> None:
    """Raises for a prior that somebody asked for, where there is no posterior to hold against."""
    if not (prior is None or (isinstance(prior, str) and prior == "standard_normal")):
        raise ValueError(
            "prior: wanted none with posterior='deterministic', which has no density and so no KL, "
            f"got {prior!r}."
        )
