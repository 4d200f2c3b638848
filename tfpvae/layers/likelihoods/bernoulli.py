"""Likelihood layer with independent Bernoullis."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.distributions.bernoulli import Bernoullis
from tfpvae.layers.base import num_axes, register, to_events
from tfpvae.layers.likelihoods.base import BINARY_MASS, LikelihoodLayer

tfd = tfp.distributions


@register
class IndependentBernoulli(LikelihoodLayer, tfp.layers.IndependentBernoulli):
    """Layer that turns prod(event_shape) logits per example into independent Bernoullis.

    A probability mass of binary pixels. For gray pixels in [0, 1], log_prob is minus the
    cross-entropy, which is not a density.

    Args:
      event_shape: shape of one draw, such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      sample_dtype: dtype of the draws; None for that of the logits.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    >>> likelihood = IndependentBernoulli([2, 2, 1])(tf.zeros([3, 4]))
    >>> likelihood.mean().shape
    TensorShape([3, 2, 2, 1])
    """

    scores = BINARY_MASS

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        sample_dtype: Any = None,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        if sample_dtype is not None:
            sample_dtype = tf.as_dtype(sample_dtype).name
        super().__init__(
            lambda t: IndependentBernoulli.new(t, event_shape, sample_dtype, validate_args),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self._sample_dtype = sample_dtype

    @staticmethod
    def new(
        params: tf.Tensor,
        event_shape: int | Sequence[int] = (),
        dtype: Any = None,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """Returns Independent(Bernoulli) from logits [..., prod(event_shape)]."""
        with tf.name_scope(name or "IndependentBernoulli"):
            logits = to_events(params, event_shape)
            dtype = dtype or logits.dtype
            bernoulli = tfd.Bernoulli(logits, dtype=dtype, validate_args=validate_args)
            return Bernoullis(bernoulli, num_axes(event_shape))

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "sample_dtype": self._sample_dtype}
