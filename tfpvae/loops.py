"""Many steps as one program of XLA.

Keras compiles one step, and what lies between two of them takes as long as a step of a small
network. Here one call takes a run of batches and goes over them inside XLA, so that weights and
optimizer stay where they are. Steps that are left out are not run, and a short batch is filled up
with images that the step is told to leave out of its means.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow.python.framework import ops

from tfpvae import inputs, runs


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
        if isinstance(iterator.element_spec, runs.Run):
            (batches, sizes), text = next(iterator), tf.constant("")
        else:
            spec = whole_spec(iterator.element_spec)
            count = tf.cast(steps, tf.int32)
            (batches, sizes), text = runs.of_batches(iterator, spec, count, most, rows, fault)
        result = run(batches, sizes, tf.math.count_nonzero(sizes, dtype=tf.int32))
        with tf.control_dependencies(list(result.values())):
            check = inputs.refuse(text)
        with tf.control_dependencies([check]):
            return tf.nest.map_structure(tf.identity, result)

    # One trace a model is meant; TensorFlow counts them over all models and warns.
    call._omit_frequent_tracing_warning = True
    return call
