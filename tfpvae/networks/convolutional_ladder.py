"""Convolutional ladder: bottom-up maps of an image, and the path from small maps to large ones.

Every map has groups of latents, some channels at each position. The blocks are those of
`tfpvae.networks.residual`: nothing normalizes, and nothing is transposed. Locations and raw scales
of the latents are bounded smoothly, as in the code of Vahdat and Kautz (2020).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.networks.keras_layers import Conv2D, leaky_relu
from tfpvae.networks.ladder import SCALE_FLOOR, LadderPath, unit_scales
from tfpvae.networks.residual import Doubling2D, blocks, map_sizes, same, widened, with_border

tfkl = tf_keras.layers

_LAST = {"data_format": "channels_last"}
_START = 0.1  # of the variance of the top group's means, beside scales of about 1
# Of locations and raw scales: without it a rare draw grows from group to group to infinity.
_BOUND = 5.0


def maps_encoder(
    width: int, depth: int, patch: int | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the network images [B, H, W, C] -> all maps, the smallest first: [B, F].

    Args:
      width: channels of the largest map; see `residual_encoder`.
      depth: residual blocks of each map.
      patch: the side of a patch, in pixels; see `map_sizes`.

    >>> maps_encoder(4, 1)(tf_keras.Input((28, 28, 1))).shape  # 7 x 7 x 8 and 14 x 14 x 4
    TensorShape([None, 1176])
    """

    def network(images: tf.Tensor) -> tf.Tensor:
        height, image_width = images.shape[1:3]
        side, maps = map_sizes(height, image_width, patch)
        tensor, features = images, []
        for level in range(len(maps)):
            stride = side if level == 0 else 2
            tensor = Conv2D(widened(width, level), stride, stride, "same", **_LAST)(tensor)
            tensor = blocks(tensor, depth, same)
            features.append(tfkl.Flatten("channels_last")(tfkl.Activation(leaky_relu)(tensor)))
        return tfkl.Concatenate()(features[::-1]) if len(features) > 1 else features[0]

    return network


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class ConvolutionalPath(LadderPath):
    """Path of convolutions, from the smallest map to the largest. A state is a map.

    Args:
      image_shape: (height, width, channels), from which the maps follow; see `map_sizes`.
      groups: how many each map has, the smallest map first; or one number for all maps, of which
        there are at least two groups together.
      latent_channels: of each group, at each position of its map.
      width: channels of the largest map; see `residual_encoder`.
      depth: residual blocks after each group.
      patch: the side of a patch, in pixels, of which the largest map has one at each position, a
        power of two; see `map_sizes`.
      scale_floor: see `LadderPath`.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> ConvolutionalPath((80, 80, 3), groups=1, latent_channels=2).sizes
    (50, 200, 800)
    """

    takes_maps = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        groups: int | Sequence[int] = 2,
        latent_channels: int = 8,
        width: int = 32,
        depth: int = 1,
        patch: int | None = None,
        scale_floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        image_shape = _checks.image_shape(image_shape)
        latent_channels = _checks.whole_number("latent_channels", latent_channels)
        width = _checks.whole_number("width", width)
        if patch is not None and bin(_checks.whole_number("patch", patch)).count("1") != 1:
            raise ValueError(f"patch: wanted a power of two, got {patch}.")
        height, image_width, _ = image_shape
        patch, sides = map_sizes(height, image_width, patch)
        counts = _counts(groups, len(sides))
        maps = [(*side, widened(width, level)) for level, side in enumerate(sides)][::-1]
        # The map of each group.
        levels = [level for level, count in enumerate(counts) for _ in range(count)]
        shapes = [(*maps[level][:2], latent_channels) for level in levels]
        super().__init__([math.prod(shape) for shape in shapes], scale_floor, **kwargs)
        self.num_features = sum(map(math.prod, maps))
        self._depth = _checks.whole_number("depth", depth)
        self._maps, self._levels, self._shapes = tuple(maps), tuple(levels), tuple(shapes)
        self._arguments = {
            "image_shape": image_shape,
            "groups": tuple(counts),
            "latent_channels": latent_channels,
            "width": width,
            "depth": self._depth,
            "patch": patch,
        }

    def _build(self) -> None:
        self._convolutions: dict[str, tf_keras.layers.Layer] = {}
        last = len(self.sizes) - 1
        for group, level in enumerate(self._levels):
            *sides, channels = self._maps[level]
            latents = self._shapes[group][2]
            kernel = "zeros" if group else tf_keras.initializers.VarianceScaling(_START)
            start = {"kernel_initializer": kernel, "bias_initializer": unit_scales(latents)}
            self._add(f"head_{group}", sides, channels, 2 * latents, 3, **start)
            if group:
                half = -(-channels // 2)
                self._add(f"join_{group}", sides, 2 * channels, half, 1)
                self._add(f"posterior_{group}", sides, half, half, 3)
                self._add(f"ratio_{group}", sides, half, 2 * latents, 3, kernel_initializer="zeros")
            self._add(f"latents_{group}", sides, latents, channels, 1)
            for block in range(self._depth):
                self._add(f"block_{group}_{block}", sides, channels, channels, 3)
                name = f"residual_{group}_{block}"
                self._add(name, sides, channels, channels, 3, kernel_initializer="zeros")
            if group < last and self._levels[group + 1] != level:
                self._add(f"enlarged_{group}", sides, channels, self._maps[level + 1][2], 1)
        self._enlarge = [Doubling2D(shape[:2], dtype=self.dtype_policy) for shape in self._maps]

    def _add(
        self, name: str, sides: Any, channels: int, units: int, side: int, **options: Any
    ) -> None:
        """Makes one convolution of a map, (height, width), of these channels."""
        layer = Conv2D(units, side, name=name, dtype=self.dtype_policy, **options, **_LAST)
        with tf.name_scope(name):  # by which the weights of an HDF5 file differ
            layer.build([None, None, None, channels])
        layer.positions = math.prod(sides)  # Keras knows them of called layers
        self._convolutions[name] = layer

    def _apply(self, name: str, tensor: tf.Tensor) -> tf.Tensor:
        """Returns a convolution of a map; one of 3x3 sees its border repeated."""
        layer = self._convolutions[name]
        if layer.kernel_size != (1, 1):
            tensor = with_border(tensor)
        return layer(tensor)

    def _params(self, name: str, tensor: tf.Tensor, group: int) -> tf.Tensor:
        """Returns the locations and raw scales of a group, [N, 2 * D_i], within +-5."""
        height, width, channels = self._shapes[group]
        params = tf.reshape(self._apply(name, tensor), [-1, height * width, 2, channels])
        params = tf.reshape(tf.transpose(params, [0, 2, 1, 3]), [-1, 2 * self.sizes[group]])
        return _BOUND * tf.tanh(self.full(params) / _BOUND)

    def _step(self, group: int, state: Any, z: tf.Tensor) -> tf.Tensor:
        tensor = self._apply(f"latents_{group}", tf.reshape(z, [-1, *self._shapes[group]]))
        tensor = tensor if state is None else state + tensor
        for block in range(self._depth):
            hidden = leaky_relu(self._apply(f"block_{group}_{block}", leaky_relu(tensor)))
            tensor += self._apply(f"residual_{group}_{block}", hidden)
        if f"enlarged_{group}" in self._convolutions:
            tensor = self._apply(f"enlarged_{group}", tensor)
            tensor = self._enlarge[self._levels[group + 1]](tensor)
        return tensor

    def read(self, features):
        parts = tf.split(features, [math.prod(shape) for shape in self._maps], axis=-1)
        maps = [
            tf.cast(tf.reshape(part, [-1, *shape]), self.compute_dtype)
            for part, shape in zip(parts, self._maps, strict=True)
        ]
        return self._params("head_0", maps[0], 0), maps

    def start(self, z):
        return self._step(0, None, z)

    def prior_params(self, group, state):
        return self._params(f"head_{group}", leaky_relu(state), group)

    def posterior_params(self, group, state, context):
        tensor = tf.concat([leaky_relu(state), context[self._levels[group]]], axis=-1)
        tensor = leaky_relu(self._apply(f"join_{group}", tensor))
        tensor = leaky_relu(self._apply(f"posterior_{group}", tensor))
        return self._params(f"ratio_{group}", tensor, group)

    def down(self, group, state, z):
        return self._step(group, state, z)

    def get_config(self) -> dict:
        config = super().get_config()
        del config["sizes"]  # follows from the others
        return {**config, **self._arguments}


def _counts(groups: Any, num_maps: int) -> list[int]:
    """Returns the number of groups of each map.

    Raises:
      TypeError, ValueError: for other than one number above 0, or one for each map.
    """
    counts = [groups] * num_maps if isinstance(groups, int) else list(groups)
    if len(counts) != num_maps:
        raise ValueError(
            f"groups: wanted one number for each of the {num_maps} maps, got {groups!r}."
        )
    return [_checks.whole_number("groups", count) for count in counts]
