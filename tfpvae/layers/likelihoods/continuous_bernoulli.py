"""Likelihood layer with independent continuous Bernoullis."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.distributions.continuous_bernoulli import ContinuousBernoulli
from tfpvae.distributions.events import LogitPixelDistribution
from tfpvae.layers.base import num_axes, register, shape_of, to_events
from tfpvae.layers.likelihoods.base import DENSITY, LikelihoodLayer

tfd = tfp.distributions


@register
class IndependentContinuousBernoulli(LikelihoodLayer):
    """Layer that turns prod(event_shape) logits per example into continuous Bernoullis.

    A density on [0, 1]: p(x) = C(l) l^x (1 - l)^(1 - x) with l = sigmoid(logit). Its mean is not l
    (Loaiza-Ganem and Cunningham 2019, equation 7).

    Args:
      event_shape: shape of one draw, such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    >>> likelihood = IndependentContinuousBernoulli([2, 2, 1])(tf.zeros([3, 4]))
    >>> float(likelihood.mean()[0, 0, 0, 0])
    0.5
    """

    scores = DENSITY

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
            bernoulli = ContinuousBernoulli(logits, dtype=logits.dtype, validate_args=validate_args)
            return LogitPixelDistribution(bernoulli, num_axes(event_shape))

    @staticmethod
    def params_size(event_shape: int | Sequence[int] = (), name: str | None = None) -> int:
        """Returns the number of logits an example."""
        del name  # as in tfp.layers
        return math.prod(shape_of(event_shape))
