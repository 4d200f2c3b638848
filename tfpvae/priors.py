"""p(z): the distributions that latents are drawn from."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks, serialization

tfd = tfp.distributions


def build_prior(
    kind: str | tfd.Distribution = "standard_normal", *, latent_dim: int, **options: Any
) -> tfd.Distribution:
    """Returns a prior p(z) over latents of `latent_dim`.

    Args:
      kind: "standard_normal", N(0, I); or any `tfd.Distribution` of event shape [latent_dim] and
        batch shape [], which is checked and returned.
      latent_dim: D, at least 1.
      **options: of that kind of prior; "standard_normal" has none.

    Returns:
      A `tfd.Distribution`, batch shape [], event shape [latent_dim].

    Raises:
      ValueError: for an unknown name, a distribution of another shape or dtype, or one that cannot
        be saved.
      TypeError: for something that is neither a name nor a distribution.

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
    return PRIORS[kind](latent_dim, **options)


def _standard_normal(latent_dim: int) -> tfd.Distribution:
    zeros = tf.zeros([latent_dim], tf_keras.backend.floatx())
    return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), 1)


PRIORS: dict[str, Callable[..., tfd.Distribution]] = {"standard_normal": _standard_normal}


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
