"""KL terms from the arguments of the builders."""

from collections.abc import Callable
from typing import Any

from tfpvae import _checks, layers
from tfpvae.priors import Ladder, VampPrior, build_prior
from tfpvae.schedules import is_schedule


def build_kl_term(
    prior: Any,
    head: layers.Posterior,
    kl_weight: float | Callable = 1.0,
    use_exact_kl: bool | None = None,
    kl_samples: int = 1,
) -> layers.KLDivergenceRegularizer:
    """Builds the KL term of a posterior layer against a prior; see `build_encoder`."""
    check_kl_options(kl_weight, use_exact_kl, kl_samples)
    is_joint = isinstance(prior, Ladder) and isinstance(head, layers.Ladder)
    size = prior.event_shape[0] if is_joint else head.prior_size
    return layers.KLDivergenceRegularizer(
        head.joint_prior(build_prior(prior, latent_dim=size)),
        use_exact_kl=use_exact_kl,
        weight=kl_weight,
        num_samples=kl_samples,
    )


def build_vampprior_term(
    prior: Any,
    image_shape: Any,
    head: layers.Posterior,
    start_images: Any = None,
    **kl_options: Any,
) -> layers.KLDivergenceRegularizer:
    """Builds the KL term against a VampPrior, which the VAE holds; see `build_vae`."""
    if isinstance(prior, str):
        prior = build_prior(
            prior,
            latent_dim=head.prior_size,
            image_shape=image_shape,
            start_images=start_images,
        )
    return build_kl_term(prior, head, **kl_options)


def is_vampprior(prior: Any) -> bool:
    """Returns whether a prior is made of the encoder, so that only a VAE can hold it."""
    prior = prior.top if isinstance(prior, Ladder) else prior
    return isinstance(prior, VampPrior) or (isinstance(prior, str) and prior == "vampprior")


def check_kl_options(kl_weight: Any, use_exact_kl: Any, kl_samples: Any) -> None:
    """Checks the options of a KL term, also where there will be none.

    Raises:
      ValueError, TypeError: naming the option.
    """
    if not is_schedule(kl_weight):
        _checks.not_keras_3("kl_weight", kl_weight)
        _checks.finite_number("kl_weight", kl_weight, minimum=0)
    _checks.flag("use_exact_kl", use_exact_kl, or_none=True)
    _checks.whole_number("kl_samples", kl_samples)


def check_no_prior(prior: Any) -> None:
    """Checks that no prior was asked for beside a deterministic posterior.

    Raises:
      ValueError: for any prior but the default.
    """
    if not (prior is None or (isinstance(prior, str) and prior == "standard_normal")):
        raise ValueError(
            "prior: wanted none with posterior='deterministic', which has no density and so no KL, "
            f"got {prior!r}."
        )
