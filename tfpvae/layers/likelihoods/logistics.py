"""Likelihood layers with discretized logistics and mixtures of them.

A mass is at most 1. Unlike a density, it cannot grow without bound on constant pixels, and its log2
is a number of bits.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.discretized_logistic import SCALE_FLOOR, DiscretizedLogistic
from tfpvae.distributions.events import PixelDistribution
from tfpvae.layers.base import register, shape_of, to_events
from tfpvae.layers.likelihoods.base import MASS, LikelihoodLayer, channels_last, positive

tfd = tfp.distributions

_START_SCALE = 0.05  # scale at a parameter of 0, less floor: a standard deviation of 0.09
# Locations reach this far beyond [0, 1], so that black and white can have all of the mass.
_MARGIN = 0.01


class _LogisticLayer(LikelihoodLayer):
    """Base class of the discretized logistic and the mixture: a scale with a floor."""

    scores = MASS

    def __init__(self, event_shape, convert_to_tensor_fn, validate_args, scale_floor, **kwargs):
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=1e-6)
        shape = channels_last(event_shape)
        super().__init__(self._new, shape, convert_to_tensor_fn, validate_args, **kwargs)
        self._scale_floor = floor

    def _logistic(self, logits: tf.Tensor, raw: tf.Tensor) -> DiscretizedLogistic:
        loc = (1 + 2 * _MARGIN) * tf.sigmoid(logits) - _MARGIN
        scale = positive(raw, _START_SCALE, self._scale_floor)
        return DiscretizedLogistic(loc, scale, validate_args=self._validate_args)

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "scale_floor": self._scale_floor}


@register
class DiscretizedLogisticLikelihood(_LogisticLayer):
    """Layer that turns 2 parameters per value into independent discretized logistics of pixels.

    A probability mass over the 256 levels of 8-bit pixels; pixels in [0, 1] are rounded to the
    nearest level. loc = 1.02 sigmoid(location) - 0.01 reaches beyond [0, 1], so that black and
    white can have all of the mass; scale = softplus(parameter - 2.97) + scale_floor, both in
    pixels.

    Args:
      event_shape: shape of one draw, [..., C], such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least scale in pixels, at least 1e-6. Below the default, 0.3 levels, the
        error of the mean exceeds 0.012 levels.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for a floor that is not such a number.

    >>> likelihood = DiscretizedLogisticLikelihood([2, 2, 1])(tf.zeros([3, 8]))
    >>> levels = tf.reshape(tf.range(256.0) / 255, [256, 1, 1, 1, 1])
    >>> masses = likelihood.distribution.prob(levels)
    >>> round(float(tf.reduce_sum(masses[:, 0, 0, 0, 0])), 4)
    1.0
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | str = "mean",
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        super().__init__(event_shape, convert_to_tensor_fn, validate_args, scale_floor, **kwargs)

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        shape = self.event_shape
        params = to_events(params, (*shape[:-1], 2 * shape[-1]))
        logistic = self._logistic(*tf.split(params, 2, axis=-1))
        return PixelDistribution(logistic, len(shape))

    @staticmethod
    def params_size(event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters per example, two for each value of the event."""
        return 2 * math.prod(shape_of(event_shape))


@register
class LogisticMixtureLikelihood(_LogisticLayer):
    """Layer that turns K (2 C + 1) parameters per pixel into mixtures of discretized logistics.

    P(x) = sum_k w_k prod_c P_kc(x_c) for a pixel x of C channels. The channels share the component
    k, and are independent given k; `CoupledLogisticMixtureLikelihood` makes each channel depend on
    the channels before it, as in Salimans et al. (2017, section 2.2). Parameters of a pixel: K * C
    locations and K * C scales, component by component, as in DiscretizedLogisticLikelihood, then K
    logits of the weights. The components differ at the start only by the random kernel of the
    layer before.

    Args:
      event_shape: shape of one draw, [..., C], such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least scale in pixels, at least 1e-6, as in DiscretizedLogisticLikelihood.
      components: K, at least 1.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for a floor that is not such a number, or components below 1.

    >>> layer = LogisticMixtureLikelihood([2, 2, 3], components=4)
    >>> layer.params_size([2, 2, 3]), layer(tf.zeros([5, 112])).mean().shape
    (112, TensorShape([5, 2, 2, 3]))
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | str = "mean",
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        components: int = 5,
        **kwargs: Any,
    ):
        components = _checks.whole_number("components", components)
        super().__init__(event_shape, convert_to_tensor_fn, validate_args, scale_floor, **kwargs)
        self.locations = components

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        *sides, channels = self.event_shape
        count = self.locations
        params = to_events(params, (*sides, count * (2 * channels + 1)))
        sizes = [count * channels, count * channels, count]
        logits, raw, weights = tf.split(params, sizes, axis=-1)
        logits, raw = (to_events(part, (count, channels)) for part in (logits, raw))
        validates = self._validate_args and count > 1  # a Categorical refuses to validate one class
        mixture = tfd.MixtureSameFamily(
            tfd.Categorical(weights, validate_args=validates),
            tfd.Independent(self._logistic(logits, raw), 1),
            validate_args=self._validate_args,
        )
        return PixelDistribution(mixture, len(sides))

    def params_size(self, event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters per example, K (2 C + 1) for each pixel."""
        *sides, channels = shape_of(event_shape)
        return math.prod(sides) * self.locations * (2 * channels + 1)

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "components": self.locations}
