"""Application of a backbone, by name or custom, to symbolic inputs."""

from collections.abc import Callable
from typing import Any, TypeAlias

import tf_keras

from tfpvae import _checks

_CHANNELS_LAST = (
    "Make them with data_format='channels_last', or after "
    "tf_keras.backend.set_image_data_format('channels_last')."
)


Backbone: TypeAlias = str | tf_keras.Model | Callable


def apply_layers(network: list, inputs: Any) -> Any:
    """Returns the symbolic output of the layers of a backbone, one after another.

    Raises:
      ValueError, TypeError: naming the layer that does not fit.
    """
    tensor = inputs
    for layer in network:
        _checks.keras_callable("backbone", layer)
        try:
            tensor = layer(tensor)
        except Exception as error:
            name = getattr(layer, "name", layer)
            refuse_channels_first(layer)
            hint = ""
            if tf_keras.backend.image_data_format() == "channels_first":
                hint = f" Layers that are made now are of channels_first. {_CHANNELS_LAST}"
            raise ValueError(
                f"backbone: wanted a network that takes {tuple(inputs.shape)}, got one whose "
                f"{name!r} fails on {tuple(tensor.shape)}: {error}{hint}"
            ) from error
    is_one = hasattr(tensor, "shape") and tf_keras.backend.is_keras_tensor(tensor)
    if not is_one or None in tensor.shape[1:]:
        raise ValueError(
            "backbone: wanted a network that gives one tensor of known shape [B, ...], built of "
            f"tf_keras layers, got {tensor!r}."
        )
    return tensor


def refuse_channels_first(network: Any, input_shape: tuple[int, int, int] | None = None) -> None:
    """Raises if a layer of a network, however deep, takes [B, C, H, W].

    With an input shape, only if the layer's input has it: images, which are [B, H, W, C].
    """
    layers = network._flatten_layers() if isinstance(network, tf_keras.layers.Layer) else ()
    for layer in layers:
        is_first = getattr(layer, "data_format", None) == "channels_first"
        if not is_first or isinstance(layer, tf_keras.layers.Flatten):  # any order will do
            continue
        if input_shape in (None, (getattr(layer, "input_shape", None) or ())[1:]):
            raise ValueError(
                "backbone: wanted layers of channels_last, as images are [B, H, W, C], got "
                f"{layer.name!r} of channels_first. {_CHANNELS_LAST}"
            )
