"""A normal transformed by a conditional normalizing flow."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd, tfb = tfp.distributions, tfp.bijectors

# A step starts near the identity, with s = 0.88 (Kingma et al. 2016, section 4).
FORGET_BIAS = 2.0
_MOMENT_DRAWS = 64
# Bounds of z and of the gate where a flow is inverted; no draw comes near them.
_FARTHEST, _LEAST_GATE = 1e6, -50.0


class FlowDistribution(tfd.TransformedDistribution):
    """A normal transformed by a conditional flow, with moments from 64 fixed draws.

    The noise of the draws is the same on every machine and in every graph, comes in pairs of
    opposite sign, and has variance 1. The moments of a flow that is affine in each dimension are
    therefore exact.

    Args:
      distribution: the normal, batch shape [B], event shape [D].
      context: input of the flow's networks besides z, [B, H].
      flow: function from a context to the bijector.
      validate_args: whether the distribution checks its parameters, at some cost.
      name: name of the distribution.

    >>> normal = tfd.MultivariateNormalDiag(tf.ones([5, 2]))
    >>> doubled = FlowDistribution(normal, tf.zeros([5, 3]), lambda context: tfb.Scale(2.0))
    >>> doubled.mean()[0].numpy().round(3).astype(int).tolist()
    [2, 2]
    """

    def __init__(
        self,
        distribution: tfd.Distribution,
        context: tf.Tensor,
        flow: Callable[[tf.Tensor], tfb.Bijector],
        validate_args: bool = False,
        name: str = "FlowDistribution",
    ):
        parameters = dict(locals())
        self._context = context
        self._flow = flow
        super().__init__(
            distribution,
            flow(context),
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {
            "distribution": tfp.util.BatchedComponentProperties(),
            "context": tfp.util.ParameterProperties(event_ndims=1),
        }

    def _log_prob(self, y, **kwargs):
        # The loop that inverts a flow keeps the shape of z, which therefore needs the batch's axes.
        batch, sides = list(self.batch_shape), list(y.shape[:-1])
        aligned = zip(sides[::-1], batch[::-1], strict=False)
        if len(sides) < len(batch) or any(y_side == 1 != side for y_side, side in aligned):
            whole = tf.concat([self.batch_shape_tensor(), self.event_shape], axis=0)
            y = tf.broadcast_to(y, tf.broadcast_dynamic_shape(tf.shape(y), whole))
        return super()._log_prob(y, **kwargs)

    def _mean(self):
        return tf.reduce_mean(self._fixed_draws(), axis=0)

    def _variance(self):
        return tf.math.reduce_variance(self._fixed_draws(), axis=0)

    def _fixed_draws(self) -> tf.Tensor:
        """Returns the 64 draws that the moments are computed from, [64, B, D]."""
        normal = self.distribution
        noise = fixed_noise(normal.event_shape[-1], _MOMENT_DRAWS)
        noise = noise.reshape([len(noise), *[1] * normal.batch_shape.rank, noise.shape[-1]])
        draws = normal.mean() + normal.stddev() * tf.constant(noise, normal.dtype)
        return self.bijector.forward(draws)


def gated_step(
    network: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]], context: tf.Tensor
) -> tfb.Bijector:
    """Returns the bijector z -> s * z + (1 - s) * m, s = sigmoid(a + 2), (m, a) = network(z, h).

    The forward pass runs the network once, the inverse D times (Kingma et al. 2016, equation 14).

    Args:
      network: autoregressive, from z [..., D] and the context to m and a, [..., D] each.
      context: h, [..., H].

    >>> step = gated_step(lambda z, context: (tf.zeros_like(z), tf.zeros_like(z)), tf.zeros([1, 3]))
    >>> round(float(step.forward([[1.0, 2.0]])[0, 0]), 3)  # sigmoid(2)
    0.881
    """

    def inverse_step(z: tf.Tensor) -> tfb.Bijector:
        # Without the bounds, a z that q hardly ever draws gives infinities that cancel to NaN.
        value, gate = network(tf.clip_by_value(z, -_FARTHEST, _FARTHEST), context)
        gate = tf.maximum(gate + FORGET_BIAS, _LEAST_GATE)
        shift = tfb.Shift(tf.sigmoid(-gate) * value)
        scale = tfb.Scale(log_scale=tf.math.log_sigmoid(gate))
        return tfb.Invert(tfb.Chain([shift, scale]))

    # A masked flow computes its parameters from the input of its inverse, which is this z.
    return tfb.Invert(tfb.MaskedAutoregressiveFlow(bijector_fn=inverse_step))


@functools.cache
def fixed_noise(size: int, num_draws: int) -> np.ndarray:
    """Returns an even number of fixed draws of N(0, I), [num_draws, size].

    Each dimension has mean 0 and variance 1.

    >>> fixed_noise(3, 16).shape
    (16, 3)
    """
    # TensorFlow's draws depend on the device; those of RandomState are the same in every version.
    half = np.random.RandomState(0).standard_normal((num_draws // 2, size))
    noise = np.concatenate([half, -half])
    return noise / noise.std(axis=0)
