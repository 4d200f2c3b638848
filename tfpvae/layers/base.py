"""What every distribution layer shares: the KL added once, and a config of plain arguments."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.saving import serialization
from tfpvae.saving.constructor_call import constructor_call

tfd = tfp.distributions
tfpl = tfp.layers

register = tf_keras.saving.register_keras_serializable(package="tfpvae")


class _Entered(threading.local):
    """The ids of the layers whose __call__ this thread is in."""

    def __init__(self):
        self.layers: set[int] = set()


_entered = _Entered()


class DistributionLayer(tfpl.DistributionLambda):
    """A `tfp.layers.DistributionLambda` that adds its KL itself and is saved by its arguments."""

    def __init__(
        self,
        make_distribution_fn: Callable[[tf.Tensor], tfd.Distribution],
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | str,
        validate_args: bool,
        activity_regularizer: KLDivergenceRegularizer | None = None,
        **kwargs: Any,
    ):
        if not isinstance(activity_regularizer, (KLDivergenceRegularizer, type(None))):
            raise TypeError(
                "activity_regularizer: wanted a tfpvae.layers.KLDivergenceRegularizer or None, "
                f"got {activity_regularizer!r}."
            )
        if not callable(convert_to_tensor_fn):
            convert_to_tensor_fn = serialization.function_from_name(
                convert_to_tensor_fn, "convert_to_tensor_fn"
            )
        shape_of(event_shape)
        _checks.flag("validate_args", validate_args)
        # A head, and the loss that follows it, stays in full precision under a mixed policy.
        kwargs.setdefault("dtype", tf_keras.mixed_precision.global_policy().variable_dtype)
        # Past the __init__ of the tfp.layers class, whose distribution is another.
        tfpl.DistributionLambda.__init__(self, make_distribution_fn, convert_to_tensor_fn, **kwargs)
        self._event_shape = event_shape
        self._validate_args = validate_args
        # Not by plain assignment: Keras would track the regularizer as a module. Its variables
        # are tracked instead, as this layer's own weights, which every format saves.
        object.__setattr__(self, "_kl_regularizer", activity_regularizer)
        if activity_regularizer is not None:
            self._prior_variables = list(activity_regularizer.distribution_b.variables)

    @property
    def _enter_dunder_call(self) -> bool:
        """Whether `call` returns the tensor too; a flag of each thread, as threads share layers."""
        return id(self) in _entered.layers

    @_enter_dunder_call.setter
    def _enter_dunder_call(self, is_entered: bool) -> None:
        if is_entered:
            _entered.layers.add(id(self))
        else:
            _entered.layers.discard(id(self))

    @property
    def activity_regularizer(self) -> KLDivergenceRegularizer | None:
        """The KL term that this layer adds to the loss."""
        return self._kl_regularizer

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the draw, [B, ...]; the plain layer answers for both of its outputs."""
        return (None, *shape_of(self._event_shape))

    def __call__(self, inputs, *args, **kwargs):
        _checks.not_keras_3("inputs", inputs)
        try:
            return super().__call__(inputs, *args, **kwargs)
        finally:
            self._enter_dunder_call = False  # after an error too

    def call(self, inputs, *args, **kwargs):
        outputs = super().call(inputs, *args, **kwargs)
        if self._kl_regularizer is not None:
            distribution = outputs[0] if isinstance(outputs, tuple) else outputs
            self.add_loss(self._kl_regularizer(distribution))
        return outputs

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        regularizer = self._kl_regularizer
        return {
            **tf_keras.layers.Layer.get_config(self),
            **self._event_config(),
            "convert_to_tensor_fn": serialization.function_to_name(
                self._convert_to_tensor_fn, "convert_to_tensor_fn"
            ),
            "validate_args": self._validate_args,
            "activity_regularizer": regularizer and regularizer.get_config(),
        }

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

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None):
        """Returns the layer that `get_config` described."""
        del custom_objects  # Keras passes it; classes are found by their registered names
        config = dict(config)
        if config["activity_regularizer"] is not None:
            config["activity_regularizer"] = KLDivergenceRegularizer.from_config(
                config["activity_regularizer"]
            )
        return cls(**config)


def shape_of(event_shape: int | Sequence[int]) -> tuple[int, ...]:
    """Returns an event shape, or the one number that may stand for it, as a tuple."""
    try:
        sides = np.atleast_1d(event_shape).tolist()
        return tuple(_checks.whole_number("event_shape", side) for side in sides)
    except (TypeError, ValueError):
        raise ValueError(
            f"event_shape: wanted a whole number above 0 or several, got {event_shape!r}."
        ) from None


def to_events(params: tf.Tensor, event_shape: int | Sequence[int]) -> tf.Tensor:
    """Returns parameters [..., prod(event_shape)] as [..., *event_shape]."""
    params = tf.convert_to_tensor(params)
    return tf.reshape(params, tf.concat([tf.shape(params)[:-1], shape_of(event_shape)], axis=0))
