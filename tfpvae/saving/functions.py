"""Functions by name: those of TensorFlow Probability, and registered ones."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras


def function_to_name(function: Callable | property, argument: str) -> str:
    """Returns the name of a function; `function_from_name` converts it back.

    Args:
      function: `tf.convert_to_tensor`, a method of `tfd.Distribution` such as
        `tfd.Distribution.sample`, a property of a class of `tfp.distributions` such as
        `tfd.Bernoulli.logits` (or the function of that property), or a registered function.
      argument: the name of the argument, for the message.

    Raises:
      ValueError: if it is any other function.

    >>> function_to_name(tfp.distributions.Distribution.mean, "convert_to_tensor_fn")
    'mean'
    >>> function_to_name(tfp.distributions.Bernoulli.logits, "convert_to_tensor_fn")
    'Bernoulli.logits'
    """
    if isinstance(function, property) and function.fget is not None:
        function = function.fget
    if function is tf.convert_to_tensor:
        return "convert_to_tensor"
    name = getattr(function, "__name__", "")
    method = getattr(tfp.distributions.Distribution, name, None)
    # TensorFlow Probability copies some methods into its classes, for their docstrings.
    if method is function or _code(method) is _code(function) is not None:
        return name
    qualified = getattr(function, "__qualname__", "")
    if _property_function(qualified) is function:
        return qualified
    # A functools.partial has no name, and Keras then none for it.
    registered = tf_keras.saving.get_registered_name(function) if name else None
    if registered and tf_keras.saving.get_registered_object(registered) is function:
        return registered
    name = name if name.isidentifier() else "my_function"
    raise ValueError(
        f"{argument}: wanted a method of tfd.Distribution, a property of a class of tfd or a "
        f"registered function, to save it by name, got {function!r}. It runs, but no model with it "
        "can be saved. Register a named function:\n"
        "    @tf_keras.saving.register_keras_serializable('my_package')\n"
        f"    def {name}(argument):\n"
        "        return ..."
    )


def warn_unless_named(function: Callable | property, argument: str) -> None:
    """Warns, before any training, of a function with which no model can be saved.

    Args:
      function: as for `function_to_name`.
      argument: the name of the argument, for the message.

    >>> warn_unless_named(tfp.distributions.Distribution.mean, "convert_to_tensor_fn")
    """
    try:
        function_to_name(function, argument)
    except ValueError as error:
        warnings.warn(str(error), stacklevel=4)


def function_from_name(name: str, argument: str = "function") -> Callable:
    """Returns the function of a name that `function_to_name` has returned.

    Args:
      name: the name of the function.
      argument: the name of the argument, for the message.

    Raises:
      ValueError: if no function has that name.

    >>> function_from_name("mean") is tfp.distributions.Distribution.mean
    True
    """
    if name == "convert_to_tensor":
        return tf.convert_to_tensor
    function = None
    if isinstance(name, str) and not name.startswith("_"):
        function = getattr(tfp.distributions.Distribution, name, None)
        function = function or _property_function(name)
        function = function or tf_keras.saving.get_registered_object(name)
    if not callable(function):
        raise ValueError(
            f"{argument}: wanted a method of tfd.Distribution or a registered function, "
            f"got {name!r}."
        )
    return function


def _code(function: Any) -> Any:
    return getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)


def _property_function(qualified: str) -> Callable | None:
    """Returns the function of a public property by its name, such as "Bernoulli.logits"."""
    owner, _, name = qualified.partition(".")
    cls = getattr(tfp.distributions, owner, None)
    if name.startswith("_") or not isinstance(cls, type):
        return None
    member = inspect.getattr_static(cls, name, None)
    return member.fget if isinstance(member, property) else None
