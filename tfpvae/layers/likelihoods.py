"""Layers that end a decoder: p(x|z)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.layers.distribution_layer import DistributionLayer, register, shape_of, to_events

tfd = tfp.distributions
tfpl = tfp.layers


@register
class IndependentBernoulli(DistributionLayer, tfpl.IndependentBernoulli):
    """Layer that turns prod(event_shape) logits an example into independent Bernoullis.

    For binary pixels a probability mass. With grey pixels in [0, 1] its log_prob is the
    cross-entropy, which is no density.

    Args:
      event_shape: shape of one draw, such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      sample_dtype: dtype of the draws; None for that of the logits.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> likelihood = IndependentBernoulli([2, 2, 1])(tf.zeros([3, 4]))
    >>> likelihood.mean().shape
    TensorShape([3, 2, 2, 1])
    """

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

    def get_config(self) -> dict:
        return {**super().get_config(), "sample_dtype": self._sample_dtype}


@register
class IndependentContinuousBernoulli(DistributionLayer):
    """Layer that turns prod(event_shape) logits an example into continuous Bernoullis.

    A density on [0, 1]: p(x) = C(l) l^x (1 - l)^(1 - x) with l = sigmoid(logit). Its mean is not l
    (Loaiza-Ganem and Cunningham 2019, equation 7).

    Args:
      event_shape: shape of one draw, such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> likelihood = IndependentContinuousBernoulli([2, 2, 1])(tf.zeros([3, 4]))
    >>> float(likelihood.mean()[0, 0, 0, 0])
    0.5
    """

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            lambda t: IndependentContinuousBernoulli.new(t, event_shape, validate_args),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )

    @staticmethod
    def new(
        params: tf.Tensor,
        event_shape: int | Sequence[int] = (),
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """Returns Independent(ContinuousBernoulli) from logits [..., prod(event_shape)]."""
        with tf.name_scope(name or "IndependentContinuousBernoulli"):
            logits = to_events(params, event_shape)
            bernoulli = tfd.ContinuousBernoulli(
                logits, dtype=logits.dtype, validate_args=validate_args
            )
            return tfd.Independent(bernoulli, len(shape_of(event_shape)))

    @staticmethod
    def params_size(event_shape: int | Sequence[int] = (), name: str | None = None) -> int:
        """Returns the number of logits an example."""
        del name  # as in tfp.layers
        return math.prod(shape_of(event_shape))
