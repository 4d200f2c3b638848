"""Likelihood layer with independent normals."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.events import EventDistribution, UnboundedPixelDistribution
from tfpvae.layers.base import register, shape_of, to_events
from tfpvae.layers.likelihoods.base import DENSITY, LikelihoodLayer, channels_last, positive

tfd = tfp.distributions

SCALE_FLOOR = 1e-3  # a quarter of a level of 8 bits
SUPPORTS = {"unit_interval": _checks.UNIT_INTERVAL, "real": _checks.REAL}
_START_SCALE = 0.1  # what a parameter of 0 means, less floor


@register
class NormalLikelihood(LikelihoodLayer):
    """Layer that turns locations, and scales if asked, into independent normals.

    p(x) = N(x; mean, scale^2). For pixels, mean = sigmoid(location): draws may lie outside [0, 1],
    the mean does not. For real numbers, such as standardized columns, mean = location. With a fixed
    scale the log density is, but for a constant, the squared error over 2 scale^2; with a learned
    one the network finds the weight of that error itself (Rybkin, Daniilidis and Levine 2021,
    section 3).

    Args:
      event_shape: shape of one draw, [..., C], such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale: a number, at least scale_floor, for that standard deviation; "learned" for one of all
        values, a weight of this layer that starts at 0.1 + scale_floor; "per_pixel" for one of each
        value, softplus(second half of a pixel's parameters - 2.25) + scale_floor. For real numbers
        they start at 1 + scale_floor.
      scale_floor: the least standard deviation, at least 0.
      support: "unit_interval" for pixels in [0, 1], "real" for any finite numbers.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for a scale that is none of these, or a floor below 0.

    >>> likelihood = NormalLikelihood([2, 2, 1], scale=0.5)(tf.zeros([3, 4]))
    >>> likelihood.mean().shape, float(likelihood.stddev()[0, 0, 0, 0])
    (TensorShape([3, 2, 2, 1]), 0.5)
    """

    scores = DENSITY
    has_bounds = False

    def __init__(
        self,
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | str = "mean",
        validate_args: bool = False,
        scale: float | str = "learned",
        scale_floor: float = SCALE_FLOOR,
        support: str = "unit_interval",
        **kwargs: Any,
    ):
        _checks.one_of("support", support, SUPPORTS)
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        if isinstance(scale, str):
            _checks.one_of("scale", scale, ("learned", "per_pixel"))
        else:
            scale = _checks.finite_number("scale", scale, minimum=floor)
        shape = channels_last(event_shape)
        super().__init__(self._new, shape, convert_to_tensor_fn, validate_args, **kwargs)
        self._scale, self._scale_floor, self.support = scale, floor, SUPPORTS[support]
        if scale == "learned":
            self._raw_scale = self.add_weight("raw_scale", shape=(), initializer="zeros")

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        shape = self.event_shape
        params = to_events(params, (*shape[:-1], self.params_size(shape[-1])))
        if self._scale == "per_pixel":
            params, raw = tf.split(params, 2, axis=-1)
            scale = self._positive(raw)
        elif self._scale == "learned":
            scale = self._positive(tf.convert_to_tensor(self._raw_scale))
        else:
            scale = tf.constant(self._scale, params.dtype)
        mean = params if self._is_real else tf.sigmoid(params)
        normal = tfd.Normal(mean, scale, validate_args=self._validate_args)
        return (EventDistribution if self._is_real else UnboundedPixelDistribution)(
            normal, len(shape)
        )

    @property
    def _is_real(self) -> bool:
        return self.support == _checks.REAL

    def _positive(self, raw: tf.Tensor) -> tf.Tensor:
        start = 1.0 if self._is_real else _START_SCALE
        return positive(raw, start, self._scale_floor)

    def params_size(self, event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters per example, one or two for each value of the event."""
        return math.prod(shape_of(event_shape)) * (2 if self._scale == "per_pixel" else 1)

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        config = {"scale": self._scale, "scale_floor": self._scale_floor}
        if self._is_real:
            config["support"] = "real"
        return {**super().get_config(), **config}
