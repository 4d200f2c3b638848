"""Data that run out: epochs of no batch, and steps that a dataset does not have."""

import math
import warnings
from typing import Any

import tensorflow as tf
import tf_keras


class EpochCounter(tf_keras.callbacks.Callback):
    """Callback that tells which epoch had no batch, since the data ran out before it."""

    def __init__(self):
        super().__init__()
        self._before, self._is_empty = 0, False

    def on_epoch_begin(self, epoch, logs=None):
        self._before = int(self.model._train_counter.numpy())

    def on_epoch_end(self, epoch, logs=None):
        self._is_empty = int(self.model._train_counter.numpy()) == self._before

    def leave_out_empty_epoch(self, history: tf_keras.callbacks.History) -> None:
        """Removes the last epoch from a history if it had no batch."""
        if self._is_empty:
            history.epoch.pop()
            for values in history.history.values():
                del values[len(history.epoch) :]


def with_counter(callbacks: Any, counter: EpochCounter) -> Any:
    """Returns the callbacks of `fit` with one more."""
    if isinstance(callbacks, tf_keras.callbacks.CallbackList):
        callbacks.append(counter)
        return callbacks
    callbacks = tf.nest.flatten(callbacks or [])
    return [*callbacks, counter]


def epochs_of(dataset: tf.data.Dataset, steps_per_epoch: int, epochs: int) -> int:
    """Returns how many epochs a dataset that is not repeated has batches for.

    Warns where that is less than `epochs`, or the last of them is short.

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     epochs_of(tf.data.Dataset.range(8), steps_per_epoch=3, epochs=5)
    3
    """
    count = int(dataset.cardinality())
    if count < 0 or count in (0, steps_per_epoch) or steps_per_epoch * epochs <= count:
        return epochs
    enough = math.ceil(count / steps_per_epoch)
    warnings.warn(
        f"steps_per_epoch: wanted {steps_per_epoch} batches in each of {epochs} epochs, got a "
        f"dataset of {count}; training ends with them, in epoch {enough}. dataset.repeat() has no "
        "end.",
        stacklevel=4,
    )
    return enough


def steps_of(argument: str, dataset: tf.data.Dataset, steps: int) -> int:
    """Returns how many steps one pass over a dataset has, with a warning if they are fewer.

    >>> steps_of("steps", tf.data.Dataset.range(8), 5)
    5
    """
    count = int(dataset.cardinality())
    if not 0 < count < steps:
        return steps
    warnings.warn(
        f"{argument}: wanted {steps} batches, got a dataset of {count}; all of them are used.",
        stacklevel=4,
    )
    return count
