"""Convolutional ladder: bottom-up maps of an image, and the path from small maps to large ones.

Every map has groups of latents, some channels at each position. The blocks are those of
`tfpvae.networks.residual`: nothing normalizes, and nothing is transposed.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from tf_keras.src.mixed_precision.policy import policy_scope

from tfpvae import _checks
from tfpvae.networks.keras_layers import Conv2D, leaky_relu
from tfpvae.networks.ladder import SCALE_FLOOR, LadderPath
from tfpvae.networks.residual import Doubling2D, blocks, bordered, map_sizes, same, widened

tfkl = tf_keras.layers

_LAST = {"data_format": "channels_last"}
# Of the means of the top group at first, beside scales of about 1.
_SMALL = tf_keras.initializers.VarianceScaling(0.1)


def maps_encoder(width: int, depth: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the network images [B, H, W, C] -> all maps, the smallest first: [B, F].

    Args:
      width: channels of the largest map; see `residual_encoder`.
      depth: residual blocks of each map.
    """

    def network(images: tf.Tensor) -> tf.Tensor:
        patch, maps = map_sizes(*images.shape[1:3])
        tensor, features = images, []
        for level in range(len(maps)):
            stride = patch if level == 0 else 2
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
      scale_floor: see `LadderPath`.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> ConvolutionalPath((80, 80, 3), groups=1, latent_channels=2).sizes
    [50, 200, 800]
    """

    takes_maps = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        groups: int | Sequence[int] = 2,
        latent_channels: int = 8,
        width: int = 32,
        depth: int = 1,
        scale_floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        image_shape = _checks.image_shape(image_shape)
        latent_channels = _checks.whole_number("latent_channels", latent_channels)
        width = _checks.whole_number("width", width)
        sides = map_sizes(*image_shape[:2])[1]
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
        }

    def _build(self) -> None:
        groups = range(len(self.sizes))
        with policy_scope(self.dtype_policy):
            self._heads = [self._head(group) for group in groups]
            self._posteriors = [self._posterior(group) for group in groups[1:]]
            self._steps = [self._step(group) for group in groups]

    def _head(self, group: int) -> tf_keras.Model:
        """Returns the network from the map of a group to the parameters of a normal."""
        tensor = inputs = tf_keras.Input(self._maps[self._levels[group]])
        if group:
            tensor = tfkl.Activation(leaky_relu)(tensor)
        return tf_keras.Model(inputs, self._params(tensor, group))

    def _posterior(self, group: int) -> tf_keras.Model:
        """Returns the network from the state and the map of an image to relative parameters."""
        shape = self._maps[self._levels[group]]
        state, features = tf_keras.Input(shape), tf_keras.Input(shape)
        tensor = tfkl.Concatenate()([tfkl.Activation(leaky_relu)(state), features])
        tensor = Conv2D(-(-shape[-1] // 2), 1, activation=leaky_relu, **_LAST)(tensor)
        tensor = bordered(tensor, tensor.shape[-1], activation=leaky_relu)
        return tf_keras.Model([state, features], self._params(tensor, group))

    def _params(self, tensor: tf.Tensor, group: int) -> tf.Tensor:
        """Returns the locations and raw scales of a group, at first 0, [B, 2 * D_i]."""
        height, width, channels = self._shapes[group]
        tensor = bordered(tensor, 2 * channels, kernel_initializer="zeros" if group else _SMALL)
        tensor = tfkl.Reshape((height * width, 2, channels))(tensor)
        return tfkl.Flatten("channels_last")(tfkl.Permute((2, 1, 3))(tensor))

    def _step(self, group: int) -> tf_keras.Model:
        """Returns the network from the state and the latents of a group to the next state."""
        level = self._levels[group]
        shape = self._maps[level]
        latents = tf_keras.Input((self.sizes[group],))
        tensor = tfkl.Reshape(self._shapes[group])(latents)
        tensor = Conv2D(shape[-1], 1, **_LAST)(tensor)
        inputs: Any = latents
        if group:
            state = tf_keras.Input(shape)
            inputs, tensor = [state, latents], tfkl.Add()([state, tensor])
        tensor = blocks(tensor, self._depth, bordered)
        following = self._levels[group + 1] if group + 1 < len(self.sizes) else level
        if following != level:
            height, width, channels = self._maps[following]
            tensor = Conv2D(channels, 1, **_LAST)(tensor)
            tensor = Doubling2D((height, width))(tensor)
        return tf_keras.Model(inputs, tensor)

    def read(self, features):
        parts = tf.split(features, [math.prod(shape) for shape in self._maps], axis=-1)
        maps = [
            tf.reshape(part, [-1, *shape]) for part, shape in zip(parts, self._maps, strict=True)
        ]
        return self.full(self._heads[0](maps[0])), maps

    def start(self, z):
        return self._steps[0](z)

    def prior_params(self, group, state):
        return self.full(self._heads[group](state))

    def posterior_params(self, group, state, context):
        return self.full(self._posteriors[group - 1]([state, context[self._levels[group]]]))

    def down(self, group, state, z):
        return self._steps[group]([state, z])

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
