"""Networks without any probability in them: images to features, latents to pixel parameters.

An encoder backbone ends in features of any shape. A decoder backbone ends in [H, W, channels]
parameters of the likelihood. Decoders whose strides make another size than asked are cropped.
"""

import math
from collections.abc import Callable

import tf_keras

Layers = list[tf_keras.layers.Layer]
tfkl = tf_keras.layers


def dense_encoder() -> Layers:
    """Returns one hidden layer of 256."""
    return [tfkl.Flatten(), tfkl.Dense(256, activation="relu")]


def dense_decoder(height: int, width: int, channels: int, use_bias: bool) -> Layers:
    """Returns one hidden layer of 256 and the pixels."""
    del use_bias  # it has one in any case
    return [
        tfkl.Dense(256, activation="relu"),
        tfkl.Dense(height * width * channels),
        tfkl.Reshape((height, width, channels)),
    ]


def conv_encoder() -> Layers:
    """Returns three convolutions, each halved by max pooling: 28x28 becomes 4x4x8."""
    return [
        layer
        for filters in (16, 8, 8)
        for layer in (
            tfkl.Conv2D(filters, 3, padding="same", activation="relu"),
            tfkl.MaxPool2D(padding="same"),
        )
    ]


def conv_decoder(height: int, width: int, channels: int, use_bias: bool) -> Layers:
    """Returns three convolutions, each doubled by repetition: 4x4x8 becomes 28x28."""
    del use_bias  # it has one in any case
    base = [math.ceil((side + 4) / 8) for side in (height, width)]
    made = [8 * side - 4 for side in base]
    return [
        tfkl.Dense(math.prod(base) * 8, activation="relu"),
        tfkl.Reshape((*base, 8)),
        tfkl.Conv2D(8, 3, padding="same", activation="relu"),
        tfkl.UpSampling2D(),
        tfkl.Conv2D(8, 3, padding="same", activation="relu"),
        tfkl.UpSampling2D(),
        tfkl.Conv2D(16, 3, activation="relu"),
        tfkl.UpSampling2D(),
        tfkl.Conv2D(channels, 3, padding="same"),
        *_crop(made, (height, width)),
    ]


def flowers_encoder() -> Layers:
    """Returns five strided convolutions: 80x80 becomes 8x8x128."""
    layers = ((32, 5, 1), (32, 5, 2), (64, 5, 1), (64, 5, 2), (128, 7, 1))
    return [
        tfkl.Conv2D(filters, kernel, strides, activation="leaky_relu")
        for filters, kernel, strides in layers
    ]


def flowers_decoder(height: int, width: int, channels: int, use_bias: bool) -> Layers:
    """Returns six transposed convolutions: 8x8x128 becomes 80x80."""
    base = [max(1, math.ceil((side - 48) / 4)) for side in (height, width)]
    made = [4 * side + 48 for side in base]
    layers = ((128, 7, 1), (64, 5, 2), (64, 5, 1), (32, 5, 2), (32, 5, 1))
    return [
        tfkl.Dense(math.prod(base) * 128, activation="relu"),
        tfkl.Reshape((*base, 128)),
        *(
            tfkl.Conv2DTranspose(filters, kernel, strides, activation="leaky_relu", use_bias=False)
            for filters, kernel, strides in layers
        ),
        tfkl.Conv2DTranspose(channels, 4, use_bias=use_bias),
        *_crop(made, (height, width)),
    ]


def _crop(made: list[int], wanted: tuple[int, int]) -> Layers:
    excess = [(m - w) for m, w in zip(made, wanted, strict=True)]
    if not any(excess):
        return []
    return [tfkl.Cropping2D([(side // 2, side - side // 2) for side in excess])]


ENCODERS: dict[str, Callable[[], Layers]] = {
    "conv": conv_encoder,
    "dense": dense_encoder,
    "flowers": flowers_encoder,
}
DECODERS: dict[str, Callable[[int, int, int, bool], Layers]] = {
    "conv": conv_decoder,
    "dense": dense_decoder,
    "flowers": flowers_decoder,
}
