"""A normal transformed by a conditional normalizing flow."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd, tfb = tfp.distributions, tfp.bijectors

# So that a step starts as s = 0.88, near the identity (Kingma et al. 2016, section 4).
FORGET_BIAS = 2.0
_MOMENT_DRAWS = 64


_FARTHEST, _LEAST_GATE = 1e6, -50.0


class FlowDistribution(tfd.TransformedDistribution):
    """A normal that a conditional flow has been run over, with moments from 64 fixed draws.

    The draws are of noise that is the same on every machine and in every graph, comes in pairs of
    opposite sign, and is scaled to variance 1: of a flow that is affine in each dimension the
    moments are exact.

    Args:
      distribution: the normal, batch shape [B], event shape [D].
      context: what the flow is told, [B, H].
      flow: from a context to the bijector.
      validate_args: whether the distribution checks its parameters, at some cost.
      name: of the operations.
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
        # The loop that inverts a flow keeps the shape it begins with, so the images of a batch
        # have to be in it, as they are not where a mixture asks all its components about one z.
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
        """Returns [64, B, D]."""
        normal = self.distribution
        noise = fixed_noise(normal.event_shape[-1], _MOMENT_DRAWS)
        noise = noise.reshape([len(noise), *[1] * normal.batch_shape.rank, noise.shape[-1]])
        draws = normal.mean() + normal.stddev() * tf.constant(noise, normal.dtype)
        return self.bijector.forward(draws)


def gated_step(
    network: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]], context: tf.Tensor
) -> tfb.Bijector:
    """Returns the bijector z -> s * z + (1 - s) * m, s = sigmoid(a + 2), (m, a) = network(z, h).

    Forwards it takes one pass of the network, backwards D.

    Args:
      network: autoregressive, from z [..., D] and the context to m and a, [..., D] each.
      context: h, [..., H].
    """

    def undone(z: tf.Tensor) -> tfb.Bijector:
        # On the way back a z that q hardly ever draws may overflow, and is then of log q = -inf;
        # without the two bounds, which no draw comes near, infinities would cancel to NaN.
        value, gate = network(tf.clip_by_value(z, -_FARTHEST, _FARTHEST), context)
        gate = tf.maximum(gate + FORGET_BIAS, _LEAST_GATE)
        shift = tfb.Shift(tf.sigmoid(-gate) * value)
        scale = tfb.Scale(log_scale=tf.math.log_sigmoid(gate))
        return tfb.Invert(tfb.Chain([shift, scale]))

    # A masked flow computes its parameters from what its inverse is given, which is this z.
    return tfb.Invert(tfb.MaskedAutoregressiveFlow(bijector_fn=undone))


@functools.cache
def fixed_noise(size: int, num_draws: int) -> np.ndarray:
    """Returns an even number of draws of N(0, I), [num_draws, size], always the same ones.

    They are of mean 0 and variance 1 in each dimension.
    """
    # Of NumPy, since TensorFlow's draws differ from device to device; RandomState is the one of
    # its generators whose draws are the same in every version.
    half = np.random.RandomState(0).standard_normal((num_draws // 2, size))
    noise = np.concatenate([half, -half])
    return noise / noise.std(axis=0)
