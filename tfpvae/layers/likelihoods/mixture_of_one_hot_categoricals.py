"""Likelihood layer with a mixture of categorical distributions over one-hot vectors."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.layers.base import DistributionLayer, register, size_of

tfd = tfp.distributions


@register
class CategoricalMixtureOfOneHotCategorical(
    DistributionLayer, tfp.layers.CategoricalMixtureOfOneHotCategorical
):
    """Layer that turns K * (1 + event_size) parameters per example into a mixture over one-hots.

    Args:
      event_size: number of categories.
      num_components: K, at least 1.
      convert_to_tensor_fn: the tensor that represents the distribution in the layers that follow.
      sample_dtype: dtype of the draws; None for that of the logits.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: arguments of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> layer = CategoricalMixtureOfOneHotCategorical(4, 2)
    >>> layer(tf.zeros([3, 10])).batch_shape
    TensorShape([3])
    """

    def __init__(
        self,
        event_size: Any,
        num_components: Any,
        convert_to_tensor_fn: Callable | property | str = tfd.Distribution.sample,
        sample_dtype: Any = None,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        self._num_components = size_of("num_components", num_components)
        self._sample_dtype = None if sample_dtype is None else tf.as_dtype(sample_dtype).name
        super().__init__(
            lambda t: self.new(t, event_size, num_components, sample_dtype, validate_args),
            size_of("event_size", event_size),
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )

    def _event_config(self) -> dict:
        return {
            "event_size": self._event_shape,
            "num_components": self._num_components,
            "sample_dtype": self._sample_dtype,
        }
