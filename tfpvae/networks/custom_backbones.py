"""Application of a backbone, by name or custom, to symbolic inputs."""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import tf_keras

from tfpvae import _checks

_CHANNELS_LAST = (
    "Make them with data_format='channels_last', or after "
    "tf_keras.backend.set_image_data_format('channels_last')."
)


_OF_ANY_SHAPE = ("deep", "dense")


Backbone: TypeAlias = str | tf_keras.Model | Callable


def backbone_layers(
    backbone: Backbone,
    named: dict[str, Callable],
    options: dict[str, Any] | None,
    shape: tuple[int, ...],
    *sizes: Any,
) -> list:
    """Returns the layers of a backbone by name, made with its options, or the custom one alone.

    Args:
      backbone: a key of `named`, or a network.
      named: functions of `sizes` whose keyword-only arguments are the options.
      options: by name; None for the defaults.
      shape: of an example.
      *sizes: arguments of every named backbone.

    Raises:
      TypeError, ValueError: for an unknown name, or options that the backbone does not have.
    """
    options = {} if options is None else options
    if not isinstance(options, dict):
        raise TypeError(f"backbone_options: wanted a dict or None, got {options!r}.")
    if not isinstance(backbone, str):
        _check_options(options, [], "a custom backbone")
        return [backbone]
    _checks.one_of("backbone", backbone, named)
    if len(shape) != 3 and backbone not in _OF_ANY_SHAPE:
        raise ValueError(
            f"backbone: wanted one of {', '.join(map(repr, _OF_ANY_SHAPE))} or one of your own for "
            f"examples of shape {shape}, got {backbone!r}, which is for images."
        )
    arguments = inspect.signature(named[backbone]).parameters.values()
    names = sorted(a.name for a in arguments if a.kind is a.KEYWORD_ONLY)
    _check_options(options, names, repr(backbone))
    return named[backbone](*sizes, **options)


def _check_options(options: dict[str, Any], names: list[str], backbone: str) -> None:
    """Checks that a backbone has the options.

    Raises:
      ValueError: naming those that it does not have.
    """
    if unknown := [name for name in options if name not in names]:
        expected = f"some of {names}" if names else "none"
        raise ValueError(f"backbone_options: wanted {expected} for {backbone}, got {unknown}.")


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
