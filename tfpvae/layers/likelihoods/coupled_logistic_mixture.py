"""Likelihood layer with mixtures of discretized logistics whose channels are coupled."""

import math
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.distributions.coupled_logistic_mixture import CoupledLogisticMixture
from tfpvae.distributions.events import PixelDistribution
from tfpvae.layers.base import register, shape_of, to_events
from tfpvae.layers.likelihoods.logistics import LogisticMixtureLikelihood

tfd = tfp.distributions

_STEEPEST = 2  # slopes of one channel on another lie below; equal channels have 1


@register
class CoupledLogisticMixtureLikelihood(LogisticMixtureLikelihood):
    """Layer that turns K (2 C + C (C - 1) / 2 + 1) parameters a pixel into a coupled mixture.

    P(x) = sum_k w_k prod_c P_kc(x_c | x_0 ... x_{c-1}), where the location of each channel moves
    with the channels before it (Salimans et al. 2017, section 2.2); see
    `tfpvae.distributions.coupled_logistic_mixture.CoupledLogisticMixture`. Parameters of a pixel:
    K * C locations and K * C scales, component by component, as in DiscretizedLogisticLikelihood,
    then K * C (C - 1) / 2 coefficients a = 2 tanh(parameter / 2), then K logits of the weights. A
    parameter of 0 is no coupling. With one channel it is LogisticMixtureLikelihood.

    Args:
      event_shape: shape of one draw, [..., C], such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least scale, at least 1e-6, in pixels, as in DiscretizedLogisticLikelihood.
      components: K, at least 1.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for a floor that is no such number, or components below 1.

    >>> layer = CoupledLogisticMixtureLikelihood([2, 2, 3], components=4)
    >>> layer.params_size([2, 2, 3]), layer(tf.zeros([5, 160])).mean().shape
    (160, TensorShape([5, 2, 2, 3]))
    """

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        *sides, channels = self.event_shape
        count, pairs = self.locations, channels * (channels - 1) // 2
        sizes = [count * channels, count * channels, count * pairs, count]
        params = to_events(params, (*sides, sum(sizes)))
        locations, scales, slopes, weights = tf.split(params, sizes, axis=-1)
        locations, scales = (to_events(part, (count, channels)) for part in (locations, scales))
        logistic = self._logistic(locations, scales)
        slopes = to_events(slopes, (count, pairs)) if pairs else tf.zeros_like(locations[..., :0])
        coefficients = _STEEPEST * tf.tanh(slopes / _STEEPEST)
        mixture = CoupledLogisticMixture(
            weights, logistic.loc, logistic.scale, coefficients, validate_args=self._validate_args
        )
        return PixelDistribution(mixture, len(sides))

    def params_size(self, event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters per example, K (2 C + C (C - 1) / 2 + 1) a pixel."""
        *sides, channels = shape_of(event_shape)
        a_component = 2 * channels + channels * (channels - 1) // 2 + 1
        return math.prod(sides) * self.locations * a_component
