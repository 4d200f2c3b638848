"""Checks of each batch of a step, inside the graph.

XLA leaves out assertions, so programs of XLA get batches that were checked before.
"""

import contextlib
import re
from collections.abc import Callable, Iterator

import tensorflow as tf
import tf_keras

from tfpvae import _checks

RANGE = "images: wanted pixels in [0, 1], got values from"
_SHAPE = "images: wanted shape"
_LABELS = "labels: wanted whole numbers from 0 to"
_WEIGHTS = "sample_weight: wanted finite numbers"


def checked(batch: tuple, image_shape: tuple[int, ...], num_classes: int | None) -> tuple:
    """Returns the four parts of a batch, as tensors that are computed only if all parts are valid.

    Args:
      batch: images, labels, targets and sample weights, as `conditioning.unpacked` returns them.
      image_shape: (H, W, C).
      num_classes: of a conditional VAE; else None.

    Raises:
      tf.errors.InvalidArgumentError: when the graph runs; `faults_named` puts it into words.
    """
    text = fault(batch, image_shape, num_classes)
    with tf.control_dependencies([refuse(text)]):
        images, labels, targets, weights = (
            None if part is None else tf.identity(part) for part in batch
        )
    shape = [None, *image_shape]
    images = tf.ensure_shape(images, shape)
    targets = None if targets is None else tf.ensure_shape(targets, shape)
    return images, labels, targets, weights


def refuse(text: tf.Tensor) -> tf.Operation | None:
    """Returns an operation that fails with the fault of a batch, unless it is ""."""
    if tf.executing_eagerly():
        if text != "":
            raise tf.errors.InvalidArgumentError(None, None, f"[{text.numpy().decode()}]")
        return tf.no_op()
    return tf.debugging.Assert(tf.equal(text, ""), [text])


def fault(batch: tuple, image_shape: tuple[int, ...], num_classes: int | None) -> tf.Tensor:
    """Describes the first fault of a batch in a scalar string, "" for none; see `checked`.

    >>> batch = tf.fill([2, 1, 1, 1], 255.0), None, None, None
    >>> fault(batch, (1, 1, 1), None).numpy().decode()
    'images: wanted pixels in [0, 1], got values from 255 to 255.'
    """
    images, labels, targets, weights = batch
    text = _fault_of_images(images, image_shape)
    if targets is not None:
        text = _first(text, lambda: _fault_of_images(targets, image_shape))
    if num_classes is not None:
        text = _first(text, lambda: _fault_of_labels(labels, num_classes))
    if weights is not None:
        text = _first(text, lambda: _fault_of_weights(weights))
    return text


def _first(text: tf.Tensor, other: Callable[[], tf.Tensor]) -> tf.Tensor:
    return tf.cond(tf.equal(text, ""), other, lambda: text)


def _unless(is_valid: tf.Tensor, text: str, *values: tf.Tensor) -> tf.Tensor:
    return tf.cond(is_valid, lambda: "", lambda: tf.strings.format(text, values))


def _fault_of_images(images: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
    images = tf.convert_to_tensor(images)
    if images.shape.rank is not None and images.shape[1:] == list(image_shape):
        return _fault_of_range(images)
    shape = tf.shape(images)
    has_rank = tf.equal(tf.size(shape), 1 + len(image_shape))
    has_shape = tf.cond(
        has_rank, lambda: tf.reduce_all(tf.equal(shape[1:], image_shape)), lambda: False
    )
    sides = ", ".join(map(str, image_shape))
    text = _unless(has_shape, f"{_SHAPE} [B, {sides}], got {{}}.", shape)
    return _first(text, lambda: _fault_of_range(images))


def _fault_of_range(images: tf.Tensor) -> tf.Tensor:
    low, high = min_and_max(images)
    return _unless(is_in_range(images, low, high), RANGE + " {} to {}.", low, high)


def is_in_range(
    images: tf.Tensor,
    low: tf.Tensor,
    high: tf.Tensor,
    limits: tuple[float, float] = (0.0, 1.0),
) -> tf.Tensor:
    """Returns whether images, whose extremes are `low` and `high`, are uint8 or within limits."""
    if images.dtype == tf.uint8:
        return tf.constant(True)
    least, most = (tf.cast(limit, images.dtype) for limit in limits)
    is_inside = (low >= least) & (high <= most)  # both are NaN if a pixel is
    return is_inside | tf.equal(tf.size(images), 0)


def _fault_of_labels(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    low, high = min_and_max(labels)
    is_valid = ((low >= 0) & (high < num_classes)) | tf.equal(tf.size(labels), 0)
    return _unless(is_valid, f"{_LABELS} {num_classes - 1}, got {{}} to {{}}.", low, high)


def _fault_of_weights(weights: tf.Tensor) -> tf.Tensor:
    weights = tf.cast(weights, tf_keras.backend.floatx())
    is_valid = tf.reduce_all(tf.math.is_finite(weights))
    return _unless(is_valid, _WEIGHTS + ", got from {} to {}.", *min_and_max(weights))


def min_and_max(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the least and the largest of all values."""
    return tf.reduce_min(values), tf.reduce_max(values)


@contextlib.contextmanager
def faults_named(argument: str, batches: tf.Variable | None = None) -> Iterator[None]:
    """Raises the fault that `checked` finds in a step in words, with the number of the batch.

    Args:
      argument: the name under which the user passed the batches.
      batches: the number of batches before this one; None for a batch by itself.

    Raises:
      ValueError: in place of TensorFlow's error, which names an operation of the graph.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        text = re.search(r"\[((images|labels|sample_weight): wanted .*?\.)\]", error.message)
        if text is None:
            raise
        number = None if batches is None else int(batches.numpy()) + 1
        raise ValueError(_in_words(argument, text[1], number)) from None


def _in_words(argument: str, text: str, number: int | None) -> str:
    values = re.match(re.escape(RANGE) + r" (\S+) to (\S+)\.", text)
    if values:
        text = _checks.out_of_range(argument, float(values[1]), float(values[2]))
    text = text.replace("images: ", f"{argument}: ", 1)
    if number is None:
        return text
    return f"{text} This is batch {number}; the weights are those before it."
