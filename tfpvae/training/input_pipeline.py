"""Batches of arrays and datasets for fit, evaluate and predict, in an order that can be resumed.

The order of an epoch follows from a seed and its number, so that a training that resumes, at the
beginning of an epoch or inside it, gets the batches it would have got.
"""

import math
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.training import input_pipeline


class Order:
    """The seed of all orders, and the epoch and the batch that the next iterator begins with."""

    def __init__(self):
        self.dataset: Any = None  # what the user gave, with an order of its own
        self._seed, self._epoch, self._batch = [0, 0], 0, 0

    def begin(self, seed: tf.Tensor, epoch: int, batch: int) -> None:
        """Sets the seed [2], the epoch and the batch."""
        self._seed = np.array(tf.convert_to_tensor(seed)).astype(np.uint32).tolist()
        self._epoch, self._batch = epoch, batch

    def of_epoch(self, epoch: int, count: int) -> np.ndarray:
        """Returns all rows in the order of an epoch."""
        return np.random.default_rng([*self._seed, epoch]).permutation(
            np.arange(count, dtype=np.int32)
        )

    def piece(self, number: int, count: int, batch_size: int, size: int) -> tuple[int, slice]:
        """Returns the epoch of a piece, and which rows of it are the piece's.

        Args:
          number: of the piece, from where the iterator begins.
          count: rows of an epoch.
          batch_size: rows of a batch.
          size: rows of a piece.
        """
        epoch, start = self._epoch, self._batch * batch_size
        left = max(0, math.ceil((count - start) / size))
        if number < left:
            start += number * size
        else:
            later, number = divmod(number - left, math.ceil(count / size))
            epoch, start = epoch + 1 + later, number * size
        return epoch, slice(start, start + size)


def endless(
    arrays: tuple[np.ndarray, ...],
    batch_size: int,
    order: Order,
    *,
    shuffle: bool = True,
    steps: int | None = None,
) -> tf.data.Dataset:
    """Returns batches of one epoch after the other, without end.

    Args:
      arrays: [N, ...] each; they are read where they are.
      batch_size: B; the last batch of an epoch is what is left.
      order: what an iterator begins with; read when the first batch is asked for.
      shuffle: whether each epoch has an order of its own, else that of the arrays.
      steps: None for batches; else how many of them, of one epoch, one `runs.Run` has.

    >>> order = Order()
    >>> batches = endless((np.arange(5),), 2, order)
    >>> first = [batch.numpy().tolist() for (batch,) in batches.take(6)]
    >>> sorted(sum(first[:3], [])), sorted(sum(first[3:], []))
    ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    >>> order.begin([0, 0], epoch=1, batch=1)
    >>> [batch.numpy().tolist() for (batch,) in batches.take(2)] == first[4:]
    True
    """
    count = len(arrays[0])
    batch_size = min(batch_size, count)
    kept: tuple[int | None, np.ndarray] = (None, np.arange(count, dtype=np.int32))

    def rows(number: int) -> np.ndarray:
        nonlocal kept
        epoch, some = order.piece(number, count, batch_size, batch_size * (steps or 1))
        found = kept  # which the next epoch's first piece may replace meanwhile
        if shuffle and found[0] != epoch:
            found = kept = (epoch, order.of_epoch(epoch, count))
        return found[1][some]

    numbers = tf.data.Dataset.range(sys.maxsize)  # counter() takes longer to make
    batches = input_pipeline.of_rows(arrays, numbers, rows, batch_size, steps)
    # MLflow's autolog reads the data to their end before training: one epoch, then.
    batches.as_numpy_iterator = lambda: in_order(arrays, batch_size).as_numpy_iterator()
    return batches


def for_fit(
    order: Order,
    *,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: bool = True,
    validation_split: float = 0.0,
    validation_data: Any = None,
    validation_batch_size: int | None = None,
    steps: int | None = None,
    **_: Any,
) -> dict[str, Any]:
    """Returns the arguments of `fit` that say what of arrays is trained on; see `endless`."""
    arrays = (x, y, sample_weight)[: 1 if y is None else 2 if sample_weight is None else 3]
    if validation_split:
        kept = math.floor(len(x) * (1 - validation_split))  # from the front, as Keras does
        if not 0 < kept < len(x):
            raise ValueError(
                "validation_split: wanted a part that leaves images to train and to validate on, "
                f"got {validation_split} of {len(x)}."
            )
        validation_data = tuple(array[kept:] for array in arrays)
        arrays = tuple(array[:kept] for array in arrays)
    batch_size = batch_size or 32
    arrays = input_pipeline.as_numpy(arrays)
    return {
        "x": endless(arrays, batch_size, order, shuffle=shuffle, steps=steps),
        "y": None,
        "sample_weight": None,
        "batch_size": None,
        "steps_per_epoch": math.ceil(len(arrays[0]) / batch_size),
        "validation_split": 0.0,
        "validation_data": validation_data,
        "validation_batch_size": validation_batch_size or batch_size,
    }


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
        some, sizes = input_pipeline.laid_out(some, steps, batch_size)
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
        return (
            batches
            if steps is None
            else input_pipeline.Run(batches, tf.ensure_shape(parts[-1], [steps]))
        )

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
