"""Batches of one call, laid out for a program that runs many steps.

All runs of a training have one shape, so that the program is compiled once: a short batch is filled
up with its last image, and batches that are missing with the last of all.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


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


def of_batches(iterator: Any, count: tf.Tensor, steps: tf.Variable, rows: tf.Variable) -> Run:
    """Returns as many batches of an iterator as one run.

    Args:
      iterator: of batches, nests of [rows, ...] whose parts may be None.
      count: how many to take.
      steps: of the largest run so far; kept.
      rows: of a full batch so far; kept.
    """
    batches, sizes = _taken(iterator, count)
    largest = tf.reduce_max(sizes)
    rows.assign(largest if count > 1 else tf.maximum(rows, largest))  # one may be the short one
    steps.assign(tf.maximum(steps, count))
    left = steps - count
    order = tf.pad(_order(sizes, rows), [[0, left], [0, 0]])
    laid_out = tf.nest.map_structure(
        lambda part: None if part is None else tf.gather(part, order), batches
    )
    return Run(laid_out, tf.pad(sizes, [[0, left]]))


def _taken(iterator: Any, count: tf.Tensor) -> tuple[Any, tf.Tensor]:
    """Returns so many batches, one after the other along axis 0, and their sizes [count]."""
    spec = iterator.element_spec
    is_there = [isinstance(part, tf.TensorSpec) for part in tf.nest.flatten(spec)]  # else None
    parts = [
        tf.TensorArray(part.dtype, count, element_shape=[None, *part.shape[1:]], infer_shape=False)
        for part in itertools.compress(tf.nest.flatten(spec), is_there)
    ]
    sizes = tf.TensorArray(tf.int32, count, element_shape=[])

    def take(i, parts, sizes):
        batch = list(itertools.compress(tf.nest.flatten(next(iterator)), is_there))
        parts = [part.write(i, some) for part, some in zip(parts, batch, strict=True)]
        return i + 1, parts, sizes.write(i, tf.shape(batch[0])[0])

    start = (tf.constant(0), parts, sizes)
    # One at a time, so that batches keep their order.
    _, parts, sizes = tf.while_loop(lambda i, *_: i < count, take, start, parallel_iterations=1)
    found = iter(parts)
    flat = [next(found).concat() if there else None for there in is_there]
    return tf.nest.pack_sequence_as(spec, flat), sizes.stack()


def _order(sizes: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns which rows of all make each batch, [count, rows]; the last of a short one again.

    >>> _order(tf.constant([3, 1]), 3).numpy().tolist()
    [[0, 1, 2], [3, 3, 3]]
    """
    starts = tf.cumsum(sizes, exclusive=True)
    return starts[:, tf.newaxis] + tf.minimum(tf.range(rows), sizes[:, tf.newaxis] - 1)
