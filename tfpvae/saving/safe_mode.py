"""Checks of the config of a saved model, which may come from an untrusted source.

In safe mode, the default for a `.keras` file, Keras refuses the code of a Lambda layer. It still
imports any module that a config names and takes any function of it for a loss. It calls any
operation of TensorFlow on constants of the config, operations that write files among them. It
builds the layers of TensorFlow Probability, which unpickle parts of their configs, and it never
returns from a network whose layers wait for each other. The checks here refuse all of these.

A SavedModel is a program. Keras runs the code of its Lambda layers, and TensorFlow its graph,
before any class of tfpvae is called. Load it only from a source that you trust.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import tf_keras
from tf_keras.src.saving import serialization_lib

# The public modules of Keras with the functions and classes of a model.
_FUNCTIONS = ("activations", "constraints", "initializers", "losses", "metrics", "regularizers")
_CLASSES = (*_FUNCTIONS, "layers", "mixed_precision", "optimizers")
_OTHER_CLASSES = {
    "tf_keras": ("Model", "Sequential"),
    "tf_keras.src.engine.functional": ("Functional",),
    "tf_keras.src.layers.core.tf_op_layer": ("SlicingOpLambda", "TFOpLambda"),
    "tf_keras.src.mixed_precision.loss_scale_optimizer": (
        "LossScaleOptimizer",  # of a legacy optimizer
        "LossScaleOptimizerV3",
    ),
}


# Layers that run code of the config, or any method or operation that it names.
_CODE = (
    *("ClassMethod", "InstanceMethod", "InstanceProperty", "Lambda", "TFSMLayer"),
    *("TensorFlowOpLayer", "__lambda__"),
)


# Operations of TensorFlow that compute a tensor from others and do nothing else.
_OPERATIONS = ("__operators__.", "image.", "linalg.", "math.", "nn.", "signal.")
_MORE_OPERATIONS = (
    *("broadcast_to", "cast", "clip_by_value", "concat", "convert_to_tensor", "einsum"),
    *("expand_dims", "gather", "identity", "ones_like", "pad", "random.normal", "random.uniform"),
    *("repeat", "reshape", "reverse", "roll", "shape", "slice", "split", "squeeze", "stack"),
    *("stop_gradient", "strided_slice", "tile", "transpose", "unstack", "where", "zeros_like"),
)


_MAX_PASSES = 10_000  # of Keras over the layers of a network; each should call at least one


@contextlib.contextmanager
def guarding(config: Any) -> Iterator[None]:
    """Checks a config that is loaded in safe mode, and rewords the errors of one that is broken.

    Args:
      config: plain data, as `VAE.get_config` returns or a file contains.

    Raises:
      ValueError: as `check_config` does, and in place of the errors that a broken config causes.

    >>> with guarding({}):
    ...     {}["encoder"]
    Traceback (most recent call last):
    ...
    ValueError: config: wanted that of a VAE, got one from which none can be built (KeyError: ...
    """
    if serialization_lib.in_safe_mode():  # None for a SavedModel, and if no file is loaded
        check_config(config)
    try:
        yield
    except (AssertionError, AttributeError, LookupError) as error:
        raise ValueError(
            "config: wanted that of a VAE, got one from which none can be built "
            f"({type(error).__name__}: {error})."
        ) from error


def check_config(config: Any, path: str = "config") -> None:
    """Checks that a config names only parts of models: those of Keras and registered ones.

    Parts are registered with `tf_keras.saving.register_keras_serializable`, or by `custom_objects`.
    The layers of each network are wrapped in place, so that Keras cannot wait for them for ever.

    Args:
      config: plain data, as `VAE.get_config` returns or a file contains.
      path: the place of this config in the whole one, for the message.

    Raises:
      ValueError: if it names anything else; the message gives the place and the name.

    >>> check_config({"class_name": "Dense", "module": "keras.layers", "config": {"units": 2}})
    >>> check_config({"class_name": "function", "module": "os", "config": "system"})
    Traceback (most recent call last):
    ...
    ValueError: config: wanted a function of Keras or a registered one, got 'system' of 'os'. ...
    """
    if isinstance(config, Mapping):
        if "class_name" in config:
            _check_name(config, path)
        layers = config.get("layers")
        if isinstance(config, dict) and isinstance(layers, list) and "output_layers" in config:
            config["layers"] = _Layers(layers)
        for key, value in config.items():
            if value == "lambda" and str(key).endswith("_type"):
                raise _refused(path, "no code", "a Python lambda")
            if key == "vocabulary" and isinstance(value, str):
                raise _refused(path, "the words of a vocabulary", f"the file {value!r}")
            check_config(value, f"{path}.{key}")
    elif isinstance(config, (list, tuple)):
        for index, item in enumerate(config):
            if isinstance(item, (Mapping, list, tuple)):  # not each number of an array
                check_config(item, f"{path}[{index}]")


def _check_name(config: Mapping, path: str) -> None:
    name, module, inner = config["class_name"], config.get("module"), config.get("config")
    is_function = name == "function"
    key = inner if is_function else config.get("registered_name", name)  # as Keras looks it up
    if not isinstance(name, str) or name in _CODE or _unpickles(key):
        raise _refused(path, "the name of a class of plain data", f"{name!r}, which can run code")
    if is_function:
        is_allowed = _is_keras(key, module, _FUNCTIONS, callable)
    else:
        is_allowed = _is_keras(name, module, _CLASSES, lambda part: isinstance(part, type))
    if module is not None and not is_allowed and _registered(key) is None:
        kind = "function" if is_function else "class"
        got = f"{key if is_function else name!r} of {module!r}"
        raise _refused(path, f"a {kind} of Keras or a registered one", got)
    operation = inner.get("function") if isinstance(inner, Mapping) else None
    if name == "TFOpLambda" and not _computes(operation):
        raise _refused(path, "an operation that only computes", f"{operation!r} of TensorFlow")


def _registered(name: Any) -> Any:
    return tf_keras.saving.get_registered_object(name) if isinstance(name, str) else None


def _unpickles(name: Any) -> bool:
    """Returns whether a layer of TensorFlow Probability is registered under a name."""
    return getattr(_registered(name), "__module__", "").startswith("tensorflow_probability.")


def _is_keras(name: Any, module: Any, modules: tuple[str, ...], is_kind: Any) -> bool:
    """Returns whether a name is that of a public part of Keras in one of its modules."""
    if not (isinstance(name, str) and isinstance(module, str)):
        return False
    if module == "builtins":  # the module that Keras writes for its own functions
        return any(is_kind(getattr(getattr(tf_keras, other), name, None)) for other in modules)
    module = f"tf_{module}" if module.startswith("keras") else module
    if name in _OTHER_CLASSES.get(module, ()):
        return True
    package, *inner = module.split(".")
    part: Any = tf_keras
    for attribute in (*inner, name):
        part = getattr(part, attribute, None)
    return package == "tf_keras" and bool(inner) and inner[0] in modules and is_kind(part)


def _computes(operation: Any) -> bool:
    return isinstance(operation, str) and (
        operation.startswith(_OPERATIONS) or operation in _MORE_OPERATIONS
    )


class _Layers(list):
    """Layers of a network. Keras goes over them until all are connected, which may be never."""

    def __iter__(self) -> Iterator:
        self.passes = getattr(self, "passes", 0) + 1
        if self.passes > _MAX_PASSES:
            expected = "layers that can be run one after the other"
            raise _refused("config", expected, "layers that wait for each other")
        return super().__iter__()


def _refused(path: str, expected: str, got: str) -> ValueError:
    return ValueError(
        f"{path}: wanted {expected}, got {got}. In safe mode a VAE is loaded without running code "
        "from its file. Register custom classes and functions with "
        "tf_keras.saving.register_keras_serializable, or use load_model(..., custom_objects=...)."
    )
