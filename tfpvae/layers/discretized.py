"""Probability masses of the 256 levels of 8-bit pixels: the discretised logistic, and mixtures.

A mass is at most 1, so that, unlike a density, it cannot grow without end on pixels that are always
the same, and its log2 is a number of bits.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.layers.distribution_layer import register, shape_of, to_events
from tfpvae.layers.likelihoods import (
    MASS,
    LikelihoodLayer,
    PixelDistribution,
    channels_last,
    positive,
)

tfd = tfp.distributions

_LAST_LEVEL = 255
# In pixels, three tenths of a level: below, the closed form of the mean would be off by more than
# 0.012 levels.
SCALE_FLOOR = 0.3 / _LAST_LEVEL
_START_SCALE = 0.05  # what a parameter of 0 means, less floor: a standard deviation of 0.09
# How far locations reach beyond [0, 1], so that black and white can have all of the mass.
_MARGIN = 0.01


class DiscretizedLogistic(tfd.AutoCompositeTensorDistribution):
    """Distribution of 8-bit pixels k / 255: a logistic, rounded to the nearest level.

    P(k) = sigmoid((k + 1/2 - m) / s) - sigmoid((k - 1/2 - m) / s) with m = 255 loc, s = 255 scale;
    0 and 255 have all that lies below and above them (Salimans, Karpathy, Chen and Kingma 2017,
    equation 2). `tfd.QuantizedDistribution` of a logistic has no mean, and counts in whole numbers.

    Args:
      loc: in pixels, [0, 1] and somewhat beyond.
      scale: in pixels, above 0. The mean is exact within 0.012 levels from 0.3 levels on.
      validate_args: as in tfp.distributions; nothing is checked here.
      allow_nan_stats: as in tfp.distributions.
      name: of the distribution.
    """

    def __init__(
        self, loc, scale, validate_args=False, allow_nan_stats=True, name="DiscretizedLogistic"
    ):
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self._loc = tf.convert_to_tensor(loc)
            self._scale = tf.convert_to_tensor(scale, self._loc.dtype)
            super().__init__(
                dtype=self._loc.dtype,
                reparameterization_type=tfd.NOT_REPARAMETERIZED,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        softplus = tfp.bijectors.Softplus
        return {
            "loc": tfp.util.ParameterProperties(),
            "scale": tfp.util.ParameterProperties(
                default_constraining_bijector_fn=lambda: softplus(low=SCALE_FLOOR)
            ),
        }

    @property
    def loc(self) -> tf.Tensor:
        """Location of the logistic, in pixels."""
        return self._loc

    @property
    def scale(self) -> tf.Tensor:
        """Scale of the logistic, in pixels."""
        return self._scale

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _log_prob(self, x):
        """By log(sigmoid(b) - sigmoid(a)) = log sigmoid(b) + log sigmoid(-a) + log(1 - e^(a - b)).

        Of an open end sigmoid(b) = 1 or sigmoid(a) = 0, and two of the three terms are 0.
        """
        m, s = _LAST_LEVEL * self.loc, _LAST_LEVEL * self.scale
        level = tf.clip_by_value(tf.round(_LAST_LEVEL * x), 0, _LAST_LEVEL)
        is_last, is_first = level == _LAST_LEVEL, level == 0
        below_upper = tf.math.log_sigmoid((level + 0.5 - m) / s)
        above_lower = tf.math.log_sigmoid((m - level + 0.5) / s)
        width = tfp.math.log1mexp(1 / s)
        zero = tf.zeros([], self.dtype)
        return (
            tf.where(is_last, zero, below_upper)
            + tf.where(is_first, zero, above_lower)
            + tf.where(is_last | is_first, zero, width)
        )

    def _mean(self):
        """Returns E[k] / 255 by the midpoint rule, with its first correction at the two ends.

        E[k] is the sum of P(k' > k) = sigmoid((m - k - 1/2) / s) over k = 0 ... 254, the midpoint
        rule for the integral of sigmoid((m - t) / s) over t from 0 to 255.
        """
        s = _LAST_LEVEL * self.scale
        black, white = self.loc / self.scale, (self.loc - 1) / self.scale
        integral = s * (tf.math.softplus(black) - tf.math.softplus(white))
        mean = integral - (_logistic_density(black) - _logistic_density(white)) / (24 * s)
        return tf.clip_by_value(mean / _LAST_LEVEL, 0.0, 1.0)  # of rounding

    def _sample_n(self, n, seed=None):
        draws = tfd.Logistic(self.loc, self.scale).sample(n, seed=seed)
        return tf.clip_by_value(tf.round(_LAST_LEVEL * draws), 0, _LAST_LEVEL) / _LAST_LEVEL


def _logistic_density(x: tf.Tensor) -> tf.Tensor:
    return tf.sigmoid(x) * tf.sigmoid(-x)


class _LogisticLayer(LikelihoodLayer):
    """What the discretised logistic and the mixture share: the scale's floor, and the pixels."""

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
        return {**super().get_config(), "scale_floor": self._scale_floor}


@register
class DiscretizedLogisticLikelihood(_LogisticLayer):
    """Layer that turns 2 parameters a value into independent discretised logistics of pixels.

    A probability mass over the 256 levels of 8-bit pixels; grey ones in [0, 1] are rounded to the
    nearest. loc = 1.02 sigmoid(location) - 0.01, beyond [0, 1] by so much that black and white can
    have all of the mass; scale = softplus(parameter - 2.97) + scale_floor, both in pixels.

    Args:
      event_shape: shape of one draw, [..., C], such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least scale, at least 1e-6, in pixels. Below the default, 0.3 levels,
        the mean is further from the exact one than 0.012 levels.
      **kwargs: of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for a floor that is no such number.

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
        """Returns the number of parameters an example, two a value of the event."""
        return 2 * math.prod(shape_of(event_shape))


@register
class LogisticMixtureLikelihood(_LogisticLayer):
    """Layer that turns K (2 C + 1) parameters a pixel into mixtures of discretised logistics.

    P(x) = sum_k w_k prod_c P_kc(x_c) for a pixel x of C channels. The component k is shared by the
    channels, which is how their levels hang together; there is no autoregression from one channel
    to the next as in Salimans et al. (2017, section 2.2). Parameters of a pixel: K * C locations
    and K * C scales, component by component, as in DiscretizedLogisticLikelihood, then K logits of
    the weights. The components start alike but for the random kernel of the layer before.

    Args:
      event_shape: shape of one draw, [..., C], such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least scale, at least 1e-6, in pixels, as in DiscretizedLogisticLikelihood.
      components: K, at least 1.
      **kwargs: of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for a floor that is no such number, or components below 1.

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
        of_one = count == 1  # whom a Categorical that validates refuses
        mixture = tfd.MixtureSameFamily(
            tfd.Categorical(weights, validate_args=self._validate_args and not of_one),
            tfd.Independent(self._logistic(logits, raw), 1),
            validate_args=self._validate_args,
        )
        return PixelDistribution(mixture, len(sides))

    def params_size(self, event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters an example, K (2 C + 1) a pixel."""
        *sides, channels = shape_of(event_shape)
        return math.prod(sides) * self.locations * (2 * channels + 1)

    def get_config(self) -> dict:
        return {**super().get_config(), "components": self.locations}
