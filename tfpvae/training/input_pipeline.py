"""Batches of arrays and datasets, in an order that a resumed training repeats.

Keras shuffles with a random state that no backup of a training holds. Here the order of an epoch
follows from a seed and the number of the epoch, so that a resumed training gets the batches it
would have got, at the beginning of an epoch or inside it.

An iterator of tf.data has a thread that tunes it, in turns of 10 ms, 20 ms, 40 ms and so on up to a
minute. The end of an iterator may wait for the end of a turn (seen with TensorFlow 2.21): 3.5
seconds of work then take 5.1, and 6 take 10.2. So datasets run without it.
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


class Run(NamedTuple):
    """Batches of one call, as a nest of [steps, rows, ...], and their sizes [steps].

    A size of 0 marks a batch that only fills up the run.
    """

    batches: Any
    sizes: tf.Tensor


class Order:
    """The order of all epochs, and the epoch and batch at which the next iterator starts.

    Attributes:
      dataset: the user's dataset, which has an order of its own; None for arrays.
    """

    def __init__(self):
        self.dataset: tf.data.Dataset | None = None
        self._seed, self._epoch, self._batch = [0, 0], 0, 0

    def begin(self, seed: tf.Tensor, epoch: int, batch: int) -> None:
        """Sets the seed [2], the epoch and the batch."""
        self._seed = np.array(tf.convert_to_tensor(seed)).astype(np.uint32).tolist()
        self._epoch, self._batch = epoch, batch

    def permutation(self, epoch: int, count: int) -> np.ndarray:
        """Returns the rows of an epoch in its order, [count]."""
        rng = np.random.default_rng([*self._seed, epoch])
        return rng.permutation(np.arange(count, dtype=np.int32))

    def chunk(self, number: int, count: int, batch_size: int, size: int) -> tuple[int, slice]:
        """Returns the epoch of a chunk of rows, and the place of the chunk in the epoch.

        Args:
          number: of the chunk, counted from the start of the iterator.
          count: rows of an epoch.
          batch_size: rows of a batch.
          size: rows of a chunk.
        """
        epoch, start = self._epoch, self._batch * batch_size
        left = max(0, math.ceil((count - start) / size))
        if number < left:
            start += number * size
        else:
            epochs, number = divmod(number - left, math.ceil(count / size))
            epoch, start = epoch + 1 + epochs, number * size
        return epoch, slice(start, start + size)


def endless(
    arrays: tuple[np.ndarray, ...],
    batch_size: int,
    order: Order,
    *,
    shuffle: bool = True,
    steps: int | None = None,
) -> tf.data.Dataset:
    """Returns the batches of one epoch after another, without end.

    Args:
      arrays: [N, ...] each; they are not copied.
      batch_size: B; the last batch of an epoch may be smaller.
      order: where an iterator starts; read when it is asked for its first batch.
      shuffle: whether each epoch has an order of its own, else that of the arrays.
      steps: None for batches; else the number of batches of an epoch in one `Run`.

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
    cache: tuple[int | None, np.ndarray] = (None, np.arange(count, dtype=np.int32))

    def rows(number: int) -> np.ndarray:
        nonlocal cache
        epoch, chunk = order.chunk(number, count, batch_size, batch_size * (steps or 1))
        cached = cache  # the first chunk of the next epoch may replace it meanwhile
        if shuffle and cached[0] != epoch:
            cached = cache = (epoch, order.permutation(epoch, count))
        return cached[1][chunk]

    numbers = tf.data.Dataset.range(sys.maxsize)  # counter() takes longer to make
    batches = _of_rows(arrays, numbers, rows, batch_size, steps)
    # MLflow's autolog reads the data to their end before training: one epoch, then.
    batches.as_numpy_iterator = lambda: in_order(arrays, batch_size).as_numpy_iterator()
    return batches


