"""What a step costs, and so how it is best run: by XLA or not, and how many of them a call."""

import functools
import math

import tensorflow as tf
import tf_keras

from tfpvae.layers.base import DistributionLayer
from tfpvae.layers.one_hot import OneHot
from tfpvae.networks import structure

# About a tenth of a second on two cores, so that the progress bar moves.
_OPERATIONS_A_CALL = 3e10


_STEPS_A_CALL = 50


# Layers that give an image the same whatever the images beside it, and no convolutions.
_DENSE = (
    DistributionLayer,
    OneHot,
    *(
        getattr(tf_keras.layers, name)
        for name in (
            *("Activation", "Add", "Concatenate", "Dense", "Dropout", "ELU", "Embedding"),
            *("Flatten", "InputLayer", "LayerNormalization", "LeakyReLU", "PReLU", "ReLU"),
            "Reshape",
        )
    ),
)


# XLA runs convolutions on a CPU at a fraction of oneDNN's speed; on a GPU either calls cuDNN. Of
# UpSampling2D it has no gradient.
_ON_A_GPU = tuple(
    getattr(tf_keras.layers, name)
    for name in (
        *("AveragePooling2D", "BatchNormalization", "Conv2D", "Conv2DTranspose", "Cropping2D"),
        *("MaxPooling2D", "ZeroPadding2D"),
    )
)


def xla_pays(network: tf_keras.Model) -> bool:
    """Returns whether all layers are known to run faster by XLA, which is there."""
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    return (is_dense(network) or (on_gpu and _are(network, _DENSE + _ON_A_GPU))) and has_xla()


@functools.cache
def has_xla() -> bool:
    """Returns whether XLA compiles for this machine: GPUs of Apple's and of DirectML have none."""
    try:
        tf.function(tf.exp, jit_compile=True)(tf.ones([1]))
    except tf.errors.OpError:
        return False
    return True


def is_dense(network: tf_keras.Model) -> bool:
    """Returns whether all layers are known to be free of convolutions, and to keep rows apart.

    Of a whole VAE, those of both its networks.

    >>> from tfpvae import build_vae
    >>> [is_dense(build_vae(architecture)) for architecture in ("dense", "conv")]
    [True, False]
    """
    return _are(network, _DENSE)


def _are(network: tf_keras.Model, kinds: tuple) -> bool:
    return all(
        isinstance(layer, kinds)
        # Keras divides the loss of an activity by the size of the batch.
        and (isinstance(layer, DistributionLayer) or layer.activity_regularizer is None)
        for layer in structure.layers_of(network)
    )


def operations(network: tf_keras.Model) -> int:
    """Returns the floating-point operations of the matrix products and convolutions of one image.

    A multiplication and an addition are two. A step takes three times as many: forward, and
    backward once for the weights and once for what comes in.

    >>> from tfpvae import build_vae
    >>> operations(build_vae("dense").encoder)  # 784 to 256 to 4
    403456
    """
    return sum(
        2 * math.prod(layer.kernel.shape) * _positions(layer)
        for layer in structure.layers_of(network)
        if hasattr(layer, "kernel")
    )


def steps_a_call(vae: tf_keras.Model, batch_size: int) -> int:
    """Returns how many steps of training one call from Python is to run.

    Counted, not timed, so that the same training is the same on every machine.
    """
    one = operations(vae.encoder) + vae.num_samples * operations(vae.decoder)
    step = max(1, 3 * batch_size * one)
    return max(1, min(_STEPS_A_CALL, int(_OPERATIONS_A_CALL / step)))


def _positions(layer: tf_keras.layers.Layer) -> int:
    """Returns how often the kernel of a layer is applied to one image."""
    is_transposed = isinstance(layer, tf_keras.layers.Conv2DTranspose)
    shape = layer.input_shape if is_transposed else layer.output_shape
    return math.prod(shape[1:-1])
