"""Posterior layer with an inverse autoregressive flow."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.flow import FORGET_BIAS, FlowDistribution, gated_step
from tfpvae.layers.base import register, size_of
from tfpvae.layers.posteriors.base import SCALE_FLOOR, Posterior
from tfpvae.layers.posteriors.independent_normal import IndependentNormal
from tfpvae.networks.autoregressive import AutoregressiveNetwork

tfd, tfb = tfp.distributions, tfp.bijectors


@register
class InverseAutoregressiveFlow(Posterior):
    """Layer that turns 2 * D + context_size parameters into a normal bent by autoregressive steps.

    z_0 ~ N(mu, diag(sigma)^2) / c, and then num_flows times, in turn from the first to the last
    dimension and from the last to the first,

      z_t = s * z_(t-1) + (1 - s) * m,  s = sigmoid(a + 2),  (m, a) = network_t(z_(t-1), h),

    where the i-th m and a look only at the dimensions before the i-th, so that
    log q(z) = log N(z_0) - sum of log s (Kingma et al. 2016, equations 10 to 14). The parameters
    are mu, the raw sigma = softplus(raw) + scale_floor, and the context h. The networks' weights
    are weights of this layer. They start with m = a = 0, where the steps shrink z by
    c = sigmoid(2)^num_flows: the layer starts as the normal N(mu, diag(sigma)^2).

    A draw takes num_flows passes through a network, and its log_prob none: TensorFlow Probability
    caches the inverse of a draw. log_prob of any other z inverts the flow, in D passes per step.

    The KL has no closed form, and is estimated on draws. mean(), variance() and stddev() are those
    of 64 draws, always from the same noise, of mean 0 and variance 1 in each dimension.

    Args:
      event_size: D, the size of one draw, such as latent_dim; at least 2, since a flow of one
        dimension would be a normal again.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least element of sigma, at least 0.
      num_flows: number of steps, at least 1; by two, every dimension sees all others.
      hidden_units: width of each hidden layer of a network, at best D - 1 or more.
      context_size: size of h, which tells the networks about x, at least 1.
      **kwargs: arguments of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

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
        event_size = size_of("event_size", event_size, minimum=2)
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
        """Creates the weights of the networks.

        Keras takes this layer for a Lambda layer, which must not create variables in `call`.
        """
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
        start = 1 / (1 + np.exp(-FORGET_BIAS))  # of s
        first = tfb.Scale(tf.cast(start ** -len(self._networks), context.dtype))
        steps = [gated_step(network, context) for network in self._networks]
        return tfb.Chain([*reversed(steps), first])

    @staticmethod
    def params_size(event_size: int, context_size: int = 16, name: str | None = None) -> int:
        """Returns the number of parameters per example, 2 * D + context_size."""
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
        """Returns the constructor's arguments as plain data."""
        return {
            **super().get_config(),
            "scale_floor": self._scale_floor,
            "num_flows": len(self._networks),
            "hidden_units": list(self._hidden_units),
            "context_size": self._context_size,
        }
