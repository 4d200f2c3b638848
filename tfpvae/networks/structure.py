"""The layers of a network, however deep."""

import tensorflow_probability as tfp
import tf_keras

tfd = tfp.distributions


def layers_of(network: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the layers of a network that are no networks themselves, however deep."""
    found = network._flatten_layers(include_self=False)
    return [layer for layer in found if not isinstance(layer, tf_keras.Model)]


def distribution_layers(encoder: tf_keras.Model) -> list[tfp.layers.DistributionLambda]:
    """Returns the distribution layers of an encoder, however deep; their losses are KL terms."""
    own = layers_of(encoder)
    return [layer for layer in own if isinstance(layer, tfp.layers.DistributionLambda)]
