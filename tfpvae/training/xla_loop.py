"""Many steps as one program of XLA.

Keras compiles one step, and the time between two steps is as long as a step of a small network.
Here one call takes a run of batches and goes over them inside XLA, so that weights and optimizer
stay in place. All runs of a training have one shape, so that the program is compiled once: a short
batch is filled up with its last image, and missing batches with the last batch.
"""

import itertools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow.python.framework import ops

from tfpvae.training import batch_checks
from tfpvae.training.input_pipeline import Run


def many_steps(
    step: Callable[[Any, tf.Tensor], tf.Tensor],
    results: Callable[[tf.Tensor], dict],
    num_sums: int,
    steps: tf.Variable,
    whole_spec: Callable[[Any], Any] = lambda spec: spec,
    fault: Callable[[Any], tf.Tensor] = lambda batch: tf.constant(""),
) -> Callable[[Any], dict]:
    """Returns a function that takes a run of batches from an iterator and runs a step on each.

    Args:
      step: (batch, present) -> numbers that are summed over steps, [num_sums]; present [rows] is 1
        for images and 0 for rows that fill up a batch. It may not make variables.
      results: the sums [num_sums] -> the result of the function.
      num_sums: how many numbers a step returns.
      steps: how many steps to run per call, read at each call of an iterator of batches. An
        element of an iterator of `input_pipeline.Run` has as many as it holds.
      whole_spec: spec of a batch -> the same with all that is known of its shapes.
      fault: batch -> a string that describes its fault, "" for none. Steps end before such a
        batch, and then the call fails with that string.
    """
    max_steps, rows = tf.Variable(1), tf.Variable(0)  # of the largest run and batch so far

    @tf.function(jit_compile=True, reduce_retracing=True)
    def run(batches: Any, sizes: tf.Tensor, count: tf.Tensor) -> dict:
        def add_step(i: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = tf.nest.map_structure(lambda part: None if part is None else part[i], batches)
            length = tf.shape(tf.nest.flatten(batch)[0])[0]
            values = step(batch, tf.range(length) < sizes[i])
            _forget_gradients(tf.compat.v1.get_default_graph())
            return i + 1, sums + tf.cast(values, sums.dtype)

        start = tf.constant(0), tf.zeros([num_sums], tf_keras.backend.floatx())
        return results(tf.while_loop(lambda i, _: i < count, add_step, start)[1])

    @tf.function(reduce_retracing=True)
    def call(iterator: Any) -> dict:
        if isinstance(iterator.element_spec, Run):
            (batches, sizes), text = next(iterator), tf.constant("")
        else:
            spec = whole_spec(iterator.element_spec)
            count = tf.cast(steps, tf.int32)
            (batches, sizes), text = of_batches(iterator, spec, count, max_steps, rows, fault)
        result = run(batches, sizes, tf.math.count_nonzero(sizes, dtype=tf.int32))
        with tf.control_dependencies(list(result.values())):
            check = batch_checks.refuse(text)
        with tf.control_dependencies([check]):
            return tf.nest.map_structure(tf.identity, result)

    # One trace per model is intended; TensorFlow counts them over all models and warns.
    call._omit_frequent_tracing_warning = True
    return call


def of_batches(
    iterator: Any,
    spec: Any,
    count: tf.Tensor,
    max_steps: tf.Variable,
    rows: tf.Variable,
    fault: Callable[[Any], tf.Tensor],
) -> tuple[Run, tf.Tensor]:
    """Returns the next batches of an iterator as one run, and the fault of the batch after them.

    Args:
      iterator: of batches, nests of [rows, ...] whose parts may be None.
      spec: of a batch, with the shapes of all batches beyond the first axis.
      count: how many batches to take; fewer where the iterator ends or a batch has a fault.
      max_steps: steps of the largest run so far, which this function updates.
      rows: rows of a full batch so far, which this function updates.
      fault: batch -> a string that describes its fault, "" for none.

    Raises:
      tf.errors.OutOfRangeError: if the iterator has ended before.
    """
    batches, sizes, text = _take(iterator, spec, count, fault)

    def refuse_or_end() -> tf.Tensor:
        with tf.control_dependencies([batch_checks.refuse(text)]):
            next(iterator)  # raises that it has ended
            return tf.constant(False)

    has_batch = tf.cond(tf.reduce_max(sizes) > 0, lambda: True, refuse_or_end)
    with tf.control_dependencies([has_batch]):
        largest, sizes = tf.reduce_max(sizes), tf.identity(sizes)
    # A single batch may be the short one at the end.
    rows.assign(tf.where(count > 1, largest, tf.maximum(rows, largest)))
    max_steps.assign(tf.maximum(max_steps, count))
    missing = max_steps - count
    indices = tf.pad(_row_indices(sizes, rows), [[0, missing], [0, 0]])
    run = tf.nest.map_structure(
        lambda part: None if part is None else tf.gather(part, indices), batches
    )
    return Run(run, tf.pad(sizes, [[0, missing]])), text


def _take(
    iterator: Any, spec: Any, count: tf.Tensor, fault: Callable[[Any], tf.Tensor]
) -> tuple[Any, tf.Tensor, tf.Tensor]:
    """Returns batches, concatenated along axis 0, their sizes [count], and a fault.

    Missing batches, and all from the first with a fault, have size 0.
    """
    is_tensor = [isinstance(part, tf.TensorSpec) for part in tf.nest.flatten(spec)]  # else None
    specs = list(itertools.compress(tf.nest.flatten(spec), is_tensor))
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
        return tf.cond(batch.has_value(), lambda: check(batch.get_value()), lambda: (empty(), text))

    def check(batch: Any) -> tuple[list[tf.Tensor], tf.Tensor]:
        text = fault(batch)
        flat = itertools.compress(tf.nest.flatten(batch), is_tensor)
        pairs = list(zip(flat, specs, strict=True))

        def shaped() -> list[tf.Tensor]:
            return [tf.ensure_shape(rows, part.shape) for rows, part in pairs]

        return tf.cond(text == "", shaped, empty), text

    def take_one(i, parts, sizes, text):
        batch, text = tf.cond(text == "", lambda: read(text), lambda: (empty(), text))
        parts = [part.write(i, rows) for part, rows in zip(parts, batch, strict=True)]
        return i + 1, parts, sizes.write(i, tf.shape(batch[0])[0]), text

    start = (tf.constant(0), parts, sizes, tf.constant(""))
    # One at a time, so that batches keep their order.
    _, parts, sizes, text = tf.while_loop(
        lambda i, *_: i < count, take_one, start, parallel_iterations=1
    )
    flat = iter(parts)
    batches = [next(flat).concat() if each else None for each in is_tensor]
    return tf.nest.pack_sequence_as(spec, batches), sizes.stack(), text


def _row_indices(sizes: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the row indices of each batch, [count, rows]; a short batch repeats its last row.

    >>> _row_indices(tf.constant([3, 1]), 3).numpy().tolist()
    [[0, 1, 2], [3, 3, 3]]
    """
    starts = tf.cumsum(sizes, exclusive=True)
    inside = tf.minimum(tf.range(rows), sizes[:, tf.newaxis] - 1)
    return tf.maximum(0, starts[:, tf.newaxis] + inside)


def _forget_gradients(graph: tf.Graph) -> None:
    """Removes the custom gradients of a step whose gradients are computed.

    `tf.custom_gradient` registers a function for each call and never removes it, and each function
    keeps the graph alive.
    """
    for operation in graph.get_operations():
        name = operation.node_def.attr["_gradient_op_type"].s.decode()
        if name.startswith("CustomGradient-"):
            ops.gradient_registry._registry.pop(name, None)
