"""Normalizing flows: a q(z|x) that is no normal, made of one by invertible steps."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.layers.distribution_layer import register
from tfpvae.layers.posteriors import SCALE_FLOOR, IndependentNormal, Posterior

tfd, tfb = tfp.distributions, tfp.bijectors

# So that a step starts as s = 0.88, near the identity (Kingma et al. 2016, section 4).
_FORGET_BIAS = 2.0
_MOMENT_DRAWS = 64
_FARTHEST, _LEAST_GATE = 1e6, -50.0


@register
class InverseAutoregressiveFlow(Posterior):
    """Layer that turns 2 * D + context_size parameters into a normal bent by autoregressive steps.

    z_0 ~ N(mu, diag(sigma)^2) / c, and then num_flows times, in turn from the first to the last
    dimension and from the last to the first,

      z_t = s * z_(t-1) + (1 - s) * m,  s = sigmoid(a + 2),  (m, a) = network_t(z_(t-1), h),

    where the i-th m and a look only at the dimensions before the i-th, so that
    log q(z) = log N(z_0) - sum of log s (Kingma et al. 2016, equations 10 to 14). The parameters
    are mu, the raw sigma = softplus(raw) + scale_floor, and the context h. The networks' weights
    are weights of this layer. They start with m = a = 0, and c = sigmoid(2)^num_flows is what the
    steps then shrink by: the layer starts as the normal N(mu, diag(sigma)^2) itself.

    A draw takes num_flows passes, and log_prob of it none back: TensorFlow Probability remembers
    where it came from. log_prob of any other z has to invert the flow, D passes a step.

    There is no closed form of the KL, so that it is estimated on draws. Nor is there one of the
    moments: mean(), variance() and stddev() are those of 64 draws, always of the same noise, whose
    own mean is 0 and variance 1 in each dimension.

    Args:
      event_size: D, the size of one draw, such as latent_dim; at least 2, since a flow of one
        dimension would be a normal again.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least element of sigma, at least 0.
      num_flows: number of steps, at least 1; by two, every dimension sees all others.
      hidden_units: width of each hidden layer of a network; better not below D - 1.
      context_size: size of h, what a network is told of x beside z, at least 1.
      **kwargs: of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> layer = InverseAutoregressiveFlow(3, context_size=4)
    >>> posterior = layer(tf.zeros([5, layer.num_params]))
    >>> posterior.log_prob(posterior.sample(7)).shape, posterior.stddev().shape
    (TensorShape([7, 5]), TensorShape([5, 3]))
    """

    _size_options = ("context_size",)

    def __init__(
        self,
        event_size: int,
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        num_flows: int = 2,
        hidden_units: Sequence[int] = (64, 64),
        context_size: int = 16,
        **kwargs: Any,
    ):
        event_size = _checks.whole_number("event_size", event_size, minimum=2)
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        num_flows = _checks.whole_number("num_flows", num_flows)
        widths = _checks.hidden_units(hidden_units)
        context_size = _checks.whole_number("context_size", context_size)
        super().__init__(
            lambda t: self._new(t), event_size, convert_to_tensor_fn, validate_args, **kwargs
        )
        self._scale_floor = floor
        self._hidden_units = widths
        self._context_size = context_size
        self._networks = [
            AutoregressiveNetwork(
                event_size,
                context_size,
                widths,
                step % 2 == 1,
                name=f"step_{step + 1}",
                dtype=self.dtype,
            )
            for step in range(num_flows)
        ]

    def build(self, input_shape) -> None:
        # Not in call: a Lambda layer, as this one is to Keras, must not make variables there.
        for network in self._networks:
            network.build([None, self._event_shape])
        super().build(input_shape)

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        sizes = [-1, self._context_size]
        normal, context = tf.split(params, sizes, axis=-1)
        normal = IndependentNormal.new(
            normal, self._event_shape, self._validate_args, scale_floor=self._scale_floor
        )
        return FlowDistribution(normal, context, self.flow, self._validate_args)

    def flow(self, context: tf.Tensor) -> tfb.Bijector:
        """Returns the bijector from draws of N(mu, diag(sigma)^2) to z.

        Args:
          context: h, [..., context_size].
        """
        start = 1 / (1 + np.exp(-_FORGET_BIAS))  # of s
        first = tfb.Scale(tf.cast(start ** -len(self._networks), context.dtype))
        steps = [gated_step(network, context) for network in self._networks]
        return tfb.Chain([*reversed(steps), first])

    @staticmethod
    def params_size(event_size: int, context_size: int = 16, name: str | None = None) -> int:
        """Returns the number of parameters an example, 2 * D + context_size."""
        del name  # as in tfp.layers
        return 2 * event_size + context_size

    @staticmethod
    def scale_params(event_size: int, scale: float, context_size: int = 16) -> np.ndarray:
        """Returns the parameters after the means of normals of one scale, less floor; h is 0."""
        raw = IndependentNormal.scale_params(event_size, scale)
        return np.concatenate([raw, np.zeros(context_size)])

    def _event_config(self) -> dict:
        return {"event_size": self._event_shape}

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "scale_floor": self._scale_floor,
            "num_flows": len(self._networks),
            "hidden_units": list(self._hidden_units),
            "context_size": self._context_size,
        }


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
        noise = _fixed_noise(normal.event_shape[-1])
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
        gate = tf.maximum(gate + _FORGET_BIAS, _LEAST_GATE)
        shift = tfb.Shift(tf.sigmoid(-gate) * value)
        scale = tfb.Scale(log_scale=tf.math.log_sigmoid(gate))
        return tfb.Invert(tfb.Chain([shift, scale]))

    # A masked flow computes its parameters from what its inverse is given, which is this z.
    return tfb.Invert(tfb.MaskedAutoregressiveFlow(bijector_fn=undone))


@register
class AutoregressiveNetwork(tf_keras.layers.Layer):
    """Dense network from z and a context to (m, a), the i-th of which see only what is before i.

    A MADE (Germain et al. 2015): kernels are masked as they are used, so that the property holds
    whatever changes the weights. `tfb.AutoregressiveNetwork` leaves the masks to the optimizer, as
    constraints, and its config holds functions.

    Args:
      event_size: D, of z, m and a.
      context_size: H, of the context, which goes into the first layer.
      hidden_units: width of each hidden layer.
      backwards: whether the order is from the last dimension to the first.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> network = AutoregressiveNetwork(3, 2, [8], backwards=False)
    >>> value, gate = network(tf.ones([5, 3]), tf.ones([5, 2]))
    >>> float(tf.norm(value)), gate.shape
    (0.0, TensorShape([5, 3]))
    """

    def __init__(
        self,
        event_size: int,
        context_size: int,
        hidden_units: Sequence[int],
        backwards: bool,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._arguments = (event_size, tuple(hidden_units), backwards)
        self._context_size = context_size

    def build(self, input_shape) -> None:
        def weight(name, shape, initializer):
            # With the layer's name, since HDF5 wants the names inside a head to differ.
            return self.add_weight(f"{self.name}_{name}", shape, initializer=initializer)

        masks = _masks(*self._arguments)
        self._kernels, self._biases = [], []
        for i, mask in enumerate(masks):
            # The last at 0: every m and a then is, too.
            initializer = "zeros" if i == len(masks) - 1 else "glorot_uniform"
            self._kernels.append(weight(f"kernel_{i}", mask.shape, initializer))
            self._biases.append(weight(f"bias_{i}", mask.shape[1:], "zeros"))
        shape = [self._context_size, masks[0].shape[1]]
        self._context_kernel = weight("context_kernel", shape, "glorot_uniform")
        super().build(input_shape)

    def call(self, latents, context):
        hidden = latents
        masks = _masks(*self._arguments)
        for i, (mask, kernel, bias) in enumerate(
            zip(masks, self._kernels, self._biases, strict=True)
        ):
            hidden = tf.nn.elu(hidden) if i else hidden
            hidden = tf.linalg.matmul(hidden, kernel * tf.cast(mask, kernel.dtype)) + bias
            if i == 0:
                hidden += tf.linalg.matmul(context, self._context_kernel)
        return tf.split(hidden, 2, axis=-1)

    def get_config(self) -> dict:
        event_size, hidden_units, backwards = self._arguments
        return {
            **super().get_config(),
            "event_size": event_size,
            "context_size": self._context_size,
            "hidden_units": list(hidden_units),
            "backwards": backwards,
        }


@functools.cache
def _masks(event_size: int, hidden_units: tuple[int, ...], backwards: bool) -> list[np.ndarray]:
    """Returns which element of a kernel is used, [inputs, outputs] (Germain et al., 12 and 13)."""
    order = np.arange(1, event_size + 1)[:: -1 if backwards else 1]
    hidden = [1 + np.arange(units) * (event_size - 1) // units for units in hidden_units]
    degrees = [order, *hidden]
    masks = [before[:, None] <= after for before, after in zip(degrees, hidden, strict=False)]
    return [*masks, degrees[-1][:, None] < np.tile(order, 2)]


@functools.cache
def _fixed_noise(size: int) -> np.ndarray:
    """Returns 64 draws of N(0, I), [64, size], of mean 0 and variance 1 in each dimension."""
    # Of NumPy, since TensorFlow's draws differ from device to device; RandomState is the one of
    # its generators whose draws are the same in every version.
    half = np.random.RandomState(0).standard_normal((_MOMENT_DRAWS // 2, size))
    noise = np.concatenate([half, -half])
    return noise / noise.std(axis=0)
