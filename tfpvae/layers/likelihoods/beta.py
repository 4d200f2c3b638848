"""Likelihood layer with independent Beta distributions."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.beta import PixelBeta
from tfpvae.distributions.events import PixelDistribution
from tfpvae.layers.base import register, shape_of, to_events
from tfpvae.layers.likelihoods.base import DENSITY, LikelihoodLayer, channels_last

tfd = tfp.distributions

_START_CONCENTRATION = 20.0  # a standard deviation of 0.1 at a mean of 1/2
# Beyond, sigmoid is 0 or 1 all the same, and the Beta function overflows.
_LAST_LOGIT = 50.0


@register
class BetaLikelihood(LikelihoodLayer):
    """Layer that turns 2 parameters per value into independent Beta distributions of pixels.

    A density on (0, 1): p(x) = x^(a - 1) (1 - x)^(b - 1) / B(a, b), with a = n m and b = n (1 - m),
    the mean m = sigmoid(location) and the concentration n = 20 softplus(parameter) / softplus(0)
    + concentration_floor. Pixels of exactly 0 and 1 are scored as 1/512 and 1 - 1/512.
    Nothing bounds n, nor the density, from above.

    Args:
      event_shape: shape of one draw, [..., C], such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      concentration_floor: the least n, at least 0.001; the variance is m (1 - m) / (n + 1).
      **kwargs: arguments of `tf_keras.layers.Layer`.

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
        """Returns the number of parameters per example, two for each value of the event."""
        return 2 * math.prod(shape_of(event_shape))

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "concentration_floor": self._concentration_floor}
