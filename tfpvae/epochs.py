"""Arrays as batches whose order is that of a seed and the number of the epoch.

Keras shuffles with a random state of its own, which no backup of a training holds. Here an epoch's
order follows from its number, so that a training that goes on in a new process, at the beginning of
an epoch or inside of one, is given what it would have been given.
"""

import math
import sys
from typing import Any

import tensorflow as tf

from tfpvae import pipelines


class Order:
    """The seed of all orders, and the epoch and the batch that the next iterator begins with."""

    def __init__(self):
        self.dataset: Any = None  # what the user gave, with an order of its own
        with tf.device("CPU:0"):  # where tf.data reads it
            self._state = tf.Variable(tf.zeros([4], tf.int32), trainable=False)

    def begin(self, seed: tf.Tensor, epoch: int, batch: int) -> None:
        """Sets the seed [2], the epoch and the batch."""
        self._state.assign([*tf.unstack(tf.cast(seed, tf.int32)), epoch, batch])

    def read(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns what was set."""
        state = self._state.read_value()
        return state[:2], state[2], state[3]


def endless(arrays: Any, batch_size: int, order: Order, *, shuffle: bool = True) -> tf.data.Dataset:
    """Returns batches of one epoch after the other, without end.

    Args:
      arrays: a nest of arrays [N, ...]; they are kept once, in their dtype.
      batch_size: B; the last batch of an epoch is what is left.
      order: what an iterator begins with; read when the first batch is asked for.
      shuffle: whether each epoch has an order of its own, else that of the arrays.

    >>> order = Order()
    >>> batches = endless(tf.range(5), 2, order)
    >>> first = [batch.numpy().tolist() for batch in batches.take(6)]
    >>> sorted(sum(first[:3], [])), sorted(sum(first[3:], []))
    ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    >>> order.begin([0, 0], epoch=1, batch=1)
    >>> [batch.numpy().tolist() for batch in batches.take(2)] == first[4:]
    True
    """
    with tf.device("CPU:0"):
        arrays = tf.nest.map_structure(tf.convert_to_tensor, arrays)
    count = len(tf.nest.flatten(arrays)[0])
    short = count % batch_size

    @tf.autograph.experimental.do_not_convert
    def rows(epochs_done: tf.Tensor) -> tf.Tensor:
        seed, epoch, batch = order.read()
        found = tf.range(count)
        if shuffle:
            # Below nought, where no step has its seed.
            seed = tf.random.fold_in(seed, -1 - epoch - tf.cast(epochs_done, tf.int32))
            found = tf.random.experimental.stateless_shuffle(found, seed)
        return found[tf.where(epochs_done == 0, batch * batch_size, 0) :]

    @tf.autograph.experimental.do_not_convert
    def batched(rows: tf.Tensor) -> tf.data.Dataset:
        full = tf.size(rows) // batch_size
        batches = tf.reshape(rows[: full * batch_size], [full, batch_size])
        found = tf.data.Dataset.from_tensor_slices(batches)
        if short:
            found = found.concatenate(tf.data.Dataset.from_tensors(rows[-short:]))
        return found

    @tf.autograph.experimental.do_not_convert
    def taken(rows: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda array: tf.gather(array, rows), arrays)

    counted = tf.data.Dataset.range(sys.maxsize)  # counter() takes longer to make
    batches = counted.map(rows).prefetch(1).flat_map(batched)
    batches = batches.map(taken, num_parallel_calls=tf.data.AUTOTUNE)
    return pipelines.untuned(pipelines.as_written(batches).prefetch(2))


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
    **_: Any,
) -> dict[str, Any]:
    """Returns the arguments of `fit` that say what of arrays is trained on."""
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
    return {
        "x": endless(pipelines.as_tensors(arrays), batch_size, order, shuffle=shuffle),
        "y": None,
        "sample_weight": None,
        "batch_size": None,
        "steps_per_epoch": math.ceil(len(arrays[0]) / batch_size),
        "validation_split": 0.0,
        "validation_data": validation_data,
        "validation_batch_size": validation_batch_size or batch_size,
    }
