"""Likelihood layers with independent distributions of counts."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.events import EventDistribution
from tfpvae.layers.base import register, shape_of, to_events
from tfpvae.layers.likelihoods.base import COUNT_MASS, LikelihoodLayer, channels_last

tfd = tfp.distributions


class _CountLayer(LikelihoodLayer):
    """Base class: the log of the mean of each value and, if zero-inflated, a logit after them."""

    scores = COUNT_MASS
    support = _checks.COUNTS

    def __init__(
        self,
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | str = "mean",
        validate_args: bool = False,
        zero_inflated: bool = False,
        **kwargs: Any,
    ):
        _checks.flag("zero_inflated", zero_inflated)
        shape = channels_last(event_shape)
        super().__init__(self._new, shape, convert_to_tensor_fn, validate_args, **kwargs)
        self._zero_inflated = zero_inflated

    def _counts(self, log_mean: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution of each value, without the inflation."""
        raise NotImplementedError

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        shape = self.event_shape
        params = to_events(params, (*shape[:-1], self.params_size(shape[-1])))
        if not self._zero_inflated:
            return EventDistribution(self._counts(params), len(shape))
        log_mean, logits = tf.split(params, 2, axis=-1)
        # TensorFlow Probability 0.25 takes softmax([l, -l]), which is sigmoid(2 l).
        inflated = tfd.Inflated(
            self._counts(log_mean),
            inflated_loc_logits=logits / 2,
            validate_args=self._validate_args,
        )
        return EventDistribution(inflated, len(shape))

    def params_size(self, event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters per example, one or two for each value of the event."""
        return math.prod(shape_of(event_shape)) * (2 if self._zero_inflated else 1)

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "zero_inflated": self._zero_inflated}


@register
class PoissonLikelihood(_CountLayer):
    """Layer that turns the logs of rates into independent Poisson distributions.

    Args:
      event_shape: shape of one draw, such as (2000,) of the counts of as many words.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      zero_inflated: whether a value is 0 with a further probability, sigmoid(second half of the
        parameters).
      **kwargs: arguments of `tf_keras.layers.Layer`.

    >>> PoissonLikelihood([2])(tf.zeros([3, 2])).mean()[0].numpy().tolist()
    [1.0, 1.0]
    """

    def _counts(self, log_mean: tf.Tensor) -> tfd.Distribution:
        return tfd.Poisson(log_rate=log_mean, validate_args=self._validate_args)


@register
class NegativeBinomialLikelihood(_CountLayer):
    """Layer that turns the logs of means into independent negative binomial distributions.

    For counts whose variance, mean + mean^2 / r, exceeds that of a Poisson, such as those of genes
    (Lopez et al. 2018). r, `total_count`, is a weight of this layer for each value of the event; it
    starts at 1.

    Args:
      event_shape: shape of one draw, such as (2000,) of the counts of as many genes.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      zero_inflated: whether a value is 0 with a further probability, sigmoid(second half of the
        parameters).
      **kwargs: arguments of `tf_keras.layers.Layer`.

    >>> likelihood = NegativeBinomialLikelihood([2])(tf.zeros([3, 2]))
    >>> likelihood.mean()[0].numpy().tolist(), likelihood.variance()[0].numpy().tolist()
    ([1.0, 1.0], [2.0, 2.0])
    """

    def build(self, input_shape: Any) -> None:
        """Adds the weights of `total_count`."""
        super().build(input_shape)
        shape = self.event_shape
        self._log_total_count = self.add_weight("log_total_count", shape, initializer="zeros")

    def _counts(self, log_mean: tf.Tensor) -> tfd.Distribution:
        log_total_count = tf.convert_to_tensor(self._log_total_count)
        return tfd.NegativeBinomial(
            tf.exp(log_total_count),
            logits=log_mean - log_total_count,
            validate_args=self._validate_args,
        )
