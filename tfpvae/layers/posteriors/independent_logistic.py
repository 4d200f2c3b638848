"""Posterior layer with independent logistic distributions."""

from collections.abc import Callable
from typing import Any

import tensorflow_probability as tfp

from tfpvae.layers.base import DistributionLayer, register

tfd = tfp.distributions


@register
class IndependentLogistic(DistributionLayer, tfp.layers.IndependentLogistic):
    """Layer that turns 2 * prod(event_shape) parameters per example into independent logistics.

    scale = softplus(second half of the parameters).

    Args:
      event_shape: shape of one draw, such as latent_dim.
      convert_to_tensor_fn: the tensor that represents the distribution in the layers that follow.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: arguments of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> import tensorflow as tf
    >>> IndependentLogistic(2)(tf.zeros([3, 4])).batch_shape
    TensorShape([3])
    """

    def __init__(
        self,
        event_shape: Any = (),
        convert_to_tensor_fn: Callable | property | str = tfd.Distribution.sample,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            lambda t: self.new(t, event_shape, validate_args),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
