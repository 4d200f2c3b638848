"""Posterior layer with a point mass, the code of a plain autoencoder."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.layers.base import register, shape_of, to_events
from tfpvae.layers.posteriors.base import Posterior

tfd = tfp.distributions


@register
class Deterministic(Posterior):
    """Layer that turns prod(event_shape) values per example into a point mass at them.

    The posterior of a plain autoencoder: its draw and its mean are the code, and it has no KL.

    Args:
      event_shape: shape of one draw, such as latent_dim.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    >>> Deterministic(2)(tf.constant([[3.0, 4.0]])).sample().numpy().tolist()
    [[3.0, 4.0]]
    """

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        def new(values: tf.Tensor) -> tfd.Distribution:
            values = to_events(values, event_shape)
            point = tfd.Deterministic(values, validate_args=validate_args)
            return tfd.Independent(point, len(shape_of(event_shape)))

        super().__init__(new, event_shape, convert_to_tensor_fn, validate_args, **kwargs)

    @staticmethod
    def params_size(event_shape: int | Sequence[int] = (), name: str | None = None) -> int:
        """Returns the number of values per example."""
        del name  # as in tfp.layers
        return math.prod(shape_of(event_shape))

    @staticmethod
    def scale_params(event_shape: int | Sequence[int], scale: float) -> np.ndarray:
        """Returns no parameters: a point has no scale."""
        del event_shape, scale
        return np.zeros(0)
