"""Networks without any probability in them: images to features, latents to pixel parameters.

An encoder backbone ends in features of any shape. A decoder backbone ends in the parameters of the
likelihood, `params_shape`: (H, W, channels) of images, for which alone convolutions are. Decoders
whose strides make another size than asked are cropped. `use_bias` asks for a bias in the last
layer, for those that have none; the others have one anyway.
"""

import functools
import math
from collections.abc import Callable

import tf_keras

from tfpvae.networks import keras_layers
from tfpvae.networks.keras_layers import Dense, leaky_relu
from tfpvae.networks.residual import residual_decoder, residual_encoder

tfkl = tf_keras.layers

Layers = list[tf_keras.layers.Layer]


def _channels_last(layer: Callable[..., tf_keras.layers.Layer]) -> Callable:
    """Returns a layer class that does not ask Keras' image_data_format, which a user may set."""
    return functools.partial(layer, data_format="channels_last")


Conv2D, Conv2DTranspose = map(_channels_last, (keras_layers.Conv2D, keras_layers.Conv2DTranspose))


Cropping2D, ZeroPadding2D = map(_channels_last, (keras_layers.Cropping2D, tfkl.ZeroPadding2D))


MaxPool2D, UpSampling2D = map(_channels_last, (tfkl.MaxPool2D, tfkl.UpSampling2D))


Flatten = _channels_last(tfkl.Flatten)


def dense_encoder() -> Layers:
    """Returns one hidden layer of 256."""
    return [Flatten(), Dense(256, activation="relu")]


def dense_decoder(params_shape: tuple[int, ...], use_bias: bool) -> Layers:
    """Returns one hidden layer of 256 and the pixels."""
    return [Dense(256, activation="relu"), *_parameters(params_shape)]


def deep_encoder() -> Layers:
    """Returns two hidden layers, of 100 and 20."""
    return [Flatten(), Dense(100, activation="relu"), Dense(20, activation="relu")]


def deep_decoder(params_shape: tuple[int, ...], use_bias: bool) -> Layers:
    """Returns two hidden layers, of 20 and 100, and the pixels."""
    return [
        Dense(20, activation="relu"),
        Dense(100, activation="relu"),
        *_parameters(params_shape),
    ]


def conv_encoder() -> Layers:
    """Returns three convolutions, each halved by max pooling: 28x28 becomes 4x4x8."""
    return [
        layer
        for filters in (16, 8, 8)
        for layer in (
            Conv2D(filters, 3, padding="same", activation="relu"),
            MaxPool2D(padding="same"),
        )
    ]


def conv_decoder(params_shape: tuple[int, ...], use_bias: bool) -> Layers:
    """Returns three convolutions, each doubled by repetition: 4x4x8 becomes 28x28."""
    height, width, channels = params_shape
    base = [math.ceil((side + 4) / 8) for side in (height, width)]
    made = [8 * side - 4 for side in base]
    return [
        Dense(math.prod(base) * 8, activation="relu"),
        tfkl.Reshape((*base, 8)),
        Conv2D(8, 3, padding="same", activation="relu"),
        UpSampling2D(),
        Conv2D(8, 3, padding="same", activation="relu"),
        UpSampling2D(),
        Conv2D(16, 3, activation="relu"),
        UpSampling2D(),
        Conv2D(channels, 3, padding="same"),
        *_crop(made, (height, width)),
    ]


def flowers_encoder() -> Layers:
    """Returns five strided convolutions: 80x80 becomes 8x8x128."""
    layers = ((32, 5, 1), (32, 5, 2), (64, 5, 1), (64, 5, 2), (128, 7, 1))
    return [
        Conv2D(filters, kernel, strides, activation=leaky_relu)
        for filters, kernel, strides in layers
    ]


def flowers_decoder(params_shape: tuple[int, ...], use_bias: bool) -> Layers:
    """Returns six transposed convolutions: 8x8x128 becomes 80x80."""
    height, width, channels = params_shape
    base = [max(1, math.ceil((side - 48) / 4)) for side in (height, width)]
    made = [4 * side + 48 for side in base]
    layers = ((128, 7, 1), (64, 5, 2), (64, 5, 1), (32, 5, 2), (32, 5, 1))
    return [
        Dense(math.prod(base) * 128, activation="relu"),
        tfkl.Reshape((*base, 128)),
        *(
            Conv2DTranspose(filters, kernel, strides, activation=leaky_relu, use_bias=False)
            for filters, kernel, strides in layers
        ),
        Conv2DTranspose(channels, 4, use_bias=use_bias),
        *_crop(made, (height, width)),
    ]


