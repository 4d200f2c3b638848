"""A prior that is a normalizing flow: a standard normal transformed by learned bijectors."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tf_keras.src.mixed_precision.policy import policy_scope

from tfpvae import _checks
from tfpvae.priors.base import DelegatingPrior
from tfpvae.saving import serialization

tfd, tfb = tfp.distributions, tfp.bijectors

# A layer scales by at most e^3 = 20 and at least 1/20, so that neither way overflows.
_MOST_LOG_SCALE = 3.0


@serialization.register("tfpvae.Flow")
class Flow(DelegatingPrior):
    """The density of z = f_L(... f_1(u)), u ~ N(0, I), with learned invertible f.

    log p(z) = log N(u; 0, I) - sum_l log |det df_l/du_l|, u = f_1^-1(... f_L^-1(z)). Each f_l
    scales and shifts dimensions of its input; a network computes scale and shift from other
    dimensions. The order of the dimensions is reversed between two layers. The last layer of each
    network starts at zero, so that the flow starts as N(0, I).

    "maf" (masked autoregressive flow: Papamakarios, Pavlakou and Murray 2017, equation 4): each
    dimension depends on those before it. A density takes one pass through the networks, a sample
    latent_dim passes. "realnvp" (real-valued non-volume-preserving coupling: Dinh, Sohl-Dickstein
    and Bengio 2017, equation 7): one half depends on the other; both take one pass.

    Args:
      latent_dim: D, at least 1; at least 2 for "realnvp".
      flow: "maf" or "realnvp".
      num_layers: L, at least 1.
      hidden_units: sizes of the hidden layers of each network, each at least 1.
      seed: integer >= 0 for the start values of the networks.
      dtype: "float32" or "float64"; None for Keras' floatx.
      name: name of the distribution.

    Raises:
      ValueError, TypeError: for an argument out of range.

    >>> flow = Flow(2, num_layers=2, hidden_units=(8,))
    >>> [round(float(p), 4) for p in flow.log_prob([[0.0, 0.0], [1.0, 0.0]])]  # N(0, I) at first
    [-1.8379, -2.3379]
    >>> len(flow.trainable_variables)  # 2 kernels and 2 biases in each of 2 layers
    8
    """

    def __init__(
        self,
        latent_dim: int,
        flow: str = "maf",
        num_layers: int = 4,
        hidden_units: Sequence[int] = (64, 64),
        seed: int = 0,
        dtype: str | None = None,
        name: str = "Flow",
    ):
        parameters = dict(locals())
        dtype = tf.as_dtype(dtype or tf_keras.backend.floatx()).name
        _checks.one_of("flow", flow, _LAYERS)
        least = 2 if flow == "realnvp" else 1  # one dimension has no two halves
        latent_dim = _checks.whole_number("latent_dim", latent_dim, minimum=least)
        num_layers = _checks.whole_number("num_layers", num_layers)
        hidden_units = _checks.hidden_units(hidden_units)
        seed = _checks.whole_number("seed", seed, minimum=0)
        self._layers = [
            _LAYERS[flow](number, latent_dim, hidden_units, seed + number, dtype)
            for number in range(num_layers)
        ]
        super().__init__(latent_dim, dtype, tfd.FULLY_REPARAMETERIZED, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}  # no argument is a tensor that could have a batch shape

    def _delegate(self) -> tfd.Distribution:
        chain = [self._layers[0].bijector()]
        for layer in self._layers[1:]:
            chain += [tfb.Permute(list(reversed(range(self._latent_dim)))), layer.bijector()]
        base = tfd.MultivariateNormalDiag(tf.zeros([self._latent_dim], self.dtype))
        return tfd.TransformedDistribution(base, tfb.Chain(chain))


class _Layer(tf.Module):
    """The weights of a network and its bijector, which starts as the identity.

    The bijector transforms `changed` dimensions, given the first `kept` or, if None, those before
    each. `params` is the network: from these to shifts and log-scales, [B, 2 * changed].
    """

    def __init__(
        self,
        weights: list[tf.Variable],
        changed: int,
        kept: int | None,
        params: Callable[[tf.Tensor], tf.Tensor],
    ):
        super().__init__()
        kernel, bias = weights[-2:]
        kernel.assign(tf.zeros_like(kernel))
        bias.assign(tf.zeros_like(bias))
        self._changed, self._kept = changed, kept
        # In Keras' order; `params` hides the network from tf.Module, which has another order.
        self._weights = weights
        self._params = params

    def bijector(self) -> tfb.Bijector:
        # A new function each time: bijectors of one function share a cache that ignores new values.
        def shift_and_log_scale(x: tf.Tensor, changed: int | None = None) -> list[tf.Tensor]:
            params = self._params(tf.reshape(x, [-1, x.shape[-1]]))
            shape = tf.concat([tf.shape(x)[:-1], [self._changed, 2]], axis=0)
            shift, raw = tf.unstack(tf.reshape(params, shape), num=2, axis=-1)
            return [shift, _MOST_LOG_SCALE * tf.tanh(raw / _MOST_LOG_SCALE)]

        if self._kept is None:
            return tfb.MaskedAutoregressiveFlow(shift_and_log_scale)
        return tfb.RealNVP(self._kept, shift_and_log_scale_fn=shift_and_log_scale)


def _autoregressive(
    number: int, latent_dim: int, hidden_units: list[int], seed: int, dtype: str
) -> _Layer:
    del number  # all layers are alike
    with policy_scope(dtype):  # AutoregressiveNetwork's activations follow the global policy
        network = tfb.AutoregressiveNetwork(
            params=2,
            event_shape=latent_dim,
            hidden_units=hidden_units,
            activation="tanh",
            kernel_initializer=tf_keras.initializers.GlorotUniform(seed),
            dtype=dtype,
        )
        network.build([None, latent_dim])
    weights = list(network.weights)
    return _Layer(weights, latent_dim, None, _masked(weights))


def _masked(weights: list[tf.Variable]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the network of `AutoregressiveNetwork`, with its kernels masked as they are used.

    Its own `call` leaves the masks to the optimizer, which averages the weights before it applies
    them.
    """

    def params(x: tf.Tensor) -> tf.Tensor:
        for i in range(0, len(weights), 2):
            kernel, bias = weights[i : i + 2]
            x = tf.linalg.matmul(tf.tanh(x) if i else x, kernel.constraint(kernel)) + bias
        return x

    return params


def _coupling(
    number: int, latent_dim: int, hidden_units: list[int], seed: int, dtype: str
) -> _Layer:
    # The order is reversed in between, so that this layer keeps what the last one changed.
    kept = latent_dim // 2 if number % 2 == 0 else latent_dim - latent_dim // 2
    changed = latent_dim - kept
    initializer = tf_keras.initializers.GlorotUniform(seed)
    sizes: list[tuple[int, str | None]] = [(units, "tanh") for units in hidden_units]
    dense = [
        tf_keras.layers.Dense(units, activation, kernel_initializer=initializer, dtype=dtype)
        for units, activation in [*sizes, (2 * changed, None)]
    ]
    network = tf_keras.Sequential([tf_keras.Input((kept,), dtype=dtype), *dense])
    return _Layer(list(network.weights), changed, kept, lambda x: network(x))


_LAYERS: dict[str, Callable[..., _Layer]] = {"maf": _autoregressive, "realnvp": _coupling}
