"""Posterior layer with independent normals."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.layers.base import register, shape_of
from tfpvae.layers.posteriors.base import SCALE_FLOOR, Posterior

tfd = tfp.distributions
# Kept here, so that a program may put the layers of tfpvae in the place of those of tfp.layers.
_TFPIndependentNormal: Any = tfp.layers.IndependentNormal


@register
class IndependentNormal(Posterior, tfp.layers.IndependentNormal):
    """Layer that turns 2 * prod(event_shape) parameters per example into independent normals.

    scale = softplus(second half of the parameters) + scale_floor.

    Args:
      event_shape: shape of one draw, such as latent_dim.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least standard deviation, at least 0. It bounds the density, and with it the
        KL, when the network is sure of a value.
      **kwargs: arguments of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> posterior = IndependentNormal(2)(tf.zeros([3, 4]))
    >>> posterior.batch_shape, posterior.event_shape
    (TensorShape([3]), TensorShape([2]))
    """

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        super().__init__(
            lambda t: IndependentNormal.new(t, event_shape, validate_args, scale_floor=floor),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self._scale_floor = floor

    @staticmethod
    def new(
        params: tf.Tensor,
        event_shape: int | Sequence[int] = (),
        validate_args: bool = False,
        name: str | None = None,
        scale_floor: float = SCALE_FLOOR,
    ) -> tfd.Distribution:
        """Returns Independent(Normal) from parameters [..., 2 * prod(event_shape)]."""
        plain = _TFPIndependentNormal.new(params, event_shape, validate_args, name)
        normal = plain.distribution
        return plain.copy(distribution=normal.copy(scale=normal.scale + scale_floor))

    @staticmethod
    def scale_params(event_shape: int | Sequence[int], scale: float) -> np.ndarray:
        """Returns the second half of the parameters of normals of one scale, less floor."""
        return np.full(math.prod(shape_of(event_shape)), tfp.math.softplus_inverse(scale))

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "scale_floor": self._scale_floor}
