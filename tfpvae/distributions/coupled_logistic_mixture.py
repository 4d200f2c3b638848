"""Mixture of discretized logistics in which each channel depends on the channels before it."""

from collections.abc import Iterator, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.distributions.discretized_logistic import SCALE_FLOOR, DiscretizedLogistic

tfd = tfp.distributions

_LAST_LEVEL = 255


class CoupledLogisticMixture(tfd.AutoCompositeTensorDistribution):
    """Distribution of one 8-bit pixel of C channels (Salimans et al. 2017, section 2.2).

    P(x) = sum_k w_k prod_c P(x_c; m_kc + sum_{j<c} a_kcj (x_j - m_kj), s_kc)

    P(.; m, s) is a `DiscretizedLogistic`, so the masses of all 256^C pixels sum to 1. The paper
    adds a_kcj x_j; centered on the location of channel j, m_kc stays the location of channel c.

    Args:
      logits: of the weights w, [..., K].
      loc: m, in pixels, [..., K, C].
      scale: s, in pixels, above 0, [..., K, C].
      coefficients: a, [..., K, C (C - 1) / 2], row by row: of channel 1 on 0, of 2 on 0 and 1, ...
      validate_args: as in tfp.distributions; nothing is checked here.
      allow_nan_stats: as in tfp.distributions.
      name: of the distribution.

    >>> pixel = CoupledLogisticMixture([0.0], [[0.5, 0.5]], [[0.1, 0.01]], [[1.0]])
    >>> pixel.mean().numpy(), pixel.event_shape
    (array([0.5, 0.5], dtype=float32), TensorShape([2]))
    >>> light, dark = (float(pixel.log_prob([0.8, other])) for other in (0.8, 0.2))
    >>> light > dark + 10  # the second channel follows the first
    True
    """

    def __init__(
        self,
        logits,
        loc,
        scale,
        coefficients,
        validate_args=False,
        allow_nan_stats=True,
        name="CoupledLogisticMixture",
    ):
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self._logits = tf.convert_to_tensor(logits)
            dtype = self._logits.dtype
            self._loc, self._scale, self._coefficients = (
                tf.convert_to_tensor(part, dtype) for part in (loc, scale, coefficients)
            )
            super().__init__(
                dtype=dtype,
                reparameterization_type=tfd.NOT_REPARAMETERIZED,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        def properties(rank, **kwargs):
            return tfp.util.ParameterProperties(event_ndims=rank, **kwargs)

        softplus = tfp.bijectors.Softplus
        return {
            "logits": properties(1),
            "loc": properties(2),
            "scale": properties(
                2, default_constraining_bijector_fn=lambda: softplus(low=SCALE_FLOOR)
            ),
            "coefficients": properties(2),
        }

    @property
    def logits(self) -> tf.Tensor:
        """Logits of the components' weights, [..., K]."""
        return self._logits

    @property
    def loc(self) -> tf.Tensor:
        """Locations where the channels before stand at theirs, in pixels, [..., K, C]."""
        return self._loc

    @property
    def scale(self) -> tf.Tensor:
        """Scales, in pixels, [..., K, C]."""
        return self._scale

    @property
    def coefficients(self) -> tf.Tensor:
        """Slopes of each channel on those before it, [..., K, C (C - 1) / 2]."""
        return self._coefficients

    def _event_shape(self):
        return self._loc.shape[-1:]

    def _event_shape_tensor(self):
        return tf.shape(self._loc)[-1:]

    def _log_prob(self, x):
        levels = tf.clip_by_value(tf.round(_LAST_LEVEL * x), 0, _LAST_LEVEL) / _LAST_LEVEL
        levels = tf.unstack(levels[..., tf.newaxis, :], axis=-1)
        log_masses = tf.zeros([], self.dtype)
        for channel, logistic in enumerate(_in_turn(self._components(), levels)):
            log_masses += logistic.log_prob(levels[channel])
        return tf.reduce_logsumexp(tf.nn.log_softmax(self._logits) + log_masses, axis=-1)

    def _mean(self):
        """Returns the weighted mean of the components, E[x_j] standing for x_j in each.

        The mean of a rounded and clipped logistic is linear in its location except near black and
        white, so the rule is exact elsewhere.
        """
        means: list[tf.Tensor] = []
        for logistic in _in_turn(self._components(), means):
            means.append(logistic.mean())
        weights = tf.nn.softmax(self._logits)[..., tf.newaxis]
        mean = tf.reduce_sum(weights * tf.stack(means, axis=-1), axis=-2)
        return tf.clip_by_value(mean, 0.0, 1.0)  # of rounding

    def _sample_n(self, n, seed=None):
        component_seed, *seeds = tfp.random.split_seed(seed, n=1 + self._loc.shape[-1])
        drawn = tfd.Categorical(self._logits).sample(n, seed=component_seed)
        one_hot = tf.one_hot(drawn, self._logits.shape[-1], dtype=self.dtype)[..., tf.newaxis]
        component = [tf.reduce_sum(one_hot * part, axis=-2) for part in self._components()]
        levels: list[tf.Tensor] = []
        for logistic, channel_seed in zip(_in_turn(component, levels), seeds, strict=True):
            levels.append(logistic.sample(seed=channel_seed))
        return tf.stack(levels, axis=-1)

    def _components(self) -> list[tf.Tensor]:
        return [self._loc, self._scale, self._coefficients]


def _in_turn(
    parameters: Sequence[tf.Tensor], values: Sequence[tf.Tensor]
) -> Iterator[DiscretizedLogistic]:
    """Yields p(x_c | x_0 ... x_{c-1}) channel by channel.

    Args:
      parameters: locations and scales [..., C], coefficients [..., C (C - 1) / 2].
      values: x_0 ... x_{C-1}; those before c are read when channel c is asked for.
    """
    locs, scales, coefficients = (tf.unstack(part, axis=-1) for part in parameters)
    slopes = iter(coefficients)
    for channel, (loc, scale) in enumerate(zip(locs, scales, strict=True)):
        shifted = loc
        for j in range(channel):
            shifted += next(slopes) * (values[j] - locs[j])
        yield DiscretizedLogistic(shifted, scale)
