"""Convolutions to so few channels that oneDNN, which computes 16 at once, wastes most of its work.

Neighbouring pixels of a row become channels of one: the convolution moves on by as many, with a
kernel that holds its own once for each, a column further on.
"""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

tfkl = tf_keras.layers

Convolution = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
# Pixels at once. Of 2, 4, 5, 7, 8, 10, 14 and 16 the fastest, or nearly, for the last layers of
# "conv", "cnn" and "flowers".
_ABREAST = 4


def is_narrow(layer: tfkl.Conv2D, inputs: tf.Tensor) -> bool:
    """Returns whether `convolve` is faster by _ABREAST pixels at once, and can be."""
    if layer.filters * _ABREAST > 16 or layer.kernel_size[1] == 1 or layer.groups > 1:
        return False
    if not layer.strides == layer.dilation_rate == (1, 1) or layer.data_format != "channels_last":
        return False
    if inputs.shape.rank != 4 or tf.config.list_logical_devices("GPU"):
        return False
    _, height, width, _ = layer.compute_output_shape(inputs.shape)
    return None not in (height, width) and width % _ABREAST == 0


def convolve(
    layer: tfkl.Conv2D, own: Convolution, inputs: tf.Tensor, kernel: tf.Tensor
) -> tf.Tensor:
    """Returns own(inputs, kernel), computed by _ABREAST pixels at once if it is narrow.

    Its gradients, of which TensorFlow does not waste as much, are those of `own`.
    """
    if not is_narrow(layer, inputs):
        return own(inputs, kernel)

    @tf.custom_gradient
    def abreast(inputs, kernel):
        taps, margins = _as_correlation(layer, kernel)
        shifts = [(shift, _ABREAST - 1 - shift) for shift in range(_ABREAST)]
        taps = tf.concat([tf.pad(taps, [[0, 0], shift, [0, 0], [0, 0]]) for shift in shifts], -1)
        outputs = tf.nn.conv2d(inputs, taps, [1, _ABREAST], [[0, 0], *margins, [0, 0]])

        def gradient(upstream):
            with tf.GradientTape() as tape:
                tape.watch([inputs, kernel])  # a graph leaves out the outputs, which nobody reads
                outputs = own(inputs, kernel)
            return tape.gradient(outputs, [inputs, kernel], upstream)

        return tf.reshape(outputs, [-1, *layer.compute_output_shape(inputs.shape)[1:]]), gradient

    return abreast(inputs, tf.convert_to_tensor(kernel))


def _as_correlation(
    layer: tfkl.Conv2D, kernel: tf.Tensor
) -> tuple[tf.Tensor, list[tuple[int, int]]]:
    """Returns the kernel and the padding of rows and columns with which tf.nn.conv2d is `layer`."""
    is_same, sizes = layer.padding == "same", layer.kernel_size
    if not isinstance(layer, tfkl.Conv2DTranspose):
        return kernel, [((size - 1) // 2, size // 2) if is_same else (0, 0) for size in sizes]
    turned = tf.transpose(tf.reverse(kernel, axis=[0, 1]), [0, 1, 3, 2])
    return turned, [(size // 2, (size - 1) // 2) if is_same else (size - 1,) * 2 for size in sizes]
