"""Checks that weights are finite before they are saved."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

tfd = tfp.distributions


def check_weights(vae: tf_keras.Model) -> None:
    """Raises unless all weights are finite numbers.

    Raises:
      ValueError: naming the first that is not.
    """
    fault = bad_weight(vae)
    if fault:
        raise ValueError(
            f"weights: wanted finite numbers to save, got {fault}. Nothing was written, and what "
            "was saved before is whole. tfpvae.evaluation.first_non_finite finds the cause; "
            "tf_keras.models.save_model saves the model even so."
        )


def bad_weight(vae: tf_keras.Model) -> str | None:
    """Returns the name of the first weight that is no finite number, None for none."""
    faults = ((weight, describe_non_finite(weight)) for weight in vae.weights)
    return next((f"weight '{weight.name}': {fault}" for weight, fault in faults if fault), None)


def describe_non_finite(value: Any) -> str | None:
    """Returns how much of a tensor is not finite, in words; None for nothing of it."""
    value = tf.convert_to_tensor(value)
    if not value.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(value))):
        return None
    array = np.asarray(tf.cast(value, tf.float64))
    bad = array[~np.isfinite(array)]
    return f"{bad[0]} in {bad.size} of {array.size}"
