"""Densities of grey pixels in [0, 1]: the normal and the Beta distribution.

A density has no upper bound: pixels that the network foretells ever better, such as a background
that is always black, raise it without end. A scale's floor bounds it; so does noise of one level
on the pixels (Theis, van den Oord and Bethge 2016, section 3.1).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.layers.distribution_layer import register, shape_of, to_events
from tfpvae.layers.likelihoods import (
    DENSITY,
    LikelihoodLayer,
    PixelDistribution,
    UnboundedPixelDistribution,
    channels_last,
    positive,
)

tfd = tfp.distributions

SCALE_FLOOR = 1e-3  # a quarter of a level of 8 bits
_START_SCALE = 0.1  # what a parameter of 0 means, less floor
_START_CONCENTRATION = 20.0  # a standard deviation of 0.1 at a mean of 1/2
_HALF_LEVEL = 1 / 512
# Beyond, sigmoid is 0 or 1 all the same, and the Beta function overflows.
_LAST_LOGIT = 50.0


@register
class NormalLikelihood(LikelihoodLayer):
    """Layer that turns locations, and scales if asked, into independent normals of pixels.

    p(x) = N(x; mean, scale^2) with mean = sigmoid(location). Draws may lie outside [0, 1]; the mean
    does not. With a fixed scale the log density is, but for a constant, the squared error over
    2 scale^2; with a learned one the network finds the weight of that error itself (Rybkin,
    Daniilidis and Levine 2021, section 3).

    Args:
      event_shape: shape of one draw, [..., C], such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale: a number, at least scale_floor, for that standard deviation; "learned" for one of all
        pixels, a weight of this layer that starts at 0.1 + scale_floor; "per_pixel" for
        softplus(second half of a pixel's parameters - 2.25) + scale_floor.
      scale_floor: the least standard deviation, at least 0.
      **kwargs: of `tf_keras.layers.Layer`.

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
        **kwargs: Any,
    ):
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        if isinstance(scale, str):
            _checks.one_of("scale", scale, ("learned", "per_pixel"))
        else:
            scale = _checks.finite_number("scale", scale, minimum=floor)
        shape = channels_last(event_shape)
        super().__init__(self._new, shape, convert_to_tensor_fn, validate_args, **kwargs)
        self._scale, self._scale_floor = scale, floor
        if scale == "learned":
            self._raw_scale = self.add_weight("raw_scale", shape=(), initializer="zeros")

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        shape = self.event_shape
        params = to_events(params, (*shape[:-1], self.params_size(shape[-1])))
        if self._scale == "per_pixel":
            params, raw = tf.split(params, 2, axis=-1)
            scale = positive(raw, _START_SCALE, self._scale_floor)
        elif self._scale == "learned":
            raw = tf.convert_to_tensor(self._raw_scale)
            scale = positive(raw, _START_SCALE, self._scale_floor)
        else:
            scale = tf.constant(self._scale, params.dtype)
        normal = tfd.Normal(tf.sigmoid(params), scale, validate_args=self._validate_args)
        return UnboundedPixelDistribution(normal, len(shape))

    def params_size(self, event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters an example, one or two a value of the event."""
        return math.prod(shape_of(event_shape)) * (2 if self._scale == "per_pixel" else 1)

    def get_config(self) -> dict:
        return {**super().get_config(), "scale": self._scale, "scale_floor": self._scale_floor}


class PixelBeta(tfd.Beta):
    """Beta distribution that is asked for 8-bit pixels, those of 0 and 1 among them.

    There its density is infinite or 0. A level of 8 bits stands for an interval of numbers, so
    log_prob takes pixels into [1/512, 1 - 1/512], the middles of the first and the last of 256
    equal ones. It is a density on [1/512, 1 - 1/512], and constant beyond.
    """

    def _log_prob(self, x):
        return super()._log_prob(tf.clip_by_value(x, _HALF_LEVEL, 1 - _HALF_LEVEL))


@register
class BetaLikelihood(LikelihoodLayer):
    """Layer that turns 2 parameters a value into independent Beta distributions of pixels.

    A density on (0, 1): p(x) = x^(a - 1) (1 - x)^(b - 1) / B(a, b), with a = n m and b = n (1 - m),
    the mean m = sigmoid(location) and the concentration n = 20 softplus(parameter) / softplus(0)
    + concentration_floor. Pixels of exactly 0 and 1 are scored as 1/512 and 1 - 1/512.
    Nothing bounds n, nor the density, from above.

    Args:
      event_shape: shape of one draw, [..., C], such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      concentration_floor: the least n, at least 0.001; the variance is m (1 - m) / (n + 1).
      **kwargs: of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for a floor that is no such number.

    >>> likelihood = BetaLikelihood([2, 2, 1])(tf.zeros([3, 8]))
    >>> float(likelihood.mean()[0, 0, 0, 0]), likelihood.log_prob(tf.zeros([2, 2, 1])).shape
    (0.5, TensorShape([3]))
    """

    scores = DENSITY

    def __init__(
        self,
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | str = "mean",
        validate_args: bool = False,
        concentration_floor: float = 1.0,
        **kwargs: Any,
    ):
        floor = _checks.finite_number("concentration_floor", concentration_floor, minimum=1e-3)
        shape = channels_last(event_shape)
        super().__init__(self._new, shape, convert_to_tensor_fn, validate_args, **kwargs)
        self._concentration_floor = floor

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        shape = self.event_shape
        params = to_events(params, (*shape[:-1], 2 * shape[-1]))
        logits, raw = tf.split(params, 2, axis=-1)
        logits = tf.clip_by_value(logits, -_LAST_LOGIT, _LAST_LOGIT)
        factor = _START_CONCENTRATION / math.log(2)
        total = factor * tf.math.softplus(raw) + self._concentration_floor
        beta = PixelBeta(
            total * tf.sigmoid(logits),
            total * tf.sigmoid(-logits),
            validate_args=self._validate_args,
        )
        return PixelDistribution(beta, len(shape))

    @staticmethod
    def params_size(event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters an example, two a value of the event."""
        return 2 * math.prod(shape_of(event_shape))

    def get_config(self) -> dict:
        return {**super().get_config(), "concentration_floor": self._concentration_floor}
