"""Base class of the distribution layers whose events have a fixed shape."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.layers.distribution_lambda import DistributionLambda, register
from tfpvae.saving.constructor_call import constructor_call

tfd = tfp.distributions

__all__ = ["DistributionLayer", "num_axes", "register", "shape_of", "size_of", "to_events"]


class DistributionLayer(DistributionLambda):
    """Base class of the distribution layers of a fixed event shape, saved by their arguments.

    >>> from tfpvae import layers
    >>> layer = layers.IndependentNormal(2)
    >>> isinstance(layer, DistributionLayer), layer.output_shape
    (True, (None, 2))
    """

    def __init__(
        self,
        make_distribution_fn: Callable[[tf.Tensor], tfd.Distribution],
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | property | str,
        validate_args: bool,
        **kwargs: Any,
    ):
        self._initialize(make_distribution_fn, convert_to_tensor_fn, **kwargs)
        self._event_shape = event_shape if _is_unknown(event_shape) else _static(event_shape)
        _checks.flag("validate_args", validate_args)
        self._validate_args = validate_args
        if not _is_unknown(event_shape):
            shape_of(event_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the draw, [B, ...]; the plain layer answers for both of its outputs."""
        return (None, *shape_of(self._event_shape))

    def _arguments(self) -> dict:
        return {**self._event_config(), "validate_args": self._validate_args}

    def __repr__(self) -> str:
        try:
            config = self.get_config()
        except (AttributeError, TypeError, ValueError):  # not made yet, or not to be saved
            return super().__repr__()
        if self._convert_to_tensor_fn is tfd.Distribution.sample:
            del config["convert_to_tensor_fn"]
        return constructor_call(self, config)

    def _event_config(self) -> dict:
        return {"event_shape": shape_of(self._event_shape)}


def shape_of(event_shape: Any) -> tuple[int, ...]:
    """Returns an event shape, or the one number that may stand for it, as a tuple.

    Args:
      event_shape: a whole number, a sequence of them, a `tf.TensorShape` or a tensor.

    Raises:
      ValueError: for anything else.

    >>> shape_of(tf.constant([2, 3])), shape_of(4)
    ((2, 3), (4,))
    """
    try:
        sides = tuple(np.atleast_1d(_static(event_shape)).tolist())
        if all(type(side) is int and side > 0 for side in sides):
            return sides  # asked at each call of a layer
        return tuple(_checks.whole_number("event_shape", side) for side in sides)
    except (TypeError, ValueError):
        raise ValueError(
            f"event_shape: wanted a whole number above 0 or several, got {event_shape!r}."
        ) from None


def size_of(argument: str, size: Any, minimum: int = 1) -> Any:
    """Returns a whole number, or a tensor of one, as an int; a tensor of unknown value unchanged.

    Raises:
      TypeError, ValueError: for anything else.

    >>> size_of("event_size", tf.constant(2))
    2
    """
    size = size if _is_unknown(size) else _static(size)
    return size if _is_unknown(size) else _checks.whole_number(argument, size, minimum=minimum)


def num_axes(event_shape: Any) -> Any:
    """Returns the number of axes of an event, a tensor where the shape's value is unknown.

    >>> num_axes(3), num_axes([2, 2, 1])
    (1, 3)
    """
    return tf.size(event_shape) if _is_unknown(event_shape) else len(shape_of(event_shape))


def to_events(params: tf.Tensor, event_shape: Any) -> tf.Tensor:
    """Returns parameters [..., prod(event_shape)] as [..., *event_shape].

    >>> to_events(tf.zeros([5, 6]), (2, 3)).shape
    TensorShape([5, 2, 3])
    """
    params = tf.convert_to_tensor(params)
    if _is_unknown(event_shape):
        event_shape = tf.reshape(event_shape, [-1])
    else:
        event_shape = shape_of(event_shape)
    return tf.reshape(params, tf.concat([tf.shape(params)[:-1], event_shape], axis=0))


def _is_unknown(value: Any) -> bool:
    """Returns whether a value is a tensor of a graph that is known only once the graph runs."""
    return tf.is_tensor(value) and tf.get_static_value(value) is None


def _static(value: Any) -> Any:
    """Returns the value of a tensor as NumPy's, or a Python number; anything else unchanged."""
    static = tf.get_static_value(value) if tf.is_tensor(value) else value
    return static.item() if isinstance(static, np.ndarray) and static.ndim == 0 else static
