"""Posterior layer with a normal of diagonal plus low-rank covariance."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.low_rank import NormalDiagPlusLowRank
from tfpvae.layers.base import register, size_of, to_events
from tfpvae.layers.posteriors.base import SCALE_FLOOR, Posterior

tfd = tfp.distributions

# Of the parameters of a low rank's factors, which so start small beside the diagonal.
_FACTOR_SCALE = 0.1
# Of a factor: log det and density cancel in float32 by its square, and end in NaN from 1000 on.
_FACTOR_LIMIT = 30.0


@register
class MultivariateNormalLowRank(Posterior):
    """Layer of a normal whose covariance is diagonal plus low rank, from D * (2 + rank) parameters.

    covariance = diag(d)^2 + U U', d = softplus(parameter) + scale_floor, U = diag(d) W of shape
    [D, rank], W = 30 tanh(parameter / 300). So D * rank numbers say how the latents go together,
    where a full covariance takes D * (D - 1) / 2. Density, draws and KL are exact. With U written
    as a multiple of d, log det = 2 sum log d + log det(I + W'W) loses nothing where d is small; in
    float32 the density's terms cancel as W grows: where all of W is at its limit, log q is right
    to 1e-2 nats for D = 10 and to half a nat for D = 128.

    Rezende, Mohamed and Wierstra 2014, section 4.3, of rank 1.

    Args:
      event_size: D, the size of one draw, such as latent_dim.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least element of d, at least 0.
      rank: number of columns of U, at least 1. D - 1 of them make up every covariance; two are
        the fewest by which one group of latents can go together without the rest.
      **kwargs: arguments of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> posterior = MultivariateNormalLowRank(5, rank=1)(tf.zeros([3, 15]))
    >>> posterior.covariance().shape
    TensorShape([3, 5, 5])
    """

    _size_options = ("rank",)

    def __init__(
        self,
        event_size: int,
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        rank: int = 2,
        **kwargs: Any,
    ):
        event_size = size_of("event_size", event_size)
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        rank = _checks.whole_number("rank", rank)
        super().__init__(
            lambda t: MultivariateNormalLowRank.new(
                t, event_size, validate_args, scale_floor=floor, rank=rank
            ),
            event_size,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self._scale_floor = floor
        self._rank = rank

    @staticmethod
    def new(
        params: tf.Tensor,
        event_size: int,
        validate_args: bool = False,
        name: str | None = None,
        scale_floor: float = SCALE_FLOOR,
        rank: int = 2,
    ) -> tfd.Distribution:
        """Returns MultivariateNormalDiagPlusLowRankCovariance from [..., D * (2 + rank)]."""
        with tf.name_scope(name or "MultivariateNormalLowRank"):
            loc, raw, factors = tf.split(params, [event_size, event_size, -1], axis=-1)
            diagonal = tf.nn.softplus(raw) + tf.cast(scale_floor, raw.dtype)
            factors = tf.tanh(_FACTOR_SCALE / _FACTOR_LIMIT * factors)
            factors = _FACTOR_LIMIT * to_events(factors, (event_size, rank))
            return NormalDiagPlusLowRank(
                loc=loc,
                cov_diag_factor=diagonal**2,
                cov_perturb_factor=diagonal[..., tf.newaxis] * factors,
                validate_args=validate_args,
            )

    @staticmethod
    def params_size(event_size: int, rank: int = 2, name: str | None = None) -> int:
        """Returns the number of parameters per example, D * (2 + rank)."""
        del name  # as in tfp.layers
        return event_size * (2 + rank)

    @staticmethod
    def scale_params(event_size: int, scale: float, rank: int = 2) -> np.ndarray:
        """Returns the parameters after the means of a normal of about scale * identity."""
        # At 0, or all alike, the columns of U would have no gradient, or all the same. These are
        # the orthogonal ones of a cosine transform; variances are 1e-4 larger for them.
        rows, columns = np.ogrid[0.5:event_size, 1 : rank + 1]
        factors = 0.01 / _FACTOR_SCALE * np.cos(np.pi * rows * columns / event_size)
        raw = np.full(event_size, tfp.math.softplus_inverse(scale))
        return np.concatenate([raw, factors.ravel()])

    def _event_config(self) -> dict:
        return {"event_size": self._event_shape}

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "scale_floor": self._scale_floor, "rank": self._rank}
