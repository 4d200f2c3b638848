"""Arrays as batches whose order is that of a seed and the number of the epoch.

Keras shuffles with a random state of its own, which no backup of a training holds. Here an epoch's
order follows from its number, so that a training that goes on in a new process, at the beginning of
an epoch or inside of one, is given what it would have been given.
"""

import math
import sys
from typing import Any

import numpy as np
import tensorflow as tf

from tfpvae import pipelines


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
    return pipelines.of_rows(arrays, numbers, rows, batch_size, steps)


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
    arrays = pipelines.as_numpy(arrays)
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
