"""Posterior layer with a full-covariance normal."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.normal_tril import NormalTriL
from tfpvae.layers.base import register, size_of
from tfpvae.layers.posteriors.base import SCALE_FLOOR, Posterior

tfd = tfp.distributions


@register
class MultivariateNormalTriL(Posterior, tfp.layers.MultivariateNormalTriL):
    """Layer that turns D + D * (D + 1) / 2 parameters into a normal with full covariance.

    The scale is lower triangular, with softplus(parameter) + scale_floor on its diagonal.

    Args:
      event_size: D, the size of one draw, such as latent_dim.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least diagonal element of the scale, at least 0.
      **kwargs: arguments of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> posterior = MultivariateNormalTriL(2)(tf.zeros([3, 5]))
    >>> posterior.covariance().shape
    TensorShape([3, 2, 2])
    """

    def __init__(
        self,
        event_size: int,
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        event_size = size_of("event_size", event_size)
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        super().__init__(
            lambda t: MultivariateNormalTriL.new(t, event_size, validate_args, scale_floor=floor),
            event_size,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self._scale_floor = floor

    @staticmethod
    def new(
        params: tf.Tensor,
        event_size: int,
        validate_args: bool = False,
        name: str | None = None,
        scale_floor: float = SCALE_FLOOR,
    ) -> tfd.Distribution:
        """Returns MultivariateNormalTriL from parameters [..., D + D * (D + 1) / 2]."""
        with tf.name_scope(name or "MultivariateNormalTriL"):
            params = tf.convert_to_tensor(params)
            raw = tfp.math.fill_triangular(params[..., event_size:])
            # FillScaleTriL, which has the gradient of set_diag, does not train under XLA.
            if tf.is_tensor(event_size):
                diagonal = tf.linalg.diag(tf.ones([event_size], tf.bool))
            else:
                diagonal = np.eye(event_size, dtype=bool)
            scale_tril = tf.where(diagonal, tf.math.softplus(raw) + scale_floor, raw)
            return NormalTriL(
                loc=params[..., :event_size], scale_tril=scale_tril, validate_args=validate_args
            )

    @staticmethod
    def scale_params(event_size: int, scale: float) -> np.ndarray:
        """Returns the parameters after the means of a normal of scale * identity, less floor."""
        fill = tfp.bijectors.FillScaleTriL(tfp.bijectors.Softplus(), diag_shift=None)
        return fill.inverse(scale * tf.eye(event_size)).numpy()

    def _event_config(self) -> dict:
        return {"event_size": self._event_shape}

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "scale_floor": self._scale_floor}
