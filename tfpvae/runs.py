"""Batches of one call, laid out for a program that runs many steps.

All runs of a training have one shape, so that the program is compiled once: a short batch is filled
up with its last image, and batches that are missing with the last of all.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfpvae import inputs


class Run(NamedTuple):
    """Batches as a nest of [steps, rows, ...], and their sizes [steps]; 0 is filling."""

    batches: Any
    sizes: tf.Tensor


def laid_out(rows: np.ndarray, steps: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns which rows each batch of a run has, [steps, batch_size], and their sizes [steps].

    >>> laid_out(np.array([7, 8, 9], "i4"), steps=3, batch_size=2)
    (array([[7, 8],
           [9, 9],
           [9, 9]], dtype=int32), array([2, 1, 0], dtype=int32))
    """
    filling = steps * batch_size - len(rows)
    sizes = np.clip(len(rows) - batch_size * np.arange(steps, dtype=np.int32), 0, batch_size)
    return np.pad(rows, (0, filling), "edge").reshape(steps, batch_size), sizes


def of_batches(
    iterator: Any,
    spec: Any,
    count: tf.Tensor,
    steps: tf.Variable,
    rows: tf.Variable,
    fault: Callable[[Any], tf.Tensor],
) -> tuple[Run, tf.Tensor]:
    """Returns as many batches of an iterator as one run, and what is wrong with the one after them.

    Args:
      iterator: of batches, nests of [rows, ...] whose parts may be None.
      spec: of a batch; the shapes behind the first axis are those of all batches.
      count: how many to take; there are fewer where the iterator ends, or a batch has a fault.
      steps: of the largest run so far; kept.
      rows: of a full batch so far; kept.
      fault: batch -> a string, "" where nothing is wrong with it.

    Raises:
      tf.errors.OutOfRangeError: if the iterator has ended before.
    """
    batches, sizes, text = _taken(iterator, spec, count, fault)

    def none() -> tf.Tensor:
        with tf.control_dependencies([inputs.refuse(text)]):
            next(iterator)  # says that it has ended
            return tf.constant(False)

    is_there = tf.cond(tf.reduce_max(sizes) > 0, lambda: True, none)
    with tf.control_dependencies([is_there]):
        largest, sizes = tf.reduce_max(sizes), tf.identity(sizes)
    rows.assign(largest if count > 1 else tf.maximum(rows, largest))  # one may be the short one
    steps.assign(tf.maximum(steps, count))
    left = steps - count
    order = tf.pad(_order(sizes, rows), [[0, left], [0, 0]])
    laid_out = tf.nest.map_structure(
        lambda part: None if part is None else tf.gather(part, order), batches
    )
    return Run(laid_out, tf.pad(sizes, [[0, left]])), text


def _taken(
    iterator: Any, spec: Any, count: tf.Tensor, fault: Callable[[Any], tf.Tensor]
) -> tuple[Any, tf.Tensor, tf.Tensor]:
    """Returns batches, one after the other along axis 0, their sizes [count], and a fault.

    Batches that are missing, and all from the first with a fault on, have size 0.
    """
    is_there = [isinstance(part, tf.TensorSpec) for part in tf.nest.flatten(spec)]  # else None
    specs = list(itertools.compress(tf.nest.flatten(spec), is_there))
    parts = [
        tf.TensorArray(part.dtype, count, element_shape=[None, *part.shape[1:]], infer_shape=False)
        for part in specs
    ]
    sizes = tf.TensorArray(tf.int32, count, element_shape=[])

    def empty() -> list[tf.Tensor]:
        shapes = [[0, *(side or 0 for side in part.shape[1:])] for part in specs]
        return [tf.zeros(shape, part.dtype) for shape, part in zip(shapes, specs, strict=True)]

    def read(text: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        batch = iterator.get_next_as_optional()
        return tf.cond(batch.has_value(), lambda: whole(batch.get_value()), lambda: (empty(), text))

    def whole(batch: Any) -> tuple[list[tf.Tensor], tf.Tensor]:
        text = fault(batch)
        flat = itertools.compress(tf.nest.flatten(batch), is_there)
        pairs = list(zip(flat, specs, strict=True))

        def shaped() -> list[tf.Tensor]:
            return [tf.ensure_shape(rows, part.shape) for rows, part in pairs]

        return tf.cond(text == "", shaped, empty), text

    def take(i, parts, sizes, text):
        batch, text = tf.cond(text == "", lambda: read(text), lambda: (empty(), text))
        parts = [part.write(i, rows) for part, rows in zip(parts, batch, strict=True)]
        return i + 1, parts, sizes.write(i, tf.shape(batch[0])[0]), text

    start = (tf.constant(0), parts, sizes, tf.constant(""))
    # One at a time, so that batches keep their order.
    _, parts, sizes, text = tf.while_loop(
        lambda i, *_: i < count, take, start, parallel_iterations=1
    )
    flat = iter(parts)
    batches = [next(flat).concat() if there else None for there in is_there]
    return tf.nest.pack_sequence_as(spec, batches), sizes.stack(), text


def _order(sizes: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the rows of each batch, [count, rows]; a short batch repeats its last row.

    >>> _order(tf.constant([3, 1]), 3).numpy().tolist()
    [[0, 1, 2], [3, 3, 3]]
    """
    starts = tf.cumsum(sizes, exclusive=True)
    inside = tf.minimum(tf.range(rows), sizes[:, tf.newaxis] - 1)
    return tf.maximum(0, starts[:, tf.newaxis] + inside)
