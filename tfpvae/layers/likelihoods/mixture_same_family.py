"""Likelihood layer with a mixture whose components are made by another layer."""

from collections.abc import Callable
from typing import Any

import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.layers.base import size_of
from tfpvae.layers.distribution_lambda import DistributionLambda, register
from tfpvae.saving import functions
from tfpvae.saving.constructor_call import constructor_call

tfd = tfp.distributions


@register
class MixtureSameFamily(DistributionLambda, tfp.layers.MixtureSameFamily):
    """Layer that turns K * (1 + component parameters) per example into a mixture.

    The first K parameters of an example are the logits of the weights.

    Args:
      num_components: K, at least 1.
      component_layer: distribution layer, or registered function, from [..., K, parameters] to the
        components, batch shape [..., K].
      convert_to_tensor_fn: the tensor that represents the distribution in the layers that follow.
      validate_args: as in `tfp.layers`, which does not check anything here.
      **kwargs: arguments of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    Raises:
      TypeError: for a component_layer that is neither a layer nor a function.

    >>> import tensorflow as tf
    >>> import tfpvae
    >>> layer = MixtureSameFamily(2, tfpvae.layers.IndependentNormal([3]))
    >>> layer(tf.zeros([5, 14])).mean().shape
    TensorShape([5, 3])
    """

    def __init__(
        self,
        num_components: Any,
        component_layer: Callable | str,
        convert_to_tensor_fn: Callable | property | str = tfd.Distribution.sample,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        if isinstance(component_layer, str):
            component_layer = functions.function_from_name(component_layer, "component_layer")
        _checks.keras_callable("component_layer", component_layer)
        if not isinstance(component_layer, tf_keras.layers.Layer):
            functions.warn_unless_named(component_layer, "component_layer")
        self._initialize(
            lambda t: self.new(t, num_components, component_layer, validate_args),
            convert_to_tensor_fn,
            **kwargs,
        )
        self._num_components = size_of("num_components", num_components)
        self._component_layer = component_layer
        self._validate_args = validate_args

    def __repr__(self) -> str:
        names = ("num_components", "component_layer")
        return constructor_call(self, {name: getattr(self, f"_{name}") for name in names})

    def _arguments(self) -> dict:
        component = self._component_layer
        if isinstance(component, tf_keras.layers.Layer):
            # Of the formats of Keras, the one that every file format can read.
            component = tf_keras.layers.serialize(component, use_legacy_format=True)
        else:
            component = functions.function_to_name(component, "component_layer")
        return {
            "num_components": self._num_components,
            "component_layer": component,
            "validate_args": self._validate_args,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None):
        """Returns the layer that `get_config` described."""
        component = config["component_layer"]
        if isinstance(component, dict):
            component = tf_keras.layers.deserialize(
                component, custom_objects, use_legacy_format=True
            )
        return super().from_config({**config, "component_layer": component}, custom_objects)