def cnn_encoder() -> Layers:
    """Returns two convolutions, each halved by max pooling, and dropout: 28x28 becomes 1600."""
    return [
        Conv2D(32, 3, activation="relu"),
        MaxPool2D(),
        Conv2D(64, 3, activation="relu"),
        MaxPool2D(),
        Flatten(),
        tfkl.Dropout(0.5, rng_type="stateful"),  # which a backup of a training holds
    ]


def cnn_decoder(params_shape: tuple[int, ...], use_bias: bool) -> Layers:
    """Returns three transposed convolutions, the first two doubled: 5x5x64 becomes 28x28."""
    height, width, channels = params_shape
    base = [max(1, math.ceil((side - 8) / 4)) for side in (height, width)]
    made = [4 * side + 8 for side in base]
    return [
        Dense(math.prod(base) * 64),
        tfkl.Reshape((*base, 64)),
        UpSampling2D(),
        Conv2DTranspose(64, 3, activation="relu"),
        UpSampling2D(),
        Conv2DTranspose(32, 3, activation="relu"),
        Conv2DTranspose(channels, 3),
        *_crop(made, (height, width)),
    ]


def kmnist_encoder() -> Layers:
    """Returns four strided convolutions, each batch-normalized: 28x28 becomes 2x2x224."""
    return [
        layer
        for filters in (28, 56, 112, 224)
        for layer in (
            ZeroPadding2D(1),  # "same" would pad an even side at its end alone
            Conv2D(filters, 3, 2),
            *_normalized(),
        )
    ]


def kmnist_decoder(params_shape: tuple[int, ...], use_bias: bool) -> Layers:
    """Returns four transposed convolutions, batch-normalized: 1x1x224 becomes 28x28."""
    height, width, channels = params_shape
    base = [max(1, math.ceil((side - 20) / 8)) for side in (height, width)]
    made = [8 * side + 20 for side in base]
    return [
        Dense(math.prod(base) * 224),
        tfkl.Reshape((*base, 224)),
        Conv2DTranspose(112, 4, use_bias=False),
        *_normalized(),
        Conv2DTranspose(56, 4, 2, "same", use_bias=False),
        *_normalized(),
        Conv2DTranspose(28, 4, 2, use_bias=False),
        Cropping2D(2),
        *_normalized(),
        Conv2DTranspose(channels, 4, 2, "same", use_bias=use_bias),
        *_crop(made, (height, width)),
    ]


def _normalized() -> Layers:
    """Returns batch normalization and leaky relu with the constants that PyTorch starts from.

    Moments are those of the variables' precision: in bfloat16 they take four times as long.
    """
    dtype = tf_keras.mixed_precision.global_policy().variable_dtype
    normalization = tfkl.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype)
    return [normalization, tfkl.LeakyReLU(0.01)]


def _parameters(params_shape: tuple[int, ...]) -> Layers:
    return [Dense(math.prod(params_shape)), tfkl.Reshape(params_shape)]


def _crop(made: list[int], sides: tuple[int, int]) -> Layers:
    excess = [one - other for one, other in zip(made, sides, strict=True)]
    if not any(excess):
        return []
    return [Cropping2D([(side // 2, side - side // 2) for side in excess])]


ENCODERS: dict[str, Callable[..., list[Callable]]] = {
    "cnn": cnn_encoder,
    "conv": conv_encoder,
    "deep": deep_encoder,
    "dense": dense_encoder,
    "flowers": flowers_encoder,
    "kmnist": kmnist_encoder,
    "residual": residual_encoder,
}


DECODERS: dict[str, Callable[..., list[Callable]]] = {
    "cnn": cnn_decoder,
    "conv": conv_decoder,
    "deep": deep_decoder,
    "dense": dense_decoder,
    "flowers": flowers_decoder,
    "kmnist": kmnist_decoder,
    "residual": residual_decoder,
}
