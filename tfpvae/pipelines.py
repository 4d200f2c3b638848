"""Images on their way to Keras, as tf.data that ends when it is over.

An iterator of tf.data has a thread that tunes it, in turns of 10 ms, 20 ms, 40 ms and so on up to
a minute. The end of the iterator waits for this thread; and the thread, where the notice of the end
reaches it too early, waits for the end of its turn (seen with TensorFlow 2.21): what is over after
3.5 seconds then takes 5.1, and what is over after 6 takes 10.2.
"""

import math
import os
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae import _checks, runs


def untuned(data: Any) -> Any:
    """Returns a tf.data.Dataset without the thread that tunes it, and anything else as it is.

    What is AUTOTUNE in it has as many threads as there are processors, from the first element on.
    A dataset whose options say of the tuning what they want, yes or no, stays as it is.

    >>> dataset = untuned(tf.data.Dataset.range(3))
    >>> dataset.options().autotune.enabled, [int(i) for i in dataset]
    (False, [0, 1, 2])
    """
    if not isinstance(data, tf.data.Dataset) or data.options().autotune.enabled is not None:
        return data
    options = tf.data.Options()
    options.autotune.enabled = False
    if data.options().autotune.initial_parallelism is None:
        options.autotune.initial_parallelism = os.cpu_count() or 1
    return data.with_options(options)


def of_rows(
    arrays: tuple[np.ndarray, ...],
    numbers: tf.data.Dataset,
    rows: Callable[[int], np.ndarray],
    batch_size: int,
    steps: int | None,
) -> tf.data.Dataset:
    """Returns batches, or runs of them, of the rows of arrays that belong to each number.

    Args:
      arrays: [N, ...] each; they are read where they are.
      numbers: int64 scalars.
      rows: number -> rows, of a batch or of the batches of a run; asked several at a time.
      batch_size: B, that of a batch of a run.
      steps: None for batches; else how many of them one `runs.Run` has.
    """
    leading = [None] if steps is None else [steps, batch_size]
    shapes = [[*leading, *array.shape[1:]] for array in arrays]
    dtypes = [array.dtype for array in arrays]

    def found(number: np.ndarray) -> list[np.ndarray]:
        some = rows(int(number))
        if steps is None:
            return [np.take(array, some, axis=0) for array in arrays]
        some, sizes = runs.laid_out(some, steps, batch_size)
        return [*(np.take(array, some, axis=0) for array in arrays), sizes]

    # TensorFlow keeps the functions of `tf.numpy_function` forever: this one without the arrays.
    reader = weakref.ref(found)

    def read(number: np.ndarray) -> list[np.ndarray]:
        rows_of = reader()
        if rows_of is None:  # asked once more by a thread whose iterator was left
            raise StopIteration
        return rows_of(number)

    # NumPy's, since a graph of as many operations takes some hundredths of a second to make.
    @tf.autograph.experimental.do_not_convert
    def taken(number: tf.Tensor) -> Any:
        sizes = [] if steps is None else [tf.int32]
        parts = tf.numpy_function(read, [number], [*dtypes, *sizes])
        batches = tuple(map(tf.ensure_shape, parts[: len(shapes)], shapes))
        return batches if steps is None else runs.Run(batches, tf.ensure_shape(parts[-1], [steps]))

    batches = numbers.map(taken, num_parallel_calls=tf.data.AUTOTUNE)
    batches._reader = found  # for as long as the dataset, or an iterator of it
    return untuned(as_written(batches).prefetch(2))


def in_order(arrays: tuple, batch_size: int, steps: int | None = None) -> tf.data.Dataset:
    """Returns the batches of arrays [N, ...] in their own order; the last is what is left.

    Args:
      arrays: what the batches are made of.
      batch_size: B.
      steps: None for batches; else how many of them one `runs.Run` has.

    >>> [batch.numpy().tolist() for (batch,) in in_order((np.arange(5),), 2)]
    [[0, 1], [2, 3], [4]]
    """
    arrays = as_numpy(arrays)
    every = np.arange(len(arrays[0]), dtype=np.int32)
    batch_size = min(batch_size, len(every))
    size = batch_size * (steps or 1)
    starts = tf.data.Dataset.range(0, len(every), size)
    return of_rows(arrays, starts, lambda start: every[start : start + size], batch_size, steps)


def as_written(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset whose graph is not rewritten: for ours that takes longer than it saves."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)


def given_of(arguments: dict[str, Any], *names: str) -> tuple:
    """Returns what was given of some arguments."""
    return tuple(arguments[name] for name in names if arguments.get(name) is not None)


def are_arrays(parts: tuple) -> bool:
    """Returns whether there are some things, and all of them arrays."""
    return bool(parts) and all(map(_checks.is_array, parts))


def count(data: Any, batch_size: int, steps: int | None = None) -> int | None:
    """Returns how many batches there are, None where that is not known.

    >>> count((np.zeros(5), np.zeros(5)), 2), count(tf.data.Dataset.range(3).repeat(), 2)
    (3, None)
    """
    if steps is not None:
        return steps
    if isinstance(data, tf.data.Dataset):
        batches = int(data.cardinality())
        return batches if batches >= 0 else None
    parts = tuple(tf.nest.flatten(data))
    if are_arrays(parts):
        return math.ceil(len(parts[0]) / batch_size)
    return len(data) if hasattr(data, "__len__") else None


def as_numpy(arrays: tuple) -> tuple[np.ndarray, ...]:
    """Returns arrays as Keras has them: floating-point ones of its precision, others as they are.

    >>> images, weights = as_numpy((tf.zeros([2, 3], tf.uint8), np.ones(2)))
    >>> str(images.dtype), str(weights.dtype)
    ('uint8', 'float32')
    """
    found = []
    for array in map(np.asarray, arrays):
        dtype = array.dtype.newbyteorder("=")
        if tf.as_dtype(dtype).is_floating:
            dtype = np.dtype(tf_keras.backend.floatx())
        found.append(array.astype(dtype, copy=False))
    return tuple(found)
