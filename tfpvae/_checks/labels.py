"""Checks of labels and sample weights."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfpvae._checks.arguments import as_dense, dtype_of, is_array


def labels(values: Any, num_classes: int, count: int | None) -> None:
    """Checks that labels are whole numbers [count], 0 <= label < num_classes.

    Raises:
      ValueError, TypeError: for other labels.
    """
    length = "B" if count is None else count
    values = as_dense("labels", values)
    message = f"labels: wanted whole numbers [{length}], 0 <= label < {num_classes}, got"
    if not is_array(values):
        raise TypeError(f"{message} {type(values).__name__}.")
    shape, dtype = tuple(values.shape), dtype_of(message, values)
    if not tf.TensorShape(shape).is_compatible_with([count]):
        hint = ""
        if len(shape) == 2:
            hint = " labels[:, 0]?" if shape[1] == 1 else " Of one-hot ones: labels.argmax(axis=1)."
        raise ValueError(f"{message} shape {shape}.{hint}")
    if not dtype.is_integer:
        raise TypeError(f"{message} {dtype.name}.")
    if count == 0 or (isinstance(values, tf.Tensor) and not hasattr(values, "numpy")):
        return  # there are no values, or a symbolic tensor has none yet
    low, high = np.min(values), np.max(values)
    if low < 0 or high >= num_classes:
        raise ValueError(f"{message} some from {low} to {high}.")


def no_labels(num_classes: int) -> ValueError:
    """Returns the error for missing labels."""
    return ValueError(
        f"labels: wanted one for each image, since this VAE is conditional on {num_classes} "
        "classes, got none. fit and evaluate take (images, labels); predict takes [images, labels];"
        " all three take batches of such pairs; the VAE's other methods have an argument `labels`. "
        "tfpvae.evaluation and tfpvae.ex_post take no conditional VAE."
    )


def sample_weight_of(weights: Any, count: int) -> None:
    """Checks that sample weights are finite numbers [count] or [count, 1].

    Raises:
      ValueError, TypeError: for other weights.
    """
    weights = as_dense("sample_weight", weights)
    message = f"sample_weight: wanted finite numbers [{count}], got"
    if not is_array(weights):
        raise TypeError(f"{message} {type(weights).__name__}.")
    shape, dtype = tuple(weights.shape), dtype_of(message, weights)
    if shape not in ((count,), (count, 1)):
        raise ValueError(f"{message} shape {shape}.")
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise TypeError(f"{message} {dtype.name}.")
    if not np.isfinite(np.asarray(weights, np.float64)).all():
        raise ValueError(f"{message} some that are not finite.")
