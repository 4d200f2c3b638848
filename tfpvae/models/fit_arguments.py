"""Checks of the arguments of `fit` and `evaluate`."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import tf_keras

from tfpvae import _checks
from tfpvae.training import keras_3

# Arguments of Keras that are counts.
_COUNTS = ("batch_size", "epochs", "validation_batch_size")


def training_arguments(
    method: Callable, vae: tf_keras.Model, *args: Any, **kwargs: Any
) -> dict[str, Any]:
    """Returns the arguments of Keras' `fit` or `evaluate` by name, those that are data checked."""
    given = inspect.signature(method).bind(*args, **kwargs).arguments
    given |= given.pop("kwargs", {})
    for name in _COUNTS:
        if given.get(name) is not None:
            given[name] = _checks.whole_number(name, given[name])
    if given.get("_use_cached_eval_dataset"):  # the validation of a fit, which has checked it
        return given
    for name in ("x", "validation_data"):
        if name in given:
            given[name] = _checks.peeked(name, given[name], vae)
    _checks.weights_of_floatx(vae)
    second = "y" if vae.num_classes is None else "labels"
    for name in ("x", "y", "sample_weight", "validation_data"):
        if given.get(name) is not None:
            names = (second if name == "y" else name, second, "sample_weight")
            given[name] = _dense_parts(names, given[name])
    shape, num_classes, x, y = vae.image_shape, vae.num_classes, given.get("x"), given.get("y")
    if num_classes is not None:
        if y is None and isinstance(x, (list, tuple)) and len(x) == 2:
            given["x"], given["y"] = x, y = x
        _checks.images("x", x if y is None else (x, y), shape, num_classes)
    else:
        _checks.images("x", x, shape)
        if y is not None:
            _checks.images("y", y, shape)
            _checks.same_length("y", y, x)
        elif given.get("sample_weight") is not None:
            given["y"] = x  # Keras forgets the weights of x alone,
    if given.get("sample_weight") is not None and _checks.is_array(given["x"]):
        _checks.sample_weight_of(given["sample_weight"], len(given["x"]))
    if given.get("validation_data") is not None:
        _checks.images("validation_data", given["validation_data"], shape, num_classes)
    if hasattr(given.get("validation_data"), "dtype"):
        given["validation_data"] = (given["validation_data"],)  # and asks an array if it is true
    if not vae._is_compiled:
        raise RuntimeError(
            f"{method.__name__}: wanted a compiled VAE, got none; vae.compile() first."
        )
    given["callbacks"] = keras_3.adapt(given.get("callbacks"))
    return given


def _dense_parts(names: Sequence[str], data: Any) -> Any:
    """Returns images, or images with what belongs to them, each as one array; of these names."""
    if not isinstance(data, (list, tuple)):
        return _checks.as_dense(names[0], data)
    parts = [_checks.as_dense(name, part) for name, part in zip(names, data, strict=False)]
    kind = tuple if isinstance(data, tuple) else list
    return kind([*parts, *data[len(parts) :]])
