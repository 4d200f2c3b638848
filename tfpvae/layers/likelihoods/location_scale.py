"""Likelihood layers of real numbers with a location and a scale for each value."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.events import EventDistribution
from tfpvae.layers.base import register, shape_of, to_events
from tfpvae.layers.likelihoods.base import DENSITY, LikelihoodLayer, channels_last, positive

tfd = tfp.distributions

SCALE_FLOOR = 1e-3
_START_DF = 3.0  # what a parameter of 0 means, less 2: 5 degrees of freedom


class _LocationScaleLayer(LikelihoodLayer):
    """Base class: the locations of the values, then their raw scales."""

    scores = DENSITY
    support = _checks.REAL
    _start_scale = 1.0  # what a parameter of 0 means, less floor

    def __init__(
        self,
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | str = "mean",
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        shape = channels_last(event_shape)
        super().__init__(self._new, shape, convert_to_tensor_fn, validate_args, **kwargs)
        self._scale_floor = floor

    def _of_values(self, loc: tf.Tensor, scale: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution of each value."""
        raise NotImplementedError

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        shape = self.event_shape
        loc, raw = tf.split(to_events(params, (*shape[:-1], 2 * shape[-1])), 2, axis=-1)
        scale = positive(raw, self._start_scale, self._scale_floor)
        return EventDistribution(self._of_values(loc, scale), len(shape))

    @staticmethod
    def params_size(event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters per example, two for each value of the event."""
        return 2 * math.prod(shape_of(event_shape))

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "scale_floor": self._scale_floor}


@register
class LogisticLikelihood(_LocationScaleLayer):
    """Layer that turns 2 parameters a value into independent logistics.

    For real numbers whose tails are heavier than a normal's. loc is the first half of the
    parameters, scale = softplus(second half - 0.24) + scale_floor, which starts at 0.58: a standard
    deviation of about 1.

    Args:
      event_shape: shape of one draw, such as (30,) of the row of a table.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least scale, at least 0.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for a floor that is no such number.

    >>> likelihood = LogisticLikelihood([2])(tf.zeros([3, 4]))
    >>> likelihood.mean().shape, round(float(likelihood.stddev()[0, 0]), 2)
    (TensorShape([3, 2]), 1.05)
    """

    _start_scale = 0.58

    def _of_values(self, loc: tf.Tensor, scale: tf.Tensor) -> tfd.Distribution:
        return tfd.Logistic(loc, scale, validate_args=self._validate_args)


@register
class StudentTLikelihood(_LocationScaleLayer):
    """Layer that turns 2 parameters a value into independent Student's t distributions.

    p(x) = t(x; df, loc, scale), for real numbers with outliers, which a normal would follow. loc is
    the first half of the parameters, scale = softplus(second half + 0.54) + scale_floor, and df,
    the degrees of freedom of all values, is a weight of this layer, above 2, that starts at 5.

    Args:
      event_shape: shape of one draw, such as (30,) of the row of a table.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least scale, at least 0.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for a floor that is no such number.

    >>> likelihood = StudentTLikelihood([2])(tf.zeros([3, 4]))
    >>> likelihood.mean().shape, round(float(likelihood.distribution.df), 4)
    (TensorShape([3, 2]), 5.0)
    """

    def build(self, input_shape: Any) -> None:
        """Adds the weight of the degrees of freedom."""
        super().build(input_shape)
        self._raw_df = self.add_weight("raw_df", shape=(), initializer="zeros")

    def _of_values(self, loc: tf.Tensor, scale: tf.Tensor) -> tfd.Distribution:
        df = positive(tf.convert_to_tensor(self._raw_df), _START_DF, 2.0)
        return tfd.StudentT(df, loc, scale, validate_args=self._validate_args)
