"""Layer that returns a trainable variable, whatever its input is."""

from typing import Any

import tensorflow_probability as tfp
import tf_keras

from tfpvae.layers.distribution_lambda import register
from tfpvae.saving.constructor_call import constructor_call


@register
class VariableLayer(tfp.layers.VariableLayer):
    """The `tfp.layers.VariableLayer`, saved by its arguments: the start of a learned prior.

    Args:
      shape: of the variable, a whole number or several.
      dtype: of the variable; None for Keras' floatx.
      activation: applied to the variable, as in `tf_keras.layers.Dense`.
      initializer: of the variable.
      regularizer: of the variable.
      constraint: of the variable.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    >>> VariableLayer([2])(0.0).numpy().tolist()
    [0.0, 0.0]
    """

    def __init__(
        self,
        shape: Any,
        dtype: Any = None,
        activation: Any = None,
        initializer: Any = "zeros",
        regularizer: Any = None,
        constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(shape, dtype, activation, initializer, regularizer, constraint, **kwargs)

    def __repr__(self) -> str:
        shape, dtype = self._var.shape.as_list(), self._var.dtype.name
        return constructor_call(self, {"shape": shape, "dtype": dtype})

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {
            **tf_keras.layers.Layer.get_config(self),
            "shape": self._var.shape.as_list(),
            "dtype": self._var.dtype.name,
            "activation": tf_keras.activations.serialize(self.activation),
            "initializer": tf_keras.initializers.serialize(self.initializer),
            "regularizer": tf_keras.regularizers.serialize(self.regularizer),
            "constraint": tf_keras.constraints.serialize(self.constraint),
        }
