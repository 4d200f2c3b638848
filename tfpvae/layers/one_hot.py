"""Layer for the labels of a conditional VAE."""

from typing import Any

import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.layers.base import register


@register
class OneHot(tf_keras.layers.Layer):
    """Layer that turns labels [B] into [B, num_classes]: 1 at the class, 0 elsewhere.

    It tells a `VAE` that its networks are conditional, and on how many classes.

    Args:
      num_classes: C, at least 1.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    Raises:
      ValueError, TypeError: for another number of classes; and, when it is called, an
        `tf.errors.InvalidArgumentError` for labels out of range, except under XLA.

    >>> OneHot(3)(tf.constant([2, 0])).numpy().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, num_classes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_classes = _checks.whole_number("num_classes", num_classes)

    def call(self, labels: tf.Tensor) -> tf.Tensor:
        """Returns the labels as one-hot vectors, [B, C]."""
        labels = tf.cast(labels, tf.int32)
        # tf.one_hot would return zeros for a class out of range.
        message = f"labels: wanted whole numbers, 0 <= label < {self.num_classes}."
        is_class = (labels >= 0) & (labels < self.num_classes)
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_class), [message])]):
            return tf.one_hot(labels, self.num_classes, dtype=self.compute_dtype)

    def __repr__(self) -> str:
        return f"OneHot({self.num_classes})"

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "num_classes": self.num_classes}
