"""Masked dense network whose outputs depend on earlier inputs only."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

tfb = tfp.bijectors


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class AutoregressiveNetwork(tf_keras.layers.Layer):
    """Dense network from z and a context to (m, a), the i-th of which see only what is before i.

    A MADE (Germain et al. 2015): kernels are masked as they are used, so that the property holds
    whatever changes the weights. `tfb.AutoregressiveNetwork` leaves the masks to the optimizer, as
    constraints, and its config holds functions.

    Args:
      event_size: D, of z, m and a.
      context_size: H, of the context, which goes into the first layer.
      hidden_units: width of each hidden layer.
      backwards: whether the order is from the last dimension to the first.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> network = AutoregressiveNetwork(3, 2, [8], backwards=False)
    >>> value, gate = network(tf.ones([5, 3]), tf.ones([5, 2]))
    >>> float(tf.norm(value)), gate.shape
    (0.0, TensorShape([5, 3]))
    """

    def __init__(
        self,
        event_size: int,
        context_size: int,
        hidden_units: Sequence[int],
        backwards: bool,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._arguments = (event_size, tuple(hidden_units), backwards)
        self._context_size = context_size

    def build(self, input_shape) -> None:
        def weight(name, shape, initializer):
            # With the layer's name, since HDF5 wants the names inside a head to differ.
            return self.add_weight(f"{self.name}_{name}", shape, initializer=initializer)

        masks = _masks(*self._arguments)
        self._kernels, self._biases = [], []
        for i, mask in enumerate(masks):
            # The last at 0: every m and a then is, too.
            initializer = "zeros" if i == len(masks) - 1 else "glorot_uniform"
            self._kernels.append(weight(f"kernel_{i}", mask.shape, initializer))
            self._biases.append(weight(f"bias_{i}", mask.shape[1:], "zeros"))
        shape = [self._context_size, masks[0].shape[1]]
        self._context_kernel = weight("context_kernel", shape, "glorot_uniform")
        super().build(input_shape)

    def call(self, latents, context):
        hidden = latents
        masks = _masks(*self._arguments)
        for i, (mask, kernel, bias) in enumerate(
            zip(masks, self._kernels, self._biases, strict=True)
        ):
            hidden = tf.nn.elu(hidden) if i else hidden
            hidden = tf.linalg.matmul(hidden, kernel * tf.cast(mask, kernel.dtype)) + bias
            if i == 0:
                hidden += tf.linalg.matmul(context, self._context_kernel)
        return tf.split(hidden, 2, axis=-1)

    def get_config(self) -> dict:
        event_size, hidden_units, backwards = self._arguments
        return {
            **super().get_config(),
            "event_size": event_size,
            "context_size": self._context_size,
            "hidden_units": list(hidden_units),
            "backwards": backwards,
        }


@functools.cache
def _masks(event_size: int, hidden_units: tuple[int, ...], backwards: bool) -> list[np.ndarray]:
    """Returns which element of a kernel is used, [inputs, outputs] (Germain et al., 12 and 13)."""
    order = np.arange(1, event_size + 1)[:: -1 if backwards else 1]
    hidden = [1 + np.arange(units) * (event_size - 1) // units for units in hidden_units]
    degrees = [order, *hidden]
    masks = [before[:, None] <= after for before, after in zip(degrees, hidden, strict=False)]
    return [*masks, degrees[-1][:, None] < np.tile(order, 2)]
