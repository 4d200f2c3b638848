"""The layers of a network, however deep."""

from typing import Any

import tensorflow_probability as tfp
import tf_keras

# Kept here, so that a program may put the layers of tfpvae in the place of those of tfp.layers.
_DistributionLambda: Any = tfp.layers.DistributionLambda


def layers_of(network: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the layers of a network that are no networks themselves, however deep."""
    found = network._flatten_layers(include_self=False)
    return [layer for layer in found if not isinstance(layer, tf_keras.Model)]


def distribution_layers(encoder: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the distribution layers of a network, however deep."""
    own = layers_of(encoder)
    return [layer for layer in own if isinstance(layer, _DistributionLambda)]
