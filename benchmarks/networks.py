"""The layers of a network, and the operations of one image."""

import math
from collections.abc import Iterator

import tf_keras


def layers_of(network: tf_keras.Model) -> Iterator[tf_keras.layers.Layer]:
    """Yields the layers of a network, and those of the networks in it, in order."""
    for layer in network.layers:
        if isinstance(layer, tf_keras.Model):
            yield from layers_of(layer)
        else:
            yield from layer._flatten_layers()  # itself, and the layers of a path


def operations(network: tf_keras.Model) -> int:
    """Counts the floating-point operations of the matrix products and convolutions of one image.

    A multiplication and an addition are two. A training step takes three times as many: one pass
    forward, and backward one for the weights and one for the inputs.
    """
    return sum(
        2 * math.prod(layer.kernel.shape) * _positions(layer)
        for layer in layers_of(network)
        if hasattr(layer, "kernel")
    )


def _positions(layer: tf_keras.layers.Layer) -> int:
    """Returns how often the kernel of a layer is applied per image."""
    if hasattr(layer, "positions"):  # of the path of a ladder
        return layer.positions
    is_transposed = isinstance(layer, tf_keras.layers.Conv2DTranspose)
    shape = layer.input_shape if is_transposed else layer.output_shape
    return math.prod(shape[1:-1])