def in_order(arrays: tuple, batch_size: int, steps: int | None = None) -> tf.data.Dataset:
    """Returns the batches of arrays [N, ...] in their own order; the last one may be smaller.

    Args:
      arrays: [N, ...] each.
      batch_size: B.
      steps: None for batches; else the number of batches in one `Run`.

    >>> [batch.numpy().tolist() for (batch,) in in_order((np.arange(5),), 2)]
    [[0, 1], [2, 3], [4]]
    """
    arrays = as_numpy(arrays)
    rows = np.arange(len(arrays[0]), dtype=np.int32)
    batch_size = min(batch_size, len(rows))
    size = batch_size * (steps or 1)
    starts = tf.data.Dataset.range(0, len(rows), size)
    return _of_rows(arrays, starts, lambda start: rows[start : start + size], batch_size, steps)


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
    """Returns the arguments of `fit` with arrays replaced by their batches; see `endless`.

    Raises:
      ValueError: for a validation_split that leaves no images on one side.
    """
    arrays = (x, y, sample_weight)[: 1 if y is None else 2 if sample_weight is None else 3]
    if validation_split:
        count = math.floor(len(x) * (1 - validation_split))  # from the front, as Keras does
        if not 0 < count < len(x):
            raise ValueError(
                "validation_split: wanted a part that leaves images to train and to validate on, "
                f"got {validation_split} of {len(x)}."
            )
        validation_data = tuple(array[count:] for array in arrays)
        arrays = tuple(array[:count] for array in arrays)
    batch_size = batch_size or 32
    arrays = as_numpy(arrays)
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
    """Returns a tf.data.Dataset without the thread that tunes it, and other data unchanged.

    AUTOTUNE in it means as many threads as there are processors. A dataset whose options say
    whether it is tuned stays unchanged.

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


def as_numpy(arrays: tuple) -> tuple[np.ndarray, ...]:
    """Returns arrays as Keras takes them: floating-point ones in Keras' floatx, others unchanged.

    >>> images, weights = as_numpy((tf.zeros([2, 3], tf.uint8), np.ones(2)))
    >>> str(images.dtype), str(weights.dtype)
    ('uint8', 'float32')
    """
    converted = []
    for array in map(np.asarray, arrays):
        dtype = array.dtype.newbyteorder("=")
        if tf.as_dtype(dtype).is_floating:
            dtype = np.dtype(tf_keras.backend.floatx())
        converted.append(array.astype(dtype, copy=False))
    return tuple(converted)


def data_of(arguments: dict, *names: str) -> tuple:
    """Returns the arguments of these names that are not None."""
    return tuple(arguments[name] for name in names if arguments.get(name) is not None)


def are_arrays(parts: tuple) -> bool:
    """Returns whether there are parts, and all of them are arrays."""
    return bool(parts) and all(map(_checks.is_array, parts))


def count_batches(data: Any, batch_size: int, steps: int | None = None) -> int | None:
    """Returns the number of batches of data, or None if it is unknown.

    >>> count_batches((np.zeros(5), np.zeros(5)), 2)
    3
    >>> count_batches(tf.data.Dataset.range(3).repeat(), 2)
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


def lay_out(rows: np.ndarray, steps: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of each batch of a run, [steps, batch_size], and the batch sizes [steps].

    >>> lay_out(np.array([7, 8, 9], "i4"), steps=3, batch_size=2)
    (array([[7, 8],
           [9, 9],
           [9, 9]], dtype=int32), array([2, 1, 0], dtype=int32))
    """
    filling = steps * batch_size - len(rows)
    sizes = np.clip(len(rows) - batch_size * np.arange(steps, dtype=np.int32), 0, batch_size)
    return np.pad(rows, (0, filling), "edge").reshape(steps, batch_size), sizes


def _of_rows(
    arrays: tuple[np.ndarray, ...],
    numbers: tf.data.Dataset,
    rows: Callable[[int], np.ndarray],
    batch_size: int,
    steps: int | None,
) -> tf.data.Dataset:
    """Returns batches, or runs of them, of the rows of arrays that belong to each number.

    Args:
      arrays: [N, ...] each; they are not copied.
      numbers: int64 scalars.
      rows: number -> rows of a batch, or of the batches of a run; called from several threads.
      batch_size: B, of a batch of a run.
      steps: None for batches; else the number of batches in one `Run`.
    """
    leading = [None] if steps is None else [steps, batch_size]
    shapes = [[*leading, *array.shape[1:]] for array in arrays]
    dtypes = [array.dtype for array in arrays]

    def read_rows(number: np.ndarray) -> list[np.ndarray]:
        indices = rows(int(number))
        if steps is None:
            return [np.take(array, indices, axis=0) for array in arrays]
        indices, sizes = lay_out(indices, steps, batch_size)
        return [*(np.take(array, indices, axis=0) for array in arrays), sizes]

    # TensorFlow keeps the functions of `tf.numpy_function` forever: this one without the arrays.
    reader = weakref.ref(read_rows)

    def read(number: np.ndarray) -> list[np.ndarray]:
        read_rows = reader()
        if read_rows is None:  # a thread whose iterator was abandoned asks once more
            raise StopIteration
        return read_rows(number)

    # In NumPy: a graph of as many operations takes some hundredths of a second to make.
    def batch(number: tf.Tensor) -> Any:
        sizes = [] if steps is None else [tf.int32]
        parts = tf.numpy_function(read, [number], [*dtypes, *sizes])
        batches = tuple(map(tf.ensure_shape, parts[: len(shapes)], shapes))
        return batches if steps is None else Run(batches, tf.ensure_shape(parts[-1], [steps]))

    batches = numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE)
    batches._reader = read_rows  # for as long as the dataset, or an iterator of it, lives
    return untuned(_not_rewritten(batches).prefetch(2))


def _not_rewritten(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset whose graph is not optimized: that takes longer here than it saves."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)
