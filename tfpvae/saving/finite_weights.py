"""Checks that weights are finite before they are saved."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras


def check_weights(model: tf_keras.Model) -> None:
    """Checks that all weights are finite.

    Raises:
      ValueError: naming the first that is not.
    """
    fault = bad_weight(model)
    if fault:
        raise ValueError(
            f"weights: wanted finite numbers to save, got {fault}. Nothing was written, and what "
            "was saved before is whole. tfpvae.evaluation.first_non_finite finds the cause; "
            "tf_keras.models.save_model saves the model even so."
        )


def bad_weight(model: tf_keras.Model) -> str | None:
    """Describes the first weight that is not finite; None if all are."""
    faults = ((weight, describe_non_finite(weight)) for weight in model.weights)
    return next((f"weight '{weight.name}': {fault}" for weight, fault in faults if fault), None)


def describe_non_finite(value: Any) -> str | None:
    """Describes how much of a tensor is not finite; None if all of it is."""
    value = tf.convert_to_tensor(value)
    if not value.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(value))):
        return None
    array = np.asarray(tf.cast(value, tf.float64))
    bad = array[~np.isfinite(array)]
    return f"{bad[0]} in {bad.size} of {array.size}"
