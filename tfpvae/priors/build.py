"""Priors by name, and the checks of one that is given."""

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.priors.flow import Flow
from tfpvae.priors.gaussians import mixture, normal, standard_normal
from tfpvae.priors.vampprior import VampPrior
from tfpvae.saving import serialization

tfd = tfp.distributions


def build_prior(
    kind: str | tfd.Distribution = "standard_normal", *, latent_dim: int, **options: Any
) -> tfd.Distribution:
    """Returns a prior p(z) over latents of `latent_dim`.

    Args:
      kind: a name, or any `tfd.Distribution` of event shape [latent_dim] and batch shape [], which
        is checked and returned. All but the first are learned with the model:
        "standard_normal": N(0, I).
        "normal": N(loc, diag(scale^2)).
        "mixture": a mixture of such normals.
        "flow": a standard normal bent by learned bijectors; see `tfpvae.priors.Flow`.
        "vampprior": the mixture of the posteriors of learned images; see
        `tfpvae.priors.VampPrior`. Give it to `build_vae` or to `VAE`: `build_encoder` cannot hold a
        prior that is made of its own encoder.
      latent_dim: D, at least 1.
      **options: of that kind of prior.
        "mixture": num_components (10), seed (0) of the start means.
        "flow": flow ("maf", or "realnvp"), num_layers (4), hidden_units ((64, 64)), seed (0).
        "vampprior": image_shape, num_components (50), start_images (None), seed (0).

    Returns:
      A `tfd.Distribution`, batch shape [], event shape [latent_dim].

    Raises:
      ValueError: for an unknown name, an option out of range, a distribution of another shape or
        dtype, or one that cannot be saved.
      TypeError: for something that is neither a name nor a distribution, or an unknown option.

    >>> float(build_prior(latent_dim=2).log_prob([0.0, 0.0]))  # -log(2 pi)
    -1.8378770351409912
    """
    latent_dim = _checks.whole_number("latent_dim", latent_dim)
    if isinstance(kind, tfd.Distribution):
        if options:
            raise TypeError(f"options: wanted none with a distribution, got {sorted(options)}.")
        return _checked(kind, latent_dim)
    if not isinstance(kind, str):
        raise TypeError(f"prior: wanted a name or a tfd.Distribution, got {kind!r}.")
    _checks.one_of("prior", kind, PRIORS)
    _check_options(kind, options)
    return PRIORS[kind](latent_dim, **options)


PRIORS: dict[str, Callable[..., tfd.Distribution]] = {
    "flow": Flow,
    "mixture": mixture,
    "normal": normal,
    "standard_normal": standard_normal,
    "vampprior": VampPrior,
}


def _check_options(kind: str, options: dict[str, Any]) -> None:
    maker = PRIORS[kind]
    # The constructor of a class, since the class itself is called through its metaclass.
    parameters = inspect.signature(vars(maker).get("__init__", maker)).parameters
    names = {
        k: v for k, v in parameters.items() if k not in ("self", "latent_dim", "dtype", "name")
    }
    unknown = sorted(options.keys() - names.keys())
    if unknown:
        expected = f"some of {', '.join(names)}" if names else "none"
        raise TypeError(f"options: wanted {expected} for {kind!r}, got {', '.join(unknown)}.")
    for name, parameter in names.items():
        if parameter.default is parameter.empty and name not in options:
            raise TypeError(f"{name}: wanted one for {kind!r}, got none.")


def _checked(prior: tfd.Distribution, latent_dim: int) -> tfd.Distribution:
    shapes = f"event shape {prior.event_shape} and batch shape {prior.batch_shape}"
    if prior.batch_shape != []:
        raise ValueError(
            f"prior: wanted one distribution over vectors of {latent_dim}, got {shapes}: a batch "
            "of them. tfd.Independent(prior, 1) makes its last batch axis part of the event."
        )
    if prior.event_shape != [latent_dim]:
        raise ValueError(f"prior: wanted event shape [{latent_dim}] (latent_dim), got {shapes}.")
    if prior.dtype != tf_keras.backend.floatx():
        raise ValueError(
            f"prior: wanted dtype {tf_keras.backend.floatx()}, as the layers, got {prior.dtype}."
        )
    serialization.to_config(prior, "prior")
    return prior
