"""The layers of a network, at any depth."""

from typing import Any

import tensorflow_probability as tfp
import tf_keras

# Read on import, since a program may replace tfp.layers by the layers of tfpvae.
_DistributionLambda: Any = tfp.layers.DistributionLambda


def layers_of(network: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the layers of a network, at any depth, without the networks among them."""
    layers = network._flatten_layers(include_self=False)
    return [layer for layer in layers if not isinstance(layer, tf_keras.Model)]


def distribution_layers(encoder: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the distribution layers of a network, at any depth."""
    return [layer for layer in layers_of(encoder) if isinstance(layer, _DistributionLambda)]
