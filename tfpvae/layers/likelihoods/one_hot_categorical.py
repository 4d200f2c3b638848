"""Likelihood layer with a categorical distribution over one-hot vectors."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.layers.base import DistributionLayer, register, size_of

tfd = tfp.distributions


@register
class OneHotCategorical(DistributionLayer, tfp.layers.OneHotCategorical):
    """Layer that turns event_size logits per example into a categorical over one-hot vectors.

    Args:
      event_size: number of categories.
      convert_to_tensor_fn: the tensor that represents the distribution in the layers that follow.
      sample_dtype: dtype of the draws; None for that of the logits.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: arguments of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> OneHotCategorical(4)(tf.zeros([3, 4])).mean()[0].numpy().tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def __init__(
        self,
        event_size: Any,
        convert_to_tensor_fn: Callable | property | str = tfd.Distribution.sample,
        sample_dtype: Any = None,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        self._sample_dtype = None if sample_dtype is None else tf.as_dtype(sample_dtype).name
        super().__init__(
            lambda t: self.new(t, event_size, sample_dtype, validate_args),
            size_of("event_size", event_size),
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )

    def _event_config(self) -> dict:
        return {"event_size": self._event_shape, "sample_dtype": self._sample_dtype}
