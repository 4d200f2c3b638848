"""Checks of each batch of a step, inside the graph.

XLA leaves out assertions, so programs of XLA get batches that were checked before.
"""

import contextlib
import re
from collections.abc import Callable, Iterator

import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae._checks import DataSpec

RANGE = "got values from"
_LABELS = "labels: wanted whole numbers from 0 to"
_WEIGHTS = "sample_weight: wanted finite numbers"


def checked(batch: tuple, spec: DataSpec, num_classes: int | None) -> tuple:
    """Returns the four parts of a batch, as tensors that are computed only if all parts are valid.

    Args:
      batch: images, labels, targets and sample weights, as `conditioning.unpacked` returns them.
      spec: of the images, or whatever the data are.
      num_classes: of a conditional VAE; else None.

    Raises:
      tf.errors.InvalidArgumentError: when the graph runs; `faults_named` puts it into words.
    """
    text = fault(batch, spec, num_classes)
    with tf.control_dependencies([refuse(text)]):
        images, labels, targets, weights = (
            None if part is None else tf.identity(part) for part in batch
        )
    images = tf.ensure_shape(images, batch_shape(images, spec))
    if targets is not None:
        targets = tf.ensure_shape(targets, batch_shape(targets, spec))
    return images, labels, targets, weights


def batch_shape(part: tf.Tensor | tf.TensorSpec, spec: DataSpec) -> list[int | None]:
    """Returns the shape of a batch of examples, [None, ...]; see `DataSpec.shape_of`."""
    return [None, *spec.shape_of(part.shape.rank, part.dtype.is_floating)]


def refuse(text: tf.Tensor) -> tf.Operation | None:
    """Returns an operation that fails with the fault of a batch, unless it is ""."""
    if tf.executing_eagerly():
        if text != "":
            raise tf.errors.InvalidArgumentError(None, None, f"[{text.numpy().decode()}]")
        return tf.no_op()
    return tf.debugging.Assert(tf.equal(text, ""), [text])


def fault(batch: tuple, spec: DataSpec, num_classes: int | None) -> tf.Tensor:
    """Describes the first fault of a batch in a scalar string, "" for none; see `checked`.

    >>> batch = tf.fill([2, 1, 1, 1], 255.0), None, None, None
    >>> fault(batch, DataSpec((1, 1, 1)), None).numpy().decode()
    'images: wanted pixels in [0, 1], got values from 255 to 255.'
    """
    images, labels, targets, weights = batch
    text = _fault_of_examples(images, spec)
    if targets is not None:
        text = _first(text, lambda: _fault_of_examples(targets, spec))
    if num_classes is not None:
        text = _first(text, lambda: _fault_of_labels(labels, num_classes))
    if weights is not None:
        text = _first(text, lambda: _fault_of_weights(weights))
    return text


def _first(text: tf.Tensor, other: Callable[[], tf.Tensor]) -> tf.Tensor:
    return tf.cond(tf.equal(text, ""), other, lambda: text)


def _unless(is_valid: tf.Tensor, text: str, *values: tf.Tensor) -> tf.Tensor:
    return tf.cond(is_valid, lambda: "", lambda: tf.strings.format(text, values))


def _fault_of_examples(examples: tf.Tensor, spec: DataSpec) -> tf.Tensor:
    examples = tf.convert_to_tensor(examples)
    rank = examples.shape.rank
    shape = spec.shape_of(rank, examples.dtype.is_floating)
    if rank is not None and examples.shape[1:] == list(shape):
        return fault_of_values(examples, spec)
    actual = tf.shape(examples)
    has_rank = tf.equal(tf.size(actual), 1 + len(shape))
    has_shape = tf.cond(has_rank, lambda: tf.reduce_all(tf.equal(actual[1:], shape)), lambda: False)
    sides = ", ".join(map(str, shape))
    text = _unless(has_shape, f"images: wanted shape [B, {sides}], got {{}}.", actual)
    return _first(text, lambda: fault_of_values(examples, spec))


def fault_of_values(examples: tf.Tensor, spec: DataSpec) -> tf.Tensor:
    """Describes the first value that a spec does not allow in a scalar string, "" for none."""
    if examples.shape.rank == len(spec.shape):  # of ids
        spec = spec.ids()
    low, high = extremes(examples, spec)
    message = f"images: wanted {spec.values}, "
    text = _unless(
        is_in_range(examples, low, high, spec), f"{message}{RANGE} {{}} to {{}}.", low, high
    )
    if spec.support.is_whole and examples.dtype.is_floating:
        text = _first(
            text, lambda: _unless(_are_whole(examples), f"{message}got some with a fraction.")
        )
    if spec.support.is_one_hot:
        text = _first(
            text, lambda: _unless(_sum_to_1(examples), f"{message}got one whose sum is not 1.")
        )
    return text


def extremes(examples: tf.Tensor, spec: DataSpec) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the least and the largest of all values that are not missing."""
    if not (spec.allows_missing and examples.dtype.is_floating):
        return min_and_max(examples)
    is_missing = tf.math.is_nan(examples)
    low, high = (tf.cast(limit, examples.dtype) for limit in spec.support[:2])
    least = tf.reduce_min(tf.where(is_missing, high, examples))
    return least, tf.reduce_max(tf.where(is_missing, low, examples))


def is_in_range(examples: tf.Tensor, low: tf.Tensor, high: tf.Tensor, spec: DataSpec) -> tf.Tensor:
    """Returns whether examples, whose extremes are `low` and `high`, have values of a spec."""
    support = spec.support
    if examples.dtype == tf.uint8 and support.divides_bytes:
        return tf.constant(True)
    if examples.dtype.is_bool:
        return tf.constant(True)
    dtype = examples.dtype if examples.dtype.is_floating else tf.float64
    low, high = tf.cast(low, dtype), tf.cast(high, dtype)
    least, most = (tf.cast(limit, dtype) for limit in support[:2])
    is_inside = (low >= least) & (high <= most)  # both are NaN if a value is
    return is_inside | tf.equal(tf.size(examples), 0)


def _are_whole(examples: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.equal(examples, tf.floor(examples)) | tf.math.is_nan(examples))


def _sum_to_1(examples: tf.Tensor) -> tf.Tensor:
    sums = tf.reduce_sum(tf.cast(examples, tf_keras.backend.floatx()), axis=-1)
    return tf.reduce_all((tf.abs(sums - 1) < 1e-3) | tf.math.is_nan(sums))


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
    if values.dtype.is_bool:
        values = tf.cast(values, tf.uint8)
    return tf.reduce_min(values), tf.reduce_max(values)


@contextlib.contextmanager
def faults_named(
    argument: str, spec: DataSpec, batches: tf.Variable | None = None
) -> Iterator[None]:
    """Raises the fault that `checked` finds in a step in words, with the number of the batch.

    Args:
      argument: the name under which the user passed the batches.
      spec: of the batches.
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
        raise ValueError(_in_words(argument, text[1], number, spec)) from None


def _in_words(argument: str, text: str, number: int | None, spec: DataSpec) -> str:
    values = re.search(RANGE + r" (\S+) to (\S+)\.$", text)
    if values and text.startswith(f"images: wanted {spec.values},"):
        text = _checks.out_of_range(argument, float(values[1]), float(values[2]), spec)
    text = text.replace("images: ", f"{argument}: ", 1)
    if number is None:
        return text
    return f"{text} This is batch {number}; the weights are those before it."
