"""Conversion of the networks inside a distribution to plain data and back, without weights."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow_probability as tfp
import tf_keras

from tfpvae.saving import safe_mode

_Autoregressive = tfp.bijectors.AutoregressiveNetwork

_KERAS, _AUTOREGRESSIVE = "keras", "autoregressive_network"

# The arguments of AutoregressiveNetwork, which has no config, by the attributes that keep them.
_ARGUMENTS = {
    "params": "_params",
    "event_shape": "_event_shape",
    "conditional": "_conditional",
    "conditional_event_shape": "_conditional_event_shape",
    "conditional_input_layers": "_conditional_layers",
    "hidden_units": "_hidden_units",
    "hidden_degrees": "_hidden_degrees",
    "use_bias": "_use_bias",
    "validate_args": "_validate_args",
}


_OBJECTS = (
    *("kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer"),
    *("kernel_constraint", "bias_constraint"),
)


def to_config(network: tf_keras.layers.Layer, path: str) -> dict[str, Any]:
    """Converts a Keras model or layer, or a `tfb.AutoregressiveNetwork`, to plain data.

    Args:
      network: the network; its weights are left out.
      path: the place of the network in the distribution, for the message.

    Returns:
      A dict of one key, that of `BUILDERS` by which the network is built again.

    Raises:
      ValueError: for a network that cannot be built again from plain data.
    """
    if isinstance(network, _Autoregressive):
        return {_AUTOREGRESSIVE: _autoregressive_config(network, path)}
    return {_KERAS: _keras_config(network)}


def _autoregressive_config(network: Any, path: str) -> dict[str, Any]:
    if network._hidden_degrees == "random":
        raise ValueError(
            f"{path}: wanted masks that the arguments determine, hidden_degrees='equal', got "
            "'random', whose masks would be others after loading."
        )
    config = {name: getattr(network, attribute) for name, attribute in _ARGUMENTS.items()}
    order = network._input_order if network._input_order is not None else network._input_order_param
    activation = tf_keras.activations.serialize(tf_keras.activations.get(network._activation))
    objects = {name: _object_config(name, getattr(network, f"_{name}")) for name in _OBJECTS}
    return {
        **config,
        **objects,
        "hidden_units": list(map(int, config["hidden_units"])),
        "input_order": order if isinstance(order, str) else np.asarray(order).tolist(),
        "activation": activation,
        "name": network.name,
        "dtype": network.dtype,
    }


def _autoregressive(config: Mapping) -> tf_keras.layers.Layer:
    safe_mode.check_config(config)
    objects = {
        name: _kind(name).deserialize(config[name])
        for name in _OBJECTS
        if isinstance(config[name], Mapping)  # a string makes a new object for each use
    }
    network = _Autoregressive(**{**config, **objects})
    if config["event_shape"]:
        network.build([None, *config["event_shape"]])
    return network


def _object_config(name: str, value: Any) -> Any:
    return value if value is None or isinstance(value, str) else _kind(name).serialize(value)


def _kind(name: str) -> Any:
    """Returns the module of Keras with the objects that an argument takes."""
    return getattr(tf_keras, f"{name.rpartition('_')[2]}s")


def _keras_config(network: tf_keras.layers.Layer) -> dict[str, Any]:
    """Returns the config of Keras in the older of its formats, the one that HDF5 files can hold."""
    parts = [part for part in network._flatten_layers() if isinstance(part, tf_keras.Model)]
    before = [getattr(part, "use_legacy_config", None) for part in parts]
    try:
        for part in parts:
            part.use_legacy_config = True
        return tf_keras.layers.serialize(network, use_legacy_format=True)
    finally:
        for part, value in zip(parts, before, strict=True):
            part.use_legacy_config = value


def _keras(config: Mapping) -> tf_keras.layers.Layer:
    safe_mode.check_config(config)
    return tf_keras.layers.deserialize(config, use_legacy_format=True)


BUILDERS: dict[str, Callable[[Mapping], tf_keras.layers.Layer]] = {
    _KERAS: _keras,
    _AUTOREGRESSIVE: _autoregressive,
}
