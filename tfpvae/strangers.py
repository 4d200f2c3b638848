"""What the config of a saved model may name, since models come from strangers.

In a `.keras` file, loaded in safe mode, Keras refuses the code of a Lambda layer. It still imports
whatever module a config names, takes any function of it for a loss, calls any operation of
TensorFlow, those that write files among them, on constants of the config, builds the layers of
TensorFlow Probability, which unpickle theirs, and waits for ever for layers that wait for each
other. Here none of that gets past.

A SavedModel is a program: Keras runs the code of a Lambda in it, and TensorFlow its graph, before
any class of ours is asked. It is for models of one's own, or of somebody one trusts.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import tf_keras
from tf_keras.src.saving import serialization_lib

# Of Keras' public modules, those of classes and those of functions that a model is made of.
_FUNCTIONS = ("activations", "constraints", "initializers", "losses", "metrics", "regularizers")
_CLASSES = (*_FUNCTIONS, "layers", "mixed_precision", "optimizers")
_OTHER_CLASSES = {
    "tf_keras": ("Model", "Sequential"),
    "tf_keras.src.engine.functional": ("Functional",),
    "tf_keras.src.layers.core.tf_op_layer": ("SlicingOpLambda", "TFOpLambda"),
}
# Layers that run what the config brings along, or a method or operation that it names.
_CODE = (
    *("ClassMethod", "InstanceMethod", "InstanceProperty", "Lambda", "TFSMLayer"),
    *("TensorFlowOpLayer", "__lambda__"),
)
# Operations of TensorFlow that compute one tensor from others, and do nothing else.
_OPERATIONS = ("__operators__.", "image.", "linalg.", "math.", "nn.", "signal.")
_MORE_OPERATIONS = (
    *("broadcast_to", "cast", "clip_by_value", "concat", "convert_to_tensor", "einsum"),
    *("expand_dims", "gather", "identity", "ones_like", "pad", "random.normal", "random.uniform"),
    *("repeat", "reshape", "reverse", "roll", "shape", "slice", "split", "squeeze", "stack"),
    *("stop_gradient", "strided_slice", "tile", "transpose", "unstack", "where", "zeros_like"),
)


@contextlib.contextmanager
def guarding(config: Any) -> Iterator[None]:
    """Checks a config if it is loaded in safe mode, and says in words that nothing can be built.

    Raises:
      ValueError: as `check_config`, and in the place of what a broken config makes Keras raise.
    """
    if serialization_lib.in_safe_mode():  # None for a SavedModel, and where no file is loaded
        check_config(config)
    try:
        yield
    except (AssertionError, AttributeError, LookupError) as error:
        raise ValueError(
            "config: wanted that of a VAE, got one from which none can be built "
            f"({type(error).__name__}: {error})."
        ) from error


def check_config(config: Any, path: str = "config") -> None:
    """Raises unless a config names nothing but parts of models: Keras' own, and registered ones.

    Registered is what `tf_keras.saving.register_keras_serializable` was given by who loads the
    model, or stands in its `custom_objects`.

    Args:
      config: plain data, as `VAE.get_config` returns or a file holds.
      path: where in the whole config it stands; for the message.

    Raises:
      ValueError: naming the place and what is there.

    >>> check_config({"class_name": "Dense", "module": "keras.layers", "config": {"units": 2}})
    >>> check_config({"class_name": "function", "module": "os", "config": "system"})
    Traceback (most recent call last):
    ...
    ValueError: config: wanted a function of Keras or a registered one, got 'system' of 'os'. ...
    """
    if isinstance(config, Mapping):
        if "class_name" in config:
            _check_name(config, path)
        if isinstance(config.get("layers"), list) and "output_layers" in config:
            _check_order(config["layers"], path)
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
    known_as = inner if is_function else config.get("registered_name", name)  # as Keras looks it up
    if not isinstance(name, str) or name in _CODE or _unpickles(known_as):
        raise _refused(path, "the name of a class of plain data", f"{name!r}, which can run code")
    if is_function:
        is_known = _is_keras(known_as, module, _FUNCTIONS, callable)
    else:
        is_known = _is_keras(name, module, _CLASSES, lambda found: isinstance(found, type))
    if module is not None and not is_known and _registered(known_as) is None:
        kind = "function" if is_function else "class"
        got = f"{known_as if is_function else name!r} of {module!r}"
        raise _refused(path, f"a {kind} of Keras or a registered one", got)
    operation = inner.get("function") if isinstance(inner, Mapping) else None
    if name == "TFOpLambda" and not _computes(operation):
        raise _refused(path, "an operation that only computes", f"{operation!r} of TensorFlow")


def _registered(name: Any) -> Any:
    return tf_keras.saving.get_registered_object(name) if isinstance(name, str) else None


def _unpickles(name: Any) -> bool:
    """Returns whether a name is that of a layer of TensorFlow Probability, all registered."""
    return getattr(_registered(name), "__module__", "").startswith("tensorflow_probability.")


def _is_keras(name: Any, module: Any, rooms: tuple[str, ...], is_kind: Any) -> bool:
    """Returns whether a name is that of a public part of Keras in one of its modules."""
    if not (isinstance(name, str) and isinstance(module, str)):
        return False
    if module == "builtins":  # so Keras writes the module of its own functions
        return any(is_kind(getattr(getattr(tf_keras, room), name, None)) for room in rooms)
    module = f"tf_{module}" if module.startswith("keras") else module
    if name in _OTHER_CLASSES.get(module, ()):
        return True
    first, *inner = module.split(".")
    found: Any = tf_keras
    for part in (*inner, name):
        found = getattr(found, part, None)
    return first == "tf_keras" and bool(inner) and inner[0] in rooms and is_kind(found)


def _computes(operation: Any) -> bool:
    return isinstance(operation, str) and (
        operation.startswith(_OPERATIONS) or operation in _MORE_OPERATIONS
    )


def _check_order(layers: list, path: str) -> None:
    """Raises unless each call of a layer has its inputs at some time; Keras would wait for ever."""
    layers = [layer for layer in layers if isinstance(layer, Mapping) and "inbound_nodes" in layer]
    inputs = {layer.get("name") for layer in layers if layer.get("class_name") == "InputLayer"}
    made = {layer.get("name"): [_first_node(layer), 0] for layer in layers}
    waiting = [(layer.get("name"), list(_calls(layer["inbound_nodes"]))) for layer in layers]
    is_changed = True
    while is_changed:
        is_changed = False
        for name, calls in waiting:
            while calls and all(_is_made(call, made, inputs) for call in calls[0]):
                calls.pop(0)
                made[name][1] += 1
                is_changed = True
    for name, calls in waiting:
        if calls:
            got = f"{name!r}, of which an input is never made"
            raise _refused(path, "layers that can be run one after the other", got)


def _first_node(layer: Mapping) -> int:
    """Returns the number of a layer's first call: a model that begins with an Input has had one."""
    inner = layer.get("config")
    inside = inner.get("layers") if isinstance(inner, Mapping) else None
    if layer.get("class_name") not in ("Functional", "Sequential") or not inside:
        return 0
    return int(isinstance(inside[0], Mapping) and inside[0].get("class_name") == "InputLayer")


def _calls(nodes: Any) -> Iterator[list]:
    """Yields, for each call of a layer, the [layer, call, output] that it takes."""
    for node in nodes if isinstance(nodes, list) else ():
        yield list(_taken(node))


def _taken(node: Any) -> Iterator[list]:
    if isinstance(node, Mapping):
        node = list(node.values())
    if not isinstance(node, list):
        return
    is_output = len(node) in (3, 4) and isinstance(node[0], str)
    if is_output and node[0] != "_CONSTANT_VALUE":
        yield node
    for part in node[3:] if is_output else node:
        yield from _taken(part)


def _is_made(output: list, made: dict, inputs: set) -> bool:
    name, call, *_ = output
    if name in inputs or name not in made:
        return name in inputs
    first, count = made[name]
    return isinstance(call, int) and first <= call < first + count


def _refused(path: str, wanted: str, got: str) -> ValueError:
    return ValueError(
        f"{path}: wanted {wanted}, got {got}. In safe mode a VAE is loaded without running code of "
        "its file. Classes and functions of your own come in registered with "
        "tf_keras.saving.register_keras_serializable, or by load_model(..., custom_objects=...)."
    )
