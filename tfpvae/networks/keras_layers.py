"""Keras' own layers and activations, where TensorFlow computes slowly or wrongly on a CPU.

Of TensorFlow 2.21: the gradient of a strided slice takes ten times as long as the padding that it
is; that of `tf.nn.bias_add` in bfloat16 is summed in bfloat16, where a sum of 200,000 like numbers
ends at a two-hundredth of what it is; and a transposed convolution of a single pixel takes three
times as long as the product of matrices that it is.
"""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

tfkl = tf_keras.layers

_SLOPE = 0.2  # that of Keras' "leaky_relu"


@tf_keras.saving.register_keras_serializable(package="tfpvae")
def leaky_relu(inputs: tf.Tensor) -> tf.Tensor:
    """Returns Keras' own, whose gradient looks at the outputs, since they have the inputs' signs.

    They may take the inputs' memory then, or be computed with a convolution in one go.
    """
    return _leaky_relu(inputs)


@tf.custom_gradient
def _leaky_relu(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    outputs = tf.nn.leaky_relu(inputs, alpha=_SLOPE)

    def gradient(upstream):
        return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=outputs, alpha=_SLOPE)

    return outputs, gradient


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class Cropping2D(tfkl.Cropping2D):
    """Keras' own, with padding for a gradient."""

    def call(self, inputs):
        if self.data_format == "channels_first":
            return super().call(inputs)
        (top, bottom), (left, right) = self.cropping
        height, width = inputs.shape[1] - top - bottom, inputs.shape[2] - left - right
        return tf.slice(inputs, [0, top, left, 0], [-1, height, width, -1])


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class Dense(tfkl.Dense):
    """Keras' own, whose bias learns in 16 bits too."""

    def call(self, inputs):
        if _is_exact(self):
            return super().call(inputs)
        return self.activation(tf.tensordot(inputs, self.kernel, axes=1) + self.bias)


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class Conv2D(tfkl.Conv2D):
    """Keras' own, whose bias learns in 16 bits too."""

    def call(self, inputs):
        if _is_exact(self):
            return super().call(inputs)
        return self.activation(self.convolution_op(inputs, self.kernel) + self.bias)


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class Conv2DTranspose(tfkl.Conv2DTranspose):
    """Keras' own, as `Conv2D`, which takes less time for a single pixel too."""

    def convolution_op(self, inputs, kernel):
        if self._spreads_a_pixel(inputs):
            return self._spread(inputs, kernel)
        return self._transposed(inputs, kernel)

    def call(self, inputs):
        if _is_exact(self) and not self._spreads_a_pixel(inputs):
            return super().call(inputs)
        outputs = self.convolution_op(inputs, self.kernel)
        return self.activation(outputs + self.bias if self.use_bias else outputs)

    def _transposed(self, inputs, kernel):
        shape = [tf.shape(inputs)[0], *self.compute_output_shape(inputs.shape)[1:]]
        padding, dilations = self.padding.upper(), self.dilation_rate
        options = {"strides": self.strides, "padding": padding, "dilations": dilations}
        return tf.nn.conv2d_transpose(inputs, kernel, shape, **options)

    def _spreads_a_pixel(self, inputs):
        if (self.padding, self.data_format) != ("valid", "channels_last"):
            return False
        made = self.compute_output_shape(inputs.shape)[1:3]
        return inputs.shape[1:3] == (1, 1) and made == self.kernel_size

    def _spread(self, inputs, kernel):
        """Returns the transposed convolution of one pixel, a product of matrices."""
        pixels, kernel = (tf.reshape(x, [-1, inputs.shape[-1]]) for x in (inputs, kernel))
        outputs = tf.matmul(pixels, kernel, transpose_b=True)
        return tf.reshape(outputs, [-1, *self.kernel_size, self.filters])


def _is_exact(layer: tfkl.Layer) -> bool:
    """Returns whether Keras' own is right; of channels_first there is no other."""
    in_full = not layer.use_bias or layer.compute_dtype == layer.variable_dtype
    return in_full or getattr(layer, "data_format", None) == "channels_first"
