"""Distribution layer given by a function, and what every distribution layer shares."""

import threading
from collections.abc import Callable
from typing import Any, cast

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability.python.layers.internal import distribution_tensor_coercible

from tfpvae import _checks
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer, is_kl
from tfpvae.networks.autograph import converted
from tfpvae.saving import functions

tfd = tfp.distributions
# Kept here, so that a program may put the layers of tfpvae in the place of those of tfp.layers.
_TFPDistributionLambda: Any = tfp.layers.DistributionLambda

register = tf_keras.saving.register_keras_serializable(package="tfpvae")


class LayerOutput(distribution_tensor_coercible._TensorCoercible):
    """Distribution that a layer returns; where a tensor is required, a draw stands for it."""

    def __repr__(self) -> str:
        name = vars(self).get("_layer", type(self.tensor_distribution).__name__)
        shapes = f"batch_shape={[*self.batch_shape]} event_shape={[*self.event_shape]}"
        return f"<{name} {shapes} dtype={self.dtype.name}>"

    __str__ = __repr__


class _Entered(threading.local):
    """The ids of the layers whose __call__ this thread is in."""

    def __init__(self):
        self.layers: set[int] = set()


_entered = _Entered()


@register
class DistributionLambda(tfp.layers.DistributionLambda):
    """Layer that returns the distribution that a function makes of its input.

    The `tfp.layers.DistributionLambda` that adds its KL itself, once, and is saved by the names of
    its functions. A model with a lambda or another function without a registered name trains, with
    a warning, and cannot be saved.

    Args:
      make_distribution_fn: function from the input tensor to a `tfd.Distribution`, registered with
        `tf_keras.saving.register_keras_serializable`, or its registered name.
      convert_to_tensor_fn: function from the distribution to the tensor that represents it in the
        layers that follow: a method such as `tfd.Distribution.mean`, a property such as
        `tfd.Bernoulli.logits`, a registered function, or the name of one.
      activity_regularizer: the KL term, a `KLDivergenceRegularizer`; or any regularizer of Keras,
        which is applied once to that tensor, divided by the batch size as Keras does.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    Raises:
      TypeError, ValueError: for an unknown name or a regularizer that is none.

    >>> @tf_keras.saving.register_keras_serializable("example")
    ... def unit_normal(loc):
    ...     return tfd.MultivariateNormalDiag(loc)
    >>> DistributionLambda(unit_normal)(tf.zeros([3, 2])).batch_shape
    TensorShape([3])
    """

    def __init__(
        self,
        make_distribution_fn: Callable[..., tfd.Distribution] | str,
        convert_to_tensor_fn: Callable | property | str = tfd.Distribution.sample,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ):
        make_distribution_fn = _function("make_distribution_fn", make_distribution_fn)
        functions.warn_unless_named(make_distribution_fn, "make_distribution_fn")
        self._initialize(make_distribution_fn, convert_to_tensor_fn, activity_regularizer, **kwargs)

    def _initialize(
        self,
        make_distribution_fn: Callable[..., tfd.Distribution],
        convert_to_tensor_fn: Callable | property | str,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        convert_to_tensor_fn = _function("convert_to_tensor_fn", convert_to_tensor_fn)
        functions.warn_unless_named(convert_to_tensor_fn, "convert_to_tensor_fn")
        # A head, and the loss that follows it, stays in full precision under a mixed policy.
        kwargs.setdefault("dtype", tf_keras.mixed_precision.global_policy().variable_dtype)
        # Past the __init__ of the tfp.layers class, whose distribution is another.
        _TFPDistributionLambda.__init__(self, make_distribution_fn, convert_to_tensor_fn, **kwargs)
        self._set_regularizer(activity_regularizer)

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
    def activity_regularizer(self) -> Any:
        """The KL term or other regularizer whose value this layer adds to the loss.

        A model that is compiled already has to be compiled again after a change.
        """
        return self._regularizer

    @activity_regularizer.setter
    def activity_regularizer(self, regularizer: Any) -> None:
        self._set_regularizer(regularizer)

    def _set_regularizer(self, regularizer: Any) -> None:
        if isinstance(regularizer, type) or not (
            regularizer is None or callable(regularizer) or isinstance(regularizer, (str, dict))
        ):
            raise TypeError(
                "activity_regularizer: wanted a tfpvae.layers.KLDivergenceRegularizer, a "
                f"regularizer of Keras or None, got {regularizer!r}."
            )
        if not is_kl(regularizer):
            regularizer = tf_keras.regularizers.get(regularizer)
            if not isinstance(regularizer, (tf_keras.regularizers.Regularizer, type(None))):
                functions.warn_unless_named(regularizer, "activity_regularizer")
        elif not isinstance(regularizer, KLDivergenceRegularizer):
            raise TypeError(
                "activity_regularizer: wanted a tfpvae.layers.KLDivergenceRegularizer, whose KL "
                f"counts once, got the tfp.layers.{type(regularizer).__name__}. It takes the same "
                "arguments."
            )
        # Not by plain assignment: Keras would track the regularizer as a module. Its variables
        # are tracked instead, as this layer's own weights, which every format saves.
        object.__setattr__(self, "_regularizer", regularizer)
        self._losses.clear()  # of the last one, from when a functional model was built
        track(self, regularizer if is_kl(regularizer) else None)

    def __call__(self, inputs, *args, **kwargs):
        if not tf.is_tensor(inputs):
            _checks.not_keras_3("inputs", inputs)
        try:
            return super().__call__(inputs, *args, **kwargs)
        finally:
            self._enter_dunder_call = False  # after an error too

    def call(self, inputs, *args, **kwargs):
        """Makes the distribution, and adds the value of the regularizer to the losses once."""
        outputs = super().call(inputs, *args, **kwargs)
        distribution = outputs[0] if isinstance(outputs, tuple) else outputs
        distribution.__class__ = LayerOutput
        if type(self) is not DistributionLambda:
            object.__setattr__(distribution, "_layer", type(self).__name__)
        if is_kl(self._regularizer):
            self.add_loss(self._regularizer(distribution))
        elif self._regularizer is not None:
            values = tf.convert_to_tensor(distribution)
            loss = tf.convert_to_tensor(converted(self._regularizer)(values))
            loss /= tf.cast(tf.shape(values)[0], loss.dtype)
            loss.is_kl = False  # by which a VAE tells it from the losses that code adds
            self.add_loss(loss)
        return outputs

    def _check_variables(self, created_variables, accessed_variables):
        # Under a mixed policy `weights` are wrappers; what was accessed are the variables inside.
        own = {getattr(weight, "_variable", weight).ref() for weight in self.weights}
        others = [variable for variable in accessed_variables if variable.ref() not in own]
        super()._check_variables(created_variables, others)

    @property
    def output_shape(self) -> Any:
        """The shape of the draw, [B, ...]; the plain layer answers for both of its outputs."""
        shapes = super().output_shape
        return shapes[-1] if isinstance(shapes, list) else shapes

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        regularizer = self._regularizer
        if is_kl(regularizer):
            regularizer = regularizer.get_config()
        elif isinstance(regularizer, tf_keras.regularizers.Regularizer):
            regularizer = tf_keras.regularizers.serialize(regularizer)
        elif regularizer is not None:
            regularizer = functions.function_to_name(regularizer, "activity_regularizer")
        return {
            **tf_keras.layers.Layer.get_config(self),
            **self._arguments(),
            "convert_to_tensor_fn": functions.function_to_name(
                self._convert_to_tensor_fn, "convert_to_tensor_fn"
            ),
            "activity_regularizer": regularizer,
        }

    def __repr__(self) -> str:
        function = vars(self).get("_make_distribution_fn")  # absent before __init__ is done
        name = getattr(function, "__name__", type(function).__name__)
        return f"{type(self).__name__}(make_distribution_fn={name})"

    def _arguments(self) -> dict:
        """Returns the arguments of this class alone, as plain data."""
        name = functions.function_to_name(self._make_distribution_fn, "make_distribution_fn")
        return {"make_distribution_fn": name}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None):
        """Returns the layer that `get_config` described."""
        del custom_objects  # Keras passes it; classes are found by their registered names
        config = dict(config)
        regularizer = config["activity_regularizer"]
        if isinstance(regularizer, dict) and "distribution_b" in regularizer:
            config["activity_regularizer"] = KLDivergenceRegularizer.from_config(regularizer)
        return cls(**config)


def track(layer: tf_keras.layers.Layer, regularizer: KLDivergenceRegularizer | None) -> None:
    """Makes the variables of a KL term weights of a layer, in the place of those of the last one.

    Args:
      layer: the layer that adds the KL.
      regularizer: the KL term; None for none.
    """
    last = [*getattr(layer, "_prior_variables", ()), getattr(layer, "_weight_variable", None)]
    ids = {id(variable) for variable in last}
    for weights in (layer._trainable_weights, layer._non_trainable_weights):
        weights[:] = [weight for weight in weights if id(weight) not in ids]
    if regularizer is None and len(last) == 1:
        return
    layer._prior_variables = list(regularizer.distribution_b.variables) if regularizer else []
    layer._weight_variable = weight = regularizer and regularizer.weight_variable
    if weight is not None and weight.trainable:  # no optimizer may move it, only `assign`
        layer._trainable_weights[:] = [w for w in layer._trainable_weights if w is not weight]
        layer._non_trainable_weights.append(weight)


def _function(argument: str, function: Callable | property | str) -> Callable:
    """Returns a function by its name, or the one of a property."""
    if isinstance(function, property) and function.fget is not None:
        return function.fget
    if callable(function):
        return function
    return functions.function_from_name(cast(str, function), argument)
