"""Many steps as one program of XLA.

Keras compiles one step, and what lies between two of them takes as long as a step of a small
network. Here one call takes as many batches from the iterator as Keras asks for, lays them out as
[steps, rows, ...] and runs over them inside XLA, so that weights and optimizer stay where they are.
All calls have one shape, and so are compiled once: steps that are left out are not run, and a short
batch is filled up with its last image, which the step is told to leave out of its means.
"""

import itertools
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def many_steps(
    step: Callable[[Any, tf.Tensor], Any],
    results: Callable[[], dict],
    steps: tf.Variable,
    most: int,
) -> Callable[[Any], dict]:
    """Returns what takes batches from an iterator, runs the step on each and returns the results.

    Args:
      step: (batch, present) -> anything; present [rows] is 1 for images and 0 for filling. It may
        have no variables still to be made.
      results: what is returned of all steps.
      steps: how many to run in a call; read at each.
      most: the largest number that `steps` will have.
    """
    rows = tf.Variable(0)  # of a full batch

    @tf.function(jit_compile=True, reduce_retracing=True)
    def run(batches: Any, sizes: tf.Tensor, count: tf.Tensor) -> dict:
        def one(i: tf.Tensor) -> tf.Tensor:
            batch = tf.nest.map_structure(lambda part: None if part is None else part[i], batches)
            length = tf.shape(tf.nest.flatten(batch)[0])[0]
            step(batch, tf.range(length) < sizes[i])
            return i + 1

        tf.while_loop(lambda i: i < count, one, [tf.constant(0)])
        return results()

    @tf.function(reduce_retracing=True)
    def call(iterator: Any) -> dict:
        count = tf.cast(steps, tf.int32)
        batches, sizes = _taken(iterator, count)
        largest = tf.reduce_max(sizes)
        rows.assign(largest if count > 1 else tf.maximum(rows, largest))  # one may be the short one
        order = tf.pad(_order(sizes, rows), [[0, most - count], [0, 0]])
        laid_out = tf.nest.map_structure(
            lambda part: None if part is None else tf.gather(part, order), batches
        )
        return run(laid_out, tf.pad(sizes, [[0, most - count]]), count)

    # One trace a model is meant; TensorFlow counts them over all models and warns.
    call._omit_frequent_tracing_warning = True
    return call


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
