"""Inputs for the labels of a conditional VAE."""

from typing import Any

import tf_keras

from tfpvae import _checks, layers


def build_label_inputs(num_classes: int | None, label_embedding: int | None) -> tuple[list, list]:
    """Returns the input of the labels and their code, in a list each: empty ones for no labels."""
    if num_classes is None:
        if label_embedding is not None:
            raise ValueError(
                f"label_embedding: wanted num_classes with it, got {label_embedding!r}."
            )
        return [], []
    labels = tf_keras.Input((), dtype="int32", name="labels")
    code = layers.OneHot(num_classes, name="one_hot")(labels)
    if label_embedding is not None:
        size = _checks.whole_number("label_embedding", label_embedding)
        code = tf_keras.layers.Dense(size, use_bias=False, name="label_embedding")(code)
    return [labels], [code]


def concatenate(parts: list) -> Any:
    """Returns symbolic tensors [B, N] as one; a single one as it is."""
    return parts[0] if len(parts) == 1 else tf_keras.layers.Concatenate()(parts)
