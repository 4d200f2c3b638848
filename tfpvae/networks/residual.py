"""Residual networks for images of 28 to 512 pixels, whose depth follows from the size.

Most work is done by wide convolutions of small maps, which a CPU computes fast: the encoder begins
with patches, and the decoder reaches the full size in its last convolution alone. No layer
normalizes; the second convolution of each block starts at 0, so that every block starts as the
identity and deep networks train (Zhang, Dauphin and Ma 2019). The decoder enlarges by bilinear
interpolation, and its convolutions see the border repeated: neither a grid nor a frame is learned
by accident.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.networks.keras_layers import Conv2D, Dense, leaky_relu

tfkl = tf_keras.layers

Network = Callable[[tf.Tensor], tf.Tensor]
Sides = tuple[int, int]

# Whatever Keras' image_data_format is, which a user may set.
_LAST = {"data_format": "channels_last"}

_LARGEST_BASE = 7  # the longer side of the smallest map is at most this
_MOST_WIDENINGS = 2  # the smallest maps have width * 2**2 channels
_SMALL = 64  # images below have patches of 2 pixels, others of 4


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class Doubling2D(tfkl.Layer):
    """Layer that interpolates a map to twice its sides, less a last row or column.

    Args:
      sides: of the result, (height, width): twice those of the map, or one less.
      **kwargs: of `tf_keras.layers.Layer`.
    """

    def __init__(self, sides: Sides, **kwargs: Any):
        super().__init__(**kwargs)
        self.sides = tuple(sides)

    def call(self, inputs):
        twice = [2 * side for side in inputs.shape[1:3]]
        # Of 16 bits XLA has no gradient, and of 64 TensorFlow computes 32.
        outputs = tf.image.resize(tf.cast(inputs, tf.float32), twice)
        outputs = tf.slice(outputs, [0, 0, 0, 0], [-1, *self.sides, -1])
        return tf.cast(outputs, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return tf.TensorShape([input_shape[0], *self.sides, input_shape[-1]])

    def get_config(self) -> dict:
        return {**super().get_config(), "sides": self.sides}


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class BorderPadding2D(tfkl.Layer):
    """Layer that repeats the border of [B, H, W, C] once, so that a convolution sees no frame."""

    def call(self, inputs):
        return with_border(inputs)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return tf.TensorShape([batch, height + 2, width + 2, channels])


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class DoublingConv2D(Conv2D):
    """Convolution of a map doubled by `Doubling2D`, in one convolution of the smaller map.

    A pixel of the large map is a mean of up to four of the small one, and so a convolution of 3x3
    pixels is one of 3x3 positions of the small map, with an output for each of the 2x2 pixels of a
    position. The large map is never made. Its border is repeated, as by `BorderPadding2D`; a result
    one less sees the pixel that it leaves out.

    Args:
      filters: channels of the result.
      sides: of the result, (height, width): twice those of the map, or one less.
      **kwargs: of `tf_keras.layers.Conv2D`. The activation is applied to each element alone.
    """

    def __init__(self, filters: int, sides: Sides, **kwargs: Any):
        super().__init__(filters, kwargs.pop("kernel_size", 3), **kwargs)
        self.sides = tuple(sides)

    def call(self, inputs):
        taps = tf.constant(_TAPS, self.compute_dtype)
        kernel = tf.einsum("abijkl,klcf->ijcabf", taps, self.kernel)
        kernel = tf.reshape(kernel, [3, 3, -1, 4 * self.filters])
        outputs = tf.nn.conv2d(with_border(inputs), kernel, 1, "VALID")
        # The gradient of bias_add is summed in 16 bits, if its inputs have them.
        is_exact = self.compute_dtype == self.variable_dtype
        outputs = (tf.nn.bias_add if is_exact else tf.add)(outputs, tf.tile(self.bias, [4]))
        outputs = tf.nn.depth_to_space(self.activation(outputs), 2)
        if outputs.shape[1:3] == self.sides:
            return outputs
        return tf.slice(outputs, [0, 0, 0, 0], [-1, *self.sides, -1])

    def compute_output_shape(self, input_shape):
        return tf.TensorShape([input_shape[0], *self.sides, self.filters])

    def get_config(self) -> dict:
        return {**super().get_config(), "sides": self.sides}


def _taps() -> np.ndarray:
    """Returns what each pixel of a kernel counts at each position of the small map.

    The axes are the pixel of a position (row, column), the position around it, and the pixel of the
    kernel: [2, 2, 3, 3, 3, 3].
    """
    places = (np.arange(2)[:, None, None] + np.arange(3) - 0.5) / 2 - 0.5  # on the small map
    weights = np.maximum(0, 1 - np.abs(places - np.arange(-1, 2)[:, None]))
    return np.einsum("aik,bjl->abijkl", weights, weights)


_TAPS = _taps()


def with_border(tensor: tf.Tensor) -> tf.Tensor:
    """Returns [B, H + 2, W + 2, C], the border of [B, H, W, C] repeated once.

    >>> with_border(tf.zeros([1, 3, 4, 2])).shape
    TensorShape([1, 5, 6, 2])
    """
    return tf.pad(tensor, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")


def residual_encoder(*, width: int = 32, depth: int = 1) -> list[Network]:
    """Returns the network images [B, H, W, C] -> features [B, h, w, F], h and w at most 7.

    Args:
      width: channels of the largest map, at least 1; the next has twice as many, the others four
        times.
      depth: residual blocks of each map, at least 1.

    Raises:
      TypeError, ValueError: for a width or depth that is no such number.
    """
    _check(width, depth)

    def network(images: tf.Tensor) -> tf.Tensor:
        patch, maps = map_sizes(*images.shape[1:3])
        tensor = images
        for level in range(len(maps)):
            stride = patch if level == 0 else 2
            tensor = Conv2D(widened(width, level), stride, stride, "same", **_LAST)(tensor)
            tensor = blocks(tensor, depth, same)
        return tfkl.Activation(leaky_relu)(tensor)

    return [network]


def residual_decoder(
    params_shape: tuple[int, int, int],
    use_bias: bool,
    *,
    width: int = 32,
    depth: int = 1,
) -> list[Network]:
    """Returns the network latents [B, D] -> pixel parameters [B, H, W, channels].

    Args:
      params_shape: (H, W, channels), channels the parameters of a pixel.
      use_bias: not read, as the last layer has a bias anyway.
      width: channels of the map that the encoder's patches have; see `residual_encoder`.
      depth: residual blocks of each map, at least 1.

    Raises:
      TypeError, ValueError: for a width or depth that is no such number.
    """
    _check(width, depth)
    height, image_width, channels = params_shape

    def network(latents: tf.Tensor) -> tf.Tensor:
        patch, maps = map_sizes(height, image_width)
        smallest = (*maps[-1], widened(width, len(maps) - 1))
        tensor = Dense(math.prod(smallest))(latents)
        tensor = tfkl.Reshape(smallest)(tensor)
        for level in reversed(range(len(maps))):
            tensor = blocks(tensor, depth, bordered)
            if level:
                tensor = Conv2D(widened(width, level - 1), 1, **_LAST)(tensor)
                tensor = Doubling2D(maps[level - 1])(tensor)
        return to_pixels(tensor, height, image_width, channels, patch, width)

    return [network]


def to_pixels(
    tensor: tf.Tensor, height: int, width: int, channels: int, patch: int, units: int
) -> tf.Tensor:
    """Returns the parameters of the pixels, [B, H, W, channels], from the map of the patches.

    Args:
      tensor: [B, H / patch, W / patch, F], rounded up.
      height: H.
      width: W.
      channels: parameters of a pixel.
      patch: the side of a patch, a power of two.
      units: channels of a map of patches of 4 pixels; those of 2 pixels have half as many.

    >>> to_pixels(tf_keras.Input((7, 7, 8)), 28, 27, 3, patch=4, units=8).shape
    TensorShape([None, 28, 27, 3])
    """
    tensor = tfkl.Activation(leaky_relu)(tensor)
    if patch == 1:
        return bordered(tensor, channels)
    tensor = bordered(tensor, max(units * patch // 8, 1), activation=leaky_relu)
    while patch > 2:
        patch //= 2
        sides = -(-height // patch), -(-width // patch)
        filters = max(units * patch // 8, 1)
        tensor = DoublingConv2D(filters, sides, activation=leaky_relu, **_LAST)(tensor)
    return DoublingConv2D(channels, (height, width), **_LAST)(tensor)


def map_sizes(height: int, width: int, patch: int | None = None) -> tuple[int, list[Sides]]:
    """Returns the side of a patch, and the sides of the maps from the largest to the smallest.

    Args:
      height: of the image, at least 1.
      width: of the image, at least 1.
      patch: the side of a patch; None for 2 pixels in images below 64, otherwise 4.

    >>> map_sizes(80, 80), map_sizes(33, 28)
    ((4, [(20, 20), (10, 10), (5, 5)]), (2, [(17, 14), (9, 7), (5, 4)]))
    >>> map_sizes(80, 80, patch=2)[1]
    [(40, 40), (20, 20), (10, 10), (5, 5)]
    """
    patch = patch or (2 if max(height, width) < _SMALL else 4)
    maps = [(-(-height // patch), -(-width // patch))]
    while max(maps[-1]) > _LARGEST_BASE:
        height, width = maps[-1]
        maps.append((-(-height // 2), -(-width // 2)))
    return patch, maps


def widened(width: int, level: int) -> int:
    """Returns the channels of a map, of level 0 for the largest.

    >>> [widened(32, level) for level in range(4)]
    [32, 64, 128, 128]
    """
    return width * 2 ** min(level, _MOST_WIDENINGS)


def blocks(tensor: tf.Tensor, depth: int, convolved: Callable[..., tf.Tensor]) -> tf.Tensor:
    """Returns depth residual blocks, each activation, convolution, activation, convolution.

    >>> blocks(tf_keras.Input((7, 7, 8)), 2, same).shape
    TensorShape([None, 7, 7, 8])
    """
    channels = tensor.shape[-1]
    for _ in range(depth):
        hidden = tfkl.Activation(leaky_relu)(tensor)
        hidden = convolved(hidden, channels, activation=leaky_relu)
        hidden = convolved(hidden, channels, kernel_initializer="zeros")
        tensor = tfkl.Add()([tensor, hidden])
    return tensor


def same(tensor: tf.Tensor, channels: int, **options: Any) -> tf.Tensor:
    """Returns a convolution that sees zeros around the map.

    >>> same(tf_keras.Input((7, 7, 8)), 4).shape
    TensorShape([None, 7, 7, 4])
    """
    return Conv2D(channels, 3, padding="same", **options, **_LAST)(tensor)


def bordered(tensor: tf.Tensor, channels: int, **options: Any) -> tf.Tensor:
    """Returns a convolution that sees the border of the map repeated around it.

    >>> bordered(tf_keras.Input((7, 7, 8)), 4).shape
    TensorShape([None, 7, 7, 4])
    """
    return Conv2D(channels, 3, **options, **_LAST)(BorderPadding2D()(tensor))


def _check(width: int, depth: int) -> None:
    _checks.whole_number("width", width)
    _checks.whole_number("depth", depth)
