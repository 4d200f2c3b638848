"""Data that run out: epochs without a batch, and steps that a dataset does not have."""

import math
import warnings

import tensorflow as tf
import tf_keras


class EmptyEpochs(tf_keras.callbacks.Callback):
    """Callback that removes a last epoch without a batch from the history of `fit`."""

    def __init__(self):
        super().__init__()
        self._batches_before, self._is_empty = 0, False

    def on_epoch_begin(self, epoch, logs=None):
        self._batches_before = int(self.model._train_counter.numpy())

    def on_epoch_end(self, epoch, logs=None):
        self._is_empty = int(self.model._train_counter.numpy()) == self._batches_before

    def clean(self, history: tf_keras.callbacks.History) -> None:
        """Removes the last epoch of a history if it had no batch."""
        if self._is_empty:
            history.epoch.pop()
            for values in history.history.values():
                del values[len(history.epoch) :]


def available_epochs(dataset: tf.data.Dataset, steps_per_epoch: int, epochs: int) -> int:
    """Returns how many epochs a dataset without `repeat` has batches for, at most `epochs`.

    Warns if there are fewer, or if the last one is short.

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     available_epochs(tf.data.Dataset.range(8), steps_per_epoch=3, epochs=5)
    3
    """
    batches = int(dataset.cardinality())
    if batches < 0 or batches in (0, steps_per_epoch) or steps_per_epoch * epochs <= batches:
        return epochs
    available = math.ceil(batches / steps_per_epoch)
    warnings.warn(
        f"steps_per_epoch: wanted {steps_per_epoch} batches in each of {epochs} epochs, got a "
        f"dataset of {batches}; training ends with them, in epoch {available}. dataset.repeat() "
        "has no end.",
        stacklevel=4,
    )
    return available


def available_steps(argument: str, dataset: tf.data.Dataset, steps: int) -> int:
    """Returns how many steps one pass over a dataset has, at most `steps`; warns if fewer.

    >>> available_steps("steps", tf.data.Dataset.range(8), 5)
    5
    """
    batches = int(dataset.cardinality())
    if not 0 < batches < steps:
        return steps
    warnings.warn(
        f"{argument}: wanted {steps} batches, got a dataset of {batches}; all of them are used.",
        stacklevel=4,
    )
    return batches
