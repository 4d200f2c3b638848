"""Conversion of distributions to plain data and back, by class names and parameters.

A saved model holds its prior as JSON; nothing is pickled. A class is written by its public name in
`tfp.distributions`, `tfp.bijectors` or `tf.linalg`, or by the name under which `register` has
registered it. Only these classes are built again, so that a file can name no other code.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae.saving import networks
from tfpvae.saving.functions import function_from_name, function_to_name

_MODULES = {
    "distribution": (tfp.distributions.Distribution, tfp.distributions),
    "bijector": (tfp.bijectors.Bijector, tfp.bijectors),
    "linear_operator": (tf.linalg.LinearOperator, tf.linalg),
}


_REGISTERED: dict[str, type] = {}


def register(name: str) -> Callable[[type], type]:
    """Returns a decorator that registers a custom class under the name by which it is saved.

    The constructor of the class has to keep its arguments, as those of TensorFlow Probability do:
    with `parameters = dict(locals())` first, and `self._parameters = parameters` last. The module
    that registers the class has to be imported before a model is loaded.

    Args:
      name: a name with a package, such as "my_package.MyPrior", that no other class has.

    Raises:
      TypeError: if the class is not one of a distribution, bijector or linear operator.
      ValueError: if the name has no dot, or if another class has it.

    >>> @register("example.StandardNormal")
    ... class StandardNormal(tfp.distributions.MultivariateNormalDiag):
    ...     def __init__(self, size, name="StandardNormal"):
    ...         parameters = dict(locals())
    ...         super().__init__(tf.zeros([size]), name=name)
    ...         self._parameters = parameters
    >>> to_config(StandardNormal(2))
    {'distribution': 'example.StandardNormal', 'parameters': {'size': 2}}
    """
    if "." not in name:
        raise ValueError(f"name: wanted one with a package, 'package.Class', got {name!r}.")

    def decorate(cls: type) -> type:
        bases = tuple(base for base, _ in _MODULES.values())
        if not (isinstance(cls, type) and issubclass(cls, bases)):
            raise TypeError(f"register: wanted a class of {bases}, got {cls!r}.")
        other = _REGISTERED.get(name, cls)
        if other.__qualname__ != cls.__qualname__:
            raise ValueError(f"name: wanted one that is free, got {name!r}, which {other!r} has.")
        _REGISTERED[name] = cls  # in a notebook, a cell that runs again defines the class again
        return cls

    return decorate


def to_config(value: Any, path: str = "distribution") -> Any:
    """Converts a distribution, or any parameter of one, to plain data.

    Args:
      value: a `tfd.Distribution`, `tfb.Bijector`, `tf.linalg.LinearOperator`, array, variable,
        `tfp.util.TransformedVariable`, Keras model or layer, registered function, number, string,
        None, or a list, tuple or dict of these. The weights of a Keras model are left out: they
        are weights of the layer or the model that holds the distribution.
      path: the place of `value` in the distribution, for the message.

    Returns:
      Dicts, lists, numbers and strings, which `from_config` converts back.

    Raises:
      ValueError: if there is no plain data for a part of it, such as a Python function.

    >>> config = to_config(tfp.distributions.Normal(0.0, 1.0))
    >>> config["distribution"], config["parameters"]["loc"]
    ('Normal', 0.0)
    """
    if isinstance(value, np.generic):
        value = np.asarray(value)  # the dtype is part of the value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    for convert in _CONVERSIONS:
        config = convert(value, path)
        if config is not None:
            return config
    raise ValueError(
        f"{path}: wanted something that can be saved by name and value (distributions, bijectors, "
        f"arrays, variables, numbers, strings, registered functions), got {value!r}. Register a "
        "function with @tf_keras.saving.register_keras_serializable('your_package'), or put what "
        "it computes into a subclass of tfd.Distribution or tfb.Bijector and register that with "
        "@tfpvae.saving.register('your_package.ItsName')."
    )


def from_config(config: Any) -> Any:
    """Builds the object that `to_config` has converted.

    Args:
      config: the result of `to_config`, also after it was written and read as JSON.

    Returns:
      The object. Its variables are new and have the saved values.

    Raises:
      ValueError: if the config names a class that is not registered, or is not one of `to_config`.

    >>> from_config(to_config(tfp.distributions.Normal(0.0, 2.0))).scale
    <tf.Tensor: shape=(), dtype=float32, numpy=2.0>
    """
    try:
        return _from_config(config)
    except Exception as error:  # NumPy and TensorFlow raise a dozen kinds for a broken config
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"config: wanted what to_config returns, got {str(config)[:200]} ({reason})."
        ) from error


def _from_config(config: Any) -> Any:
    if isinstance(config, (list, tuple)):
        return [_from_config(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    for kind in _MODULES:
        if kind in config:
            return _build(kind, config)
    if "array" in config:
        return _array(config)
    if "variable" in config:
        return tf.Variable(
            _array(config["variable"]), trainable=config["trainable"], name=config["name"]
        )
    if "deferred" in config:
        variable, transform = _from_config(config["deferred"]), _from_config(config["transform"])
        transform = getattr(transform, "forward", transform)  # of a bijector, or a function
        value = transform(variable)  # whose shape may differ, as that of a matrix in a vector
        return tfp.util.DeferredTensor(variable, transform, value.dtype, value.shape)
    for key, build in networks.BUILDERS.items():
        if key in config:
            return build(config[key])
    if "function" in config:
        return function_from_name(config["function"])
    if "tuple" in config:
        return tuple(_from_config(item) for item in config["tuple"])
    if "dtype" in config:
        return tf.as_dtype(config["dtype"])
    return {key: _from_config(item) for key, item in config["dict"].items()}


def _object_config(value: Any, path: str) -> dict | None:
    for kind, (base, module) in _MODULES.items():
        if isinstance(value, base):
            name = _class_name(type(value), module, f"{path} ({type(value).__name__})")
            defaults = inspect.signature(type(value).__init__).parameters
            parameters = {
                key: to_config(item, f"{path}: {name}.{key}")
                for key, item in value.parameters.items()
                # Names have no meaning, and defaults need no saving.
                if key != "name" and item is not defaults[key].default
            }
            return {kind: name, "parameters": parameters}
    return None


def _class_name(cls: type, module: Any, path: str) -> str:
    # A class with contents that are no CompositeTensor is the private base of the public one.
    name = cls.__name__.removeprefix("_")
    if cls in getattr(getattr(module, name, None), "__mro__", ()):
        return name
    for name, registered in _REGISTERED.items():
        if registered is cls:
            return name
    raise ValueError(
        f"{path}: wanted a class of {module.__name__} or a registered one, got {cls!r}. Register "
        "it with @tfpvae.saving.register('your_package.ItsName')."
    )


def _deferred_config(value: Any, path: str) -> dict | None:
    if not isinstance(value, tfp.util.DeferredTensor):
        return None
    # The function of a TransformedVariable is the method `forward` of its bijector.
    transform = getattr(value.transform_fn, "__self__", value.transform_fn)
    return {
        "deferred": to_config(value.pretransformed_input, path),
        "transform": to_config(transform, f"{path}: transform_fn"),
    }


def _array_config(value: Any, path: str) -> dict | None:
    if isinstance(value, tf.Variable):
        return {
            "variable": _array_config(np.asarray(value.numpy()), path),
            "trainable": value.trainable,
            "name": value.name.split(":")[0],
        }
    if tf.is_tensor(value) and hasattr(value, "numpy"):
        value = np.asarray(value.numpy())
    if not isinstance(value, np.ndarray) or value.dtype == object:
        return None
    return {"array": value.tolist(), "dtype": value.dtype.name, "shape": list(value.shape)}


def _nested_config(value: Any, path: str) -> Any:
    if isinstance(value, tf.DType):
        return {"dtype": value.name}
    if isinstance(value, tf.TensorShape):
        value = tuple(value.as_list())
    if isinstance(value, Mapping):
        return {"dict": {key: to_config(item, f"{path}[{key!r}]") for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        items = [to_config(item, f"{path}[{i}]") for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    return None


def _network_config(value: Any, path: str) -> dict | None:
    return networks.to_config(value, path) if isinstance(value, tf_keras.layers.Layer) else None


def _function_config(value: Any, path: str) -> dict | None:
    if not callable(value) or isinstance(value, type):
        return None
    try:
        return {"function": function_to_name(value, path)}
    except ValueError:
        return None  # the message of a distribution names a second way out


_CONVERSIONS = (
    *(_object_config, _deferred_config, _array_config),
    *(_network_config, _function_config, _nested_config),
)


def _array(config: Mapping) -> np.ndarray:
    dtype = tf.as_dtype(config["dtype"])
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool or dtype.is_complex):
        raise ValueError(f"dtype: wanted one of numbers, got {config['dtype']!r}.")
    values = np.array(config["array"])
    if values.dtype.kind not in "biufc":  # NumPy would convert None to NaN and "1" to 1
        raise ValueError(f"array: wanted numbers, got {str(config['array'])[:50]}.")
    return values.astype(dtype.as_numpy_dtype).reshape(config["shape"])


def _build(kind: str, config: Mapping) -> Any:
    base, module = _MODULES[kind]
    cls = _REGISTERED.get(config[kind]) or getattr(module, config[kind], None)
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ValueError(
            f"{kind}: wanted a class of {module.__name__} or a registered one, got "
            f"{config[kind]!r}. Import the module that registers it before loading."
        )
    return cls(**{key: _from_config(item) for key, item in config["parameters"].items()})
