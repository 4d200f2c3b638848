"""Networks from the top group of latents down to the last, which prior and posterior share."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.networks.keras_layers import Dense, leaky_relu

SCALE_FLOOR = 1e-5  # as that of the posteriors
_RAW_ONE = math.log(math.e - 1)  # of which softplus is 1


class LadderPath(tf_keras.layers.Layer):
    """Base class of the network of a ladder: from each group of latents to the next.

    A state is what the path makes of the groups so far. Subclasses make their layers in `_build`.

    Args:
      sizes: D_i of the groups, from the top down, at least two, each at least 1.
      scale_floor: the least scale of a normal, at least 0.
      **kwargs: of `tf_keras.layers.Layer`.

    Attributes:
      num_features: F, the numbers of an image that posteriors are computed from.
      takes_maps: whether these are the maps of a convolutional network, which know no projection.
    """

    num_features: int
    takes_maps = False

    def __init__(self, sizes: Sequence[int], scale_floor: float = SCALE_FLOOR, **kwargs: Any):
        super().__init__(**kwargs)
        if len(sizes) < 2:
            raise ValueError(f"sizes: wanted at least two groups, got {sizes!r}.")
        self.sizes = tuple(_checks.whole_number("sizes", size) for size in sizes)
        self.scale_floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)

    def build(self, input_shape) -> None:
        """Makes all layers, whatever the input is; `call` is not used."""
        with tf.name_scope(self.name):
            self._build()
        super().build(input_shape)

    def get_build_config(self) -> None:
        """Returns nothing: the layer that has the path builds it."""

    def _build(self) -> None:
        raise NotImplementedError

    def read(self, features: tf.Tensor) -> tuple[tf.Tensor, Any]:
        """Returns the parameters of q(z_0|x), [N, 2 * D_0], and the context of the other groups."""
        raise NotImplementedError

    def start(self, z: tf.Tensor) -> Any:
        """Returns the state after the top group, [N, D_0]."""
        raise NotImplementedError

    def prior_params(self, group: int, state: Any) -> tf.Tensor:
        """Returns the locations and raw scales of p(z_i | z_<i), [N, 2 * D_i]."""
        raise NotImplementedError

    def posterior_params(self, group: int, state: Any, context: Any) -> tf.Tensor:
        """Returns the shifts and raw ratios of q(z_i | z_<i, x) to the prior, [N, 2 * D_i]."""
        raise NotImplementedError

    def down(self, group: int, state: Any, z: tf.Tensor) -> Any:
        """Returns the state after one more group, [N, D_i]."""
        raise NotImplementedError

    def full(self, params: tf.Tensor) -> tf.Tensor:
        """Returns parameters in the precision of distributions."""
        return tf.cast(params, self.variable_dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "sizes": list(self.sizes), "scale_floor": self.scale_floor}


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class DensePath(LadderPath):
    """Path of dense layers. A state is a vector.

    h_i = f_i([h_(i-1), z_(i-1)]),  p(z_i | z_<i) of g_i(h_i),  q(z_i | z_<i, x) of k_i([h_i, c(x)])

    with f_i and k_i of hidden layers, and without any the identity and a linear map. The heads
    start at 0: every group starts as N(0, I), whatever the image.

    Args:
      sizes: see `LadderPath`.
      hidden_units: the widths of the hidden layers of each f_i, and of each k_i.
      context_size: of c, what the posteriors below the top are told of x, at least 1.
      scale_floor: see `LadderPath`.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> path = DensePath([2, 3], hidden_units=[8], context_size=4)
    >>> path.num_features
    8
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden_units: Sequence[int] = (64,),
        context_size: int = 64,
        scale_floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        super().__init__(sizes, scale_floor, **kwargs)
        self.hidden_units = tuple(_checks.hidden_units(hidden_units))
        self.context_size = _checks.whole_number("context_size", context_size)
        self.num_features = 2 * self.sizes[0] + self.context_size

    def _build(self) -> None:
        state_size = 0
        self._steps, self._priors, self._posteriors = [], [], []
        for group, (above, size) in enumerate(itertools.pairwise(self.sizes), start=1):
            steps, state_size = self._hidden(f"step_{group}", state_size + above)
            self._steps.append(steps)
            start = unit_scales(size)
            self._priors.append(self._head(f"prior_{group}", state_size, size, start))
            posterior, width = self._hidden(f"posterior_{group}", state_size + self.context_size)
            head = self._head(f"posterior_{group}", width, size, "zeros")
            self._posteriors.append([*posterior, head])

    def _hidden(self, name: str, size: int) -> tuple[list[tf_keras.layers.Layer], int]:
        """Returns hidden layers for vectors of a size, and the size of their output."""
        layers = []
        for i, units in enumerate(self.hidden_units):
            layers.append(self._dense(f"{name}_hidden_{i}", size, units, activation=leaky_relu))
            size = units
        return layers, size

    def _head(self, name: str, size: int, latents: int, bias: Any) -> tf_keras.layers.Layer:
        options = {"kernel_initializer": "zeros", "bias_initializer": bias}
        return self._dense(f"{name}_head", size, 2 * latents, **options)

    def _dense(self, name: str, size: int, units: int, **options: Any) -> tf_keras.layers.Layer:
        layer = Dense(units, name=name, dtype=self.dtype_policy, **options)
        with tf.name_scope(name):  # by which the weights of an HDF5 file differ
            layer.build([None, size])
        layer.positions = 1  # where the kernel is applied; Keras knows it of called layers
        return layer

    def __repr__(self) -> str:
        names = ("sizes", "hidden_units", "context_size")
        return f"DensePath({', '.join(f'{name}={getattr(self, name)}' for name in names)})"

    def read(self, features):
        return tf.split(features, [2 * self.sizes[0], self.context_size], axis=-1)

    def start(self, z):
        return _applied(self._steps[0], z)

    def prior_params(self, group, state):
        return self.full(self._priors[group - 1](state))

    def posterior_params(self, group, state, context):
        inputs = tf.concat([state, tf.cast(context, state.dtype)], axis=-1)
        return self.full(_applied(self._posteriors[group - 1], inputs))

    def down(self, group, state, z):
        if group == len(self.sizes) - 1:
            return state  # nothing follows
        return _applied(self._steps[group], tf.concat([state, tf.cast(z, state.dtype)], axis=-1))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "hidden_units": list(self.hidden_units),
            "context_size": self.context_size,
        }


def _applied(layers: list, tensor: tf.Tensor) -> tf.Tensor:
    for layer in layers:
        tensor = layer(tensor)
    return tensor


def unit_scales(size: int) -> tf_keras.initializers.Initializer:
    """Returns the initializer of a bias for normals of location 0 and scale 1.

    >>> f"{tf.nn.softplus(unit_scales(1)([2])[1]):.4f}"
    '1.0000'
    """
    return tf_keras.initializers.Constant([0.0] * size + [_RAW_ONE] * size)


def split_sizes(size: int, groups: int = 2) -> list[int]:
    """Returns the sizes of groups of about one size, the smaller ones at the top.

    >>> split_sizes(5)
    [2, 3]
    """
    return [(size + i) // groups for i in range(groups)]
