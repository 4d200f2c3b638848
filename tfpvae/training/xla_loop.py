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

from tfpvae.training import batch_checks, input_pipeline, xla_loop
from tfpvae.training.input_pipeline import Run


def _forget_gradients(graph: tf.Graph) -> None:
    """Removes the custom gradients of a step that has its gradients: each holds the graph forever.

    `tf.custom_gradient` registers a function for each of its calls, which nothing removes.
    """
    for operation in graph.get_operations():
        name = operation.node_def.attr["_gradient_op_type"].s.decode()
        if name.startswith("CustomGradient-"):
            ops.gradient_registry._registry.pop(name, None)


def many_steps(
    step: Callable[[Any, tf.Tensor], tf.Tensor],
    results: Callable[[tf.Tensor], dict],
    sums: int,
    steps: tf.Variable,
    whole_spec: Callable[[Any], Any] = lambda spec: spec,
    fault: Callable[[Any], tf.Tensor] = lambda batch: tf.constant(""),
) -> Callable[[Any], dict]:
    """Returns what takes a run from an iterator, takes its steps and returns the results.

    Args:
      step: (batch, present) -> numbers to be summed over steps, [sums]; present [rows] is 1 for
        images and 0 for filling. It may have no variables still to be made.
      results: [sums] -> what is returned of all steps.
      sums: how many numbers.
      steps: how many to run in a call; read at each where the iterator is of batches. Where it is
        of `runs.Run`, each has as many as there are.
      whole_spec: spec of a batch -> the same with all that is known of its shapes.
      fault: batch -> a string that says what is wrong with it, "" for nothing. Steps end before
        such a batch, and then the call fails with that string.
    """
    most, rows = tf.Variable(1), tf.Variable(0)  # steps of a full run, rows of a full batch

    @tf.function(jit_compile=True, reduce_retracing=True)
    def run(batches: Any, sizes: tf.Tensor, count: tf.Tensor) -> dict:
        def one(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = tf.nest.map_structure(lambda part: None if part is None else part[i], batches)
            length = tf.shape(tf.nest.flatten(batch)[0])[0]
            more = step(batch, tf.range(length) < sizes[i])
            _forget_gradients(tf.compat.v1.get_default_graph())
            return i + 1, total + tf.cast(more, total.dtype)

        start = tf.constant(0), tf.zeros([sums], tf_keras.backend.floatx())
        _, total = tf.while_loop(lambda i, _: i < count, one, start)
        return results(total)

    @tf.function(reduce_retracing=True)
    def call(iterator: Any) -> dict:
        if isinstance(iterator.element_spec, input_pipeline.Run):
            (batches, sizes), text = next(iterator), tf.constant("")
        else:
            spec = whole_spec(iterator.element_spec)
            count = tf.cast(steps, tf.int32)
            (batches, sizes), text = xla_loop.of_batches(iterator, spec, count, most, rows, fault)
        result = run(batches, sizes, tf.math.count_nonzero(sizes, dtype=tf.int32))
        with tf.control_dependencies(list(result.values())):
            check = batch_checks.refuse(text)
        with tf.control_dependencies([check]):
            return tf.nest.map_structure(tf.identity, result)

    # One trace a model is meant; TensorFlow counts them over all models and warns.
    call._omit_frequent_tracing_warning = True
    return call


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
        with tf.control_dependencies([batch_checks.refuse(text)]):
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
