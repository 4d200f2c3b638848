"""Likelihood layer with a mixture of independent logistics."""

from collections.abc import Callable
from typing import Any

import tensorflow_probability as tfp

from tfpvae.layers.base import DistributionLayer, register, size_of

tfd = tfp.distributions


@register
class MixtureLogistic(DistributionLayer, tfp.layers.MixtureLogistic):
    """Layer that turns K * (1 + 2 * prod(event_shape)) parameters into a mixture of logistics.

    The first K parameters of an example are the logits of the weights.

    Args:
      num_components: K, at least 1.
      event_shape: shape of one draw.
      convert_to_tensor_fn: the tensor that represents the distribution in the layers that follow.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: arguments of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> import tensorflow as tf
    >>> MixtureLogistic(2, [3])(tf.zeros([5, 14])).mean().shape
    TensorShape([5, 3])
    """

    def __init__(
        self,
        num_components: Any,
        event_shape: Any = (),
        convert_to_tensor_fn: Callable | property | str = tfd.Distribution.sample,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        self._num_components = size_of("num_components", num_components)
        super().__init__(
            lambda t: self.new(t, num_components, event_shape, validate_args),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )

    def _event_config(self) -> dict:
        return {**super()._event_config(), "num_components": self._num_components}
