"""Keras' own layers, where TensorFlow computes a gradient slowly or wrongly on a CPU.

Of TensorFlow 2.21: the gradient of a strided slice takes ten times as long as the padding that it
is; and that of `tf.nn.bias_add` in bfloat16 is summed in bfloat16, where a sum of 200,000 like
numbers ends at a two-hundredth of what it is.
"""

import tensorflow as tf
import tf_keras

tfkl = tf_keras.layers


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class Cropping2D(tfkl.Cropping2D):
    """Keras' own, with padding for a gradient."""

    def call(self, inputs):
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
    """Keras' own, whose bias learns in 16 bits too."""

    def call(self, inputs):
        if _is_exact(self):
            return super().call(inputs)
        shape = [tf.shape(inputs)[0], *self.compute_output_shape(inputs.shape)[1:]]
        padding, dilations = self.padding.upper(), self.dilation_rate
        options = {"strides": self.strides, "padding": padding, "dilations": dilations}
        outputs = tf.nn.conv2d_transpose(inputs, self.kernel, shape, **options)
        return self.activation(outputs + self.bias)


def _is_exact(layer: tf_keras.layers.Layer) -> bool:
    return not layer.use_bias or layer.compute_dtype == layer.variable_dtype
