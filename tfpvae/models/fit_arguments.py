"""The arguments of `fit` and `evaluate`: checked, and class weights as sample weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.schedules import Warmup
from tfpvae.training import input_pipeline, keras_3, progress

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE

# Arguments of Keras that are counts.
_COUNTS = ("batch_size", "epochs", "validation_batch_size")


def checked(method: Callable, vae: VAE, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Returns the arguments of Keras' `fit` or `evaluate` by name, with the data checked.

    Args:
      method: `fit` or `evaluate` of `tf_keras.Model`.
      vae: the `VAE`.
      *args: of the method.
      **kwargs: of the method.

    Raises:
      ValueError, TypeError: naming the argument that is wrong.
    """
    arguments = inspect.signature(method).bind(*args, **kwargs).arguments
    arguments |= arguments.pop("kwargs", {})
    for name in _COUNTS:
        if arguments.get(name) is not None:
            arguments[name] = _checks.whole_number(name, arguments[name])
    if arguments.get("_use_cached_eval_dataset"):  # validation during a fit, which has checked it
        return arguments
    for name in ("x", "validation_data"):
        if name in arguments:
            arguments[name] = _checks.peeked(name, arguments[name], vae)
    _checks.weights_of_floatx(vae)
    arguments |= _dense(arguments, is_conditional=vae.num_classes is not None)
    arguments = _data_checked(arguments, vae.data_spec, vae.num_classes)
    arguments["callbacks"] = keras_3.adapt(arguments.get("callbacks"))
    return arguments


def _dense(arguments: dict[str, Any], is_conditional: bool) -> dict[str, Any]:
    """Returns the arguments that are data, each part as one dense array."""
    second = "labels" if is_conditional else "y"
    dense = {}
    for name in ("x", "y", "sample_weight", "validation_data"):
        if arguments.get(name) is not None:
            names = (second if name == "y" else name, second, "sample_weight")
            dense[name] = _dense_parts(names, arguments[name])
    return dense


def _dense_parts(names: Sequence[str], data: Any) -> Any:
    """Returns images, or a tuple of images and their labels or weights, as dense arrays."""
    if not isinstance(data, (list, tuple)):
        return _checks.as_dense(names[0], data)
    parts = [_checks.as_dense(name, part) for name, part in zip(names, data, strict=False)]
    kind = tuple if isinstance(data, tuple) else list
    return kind([*parts, *data[len(parts) :]])


def _data_checked(
    arguments: dict[str, Any], spec: _checks.DataSpec, num_classes: int | None
) -> dict[str, Any]:
    """Returns the arguments with images, labels and weights checked, as Keras needs them."""
    x, y, weight = (arguments.get(name) for name in ("x", "y", "sample_weight"))
    if num_classes is not None:
        if y is None and isinstance(x, (list, tuple)) and len(x) == 2:
            x, y = x
        _checks.examples("x", x if y is None else (x, y), spec, num_classes)
    else:
        _checks.examples("x", x, spec)
        if y is not None:
            _checks.examples("y", y, spec)
            _checks.same_length("y", y, x)
        elif weight is not None:
            y = x  # Keras drops the weights of x alone
    if weight is not None and _checks.is_array(x):
        _checks.sample_weight_of(weight, len(x))
    unseen = arguments.get("validation_data")
    if unseen is not None:
        _checks.examples("validation_data", unseen, spec, num_classes)
        if hasattr(unseen, "dtype"):  # Keras asks whether an array is true
            arguments["validation_data"] = (unseen,)
    return arguments | {"x": x} | ({} if y is None else {"y": y})


def begin_warmup(vae: VAE, arguments: dict[str, Any]) -> None:
    """Converts the epochs of a warm-up of kl_weight to steps, before the optimizer's first step.

    Raises:
      ValueError: for a warm-up in epochs, and data of unknown length.
    """
    weight = vae.kl_regularizer and vae.kl_regularizer.weight
    if not isinstance(weight, Warmup):
        return
    if weight.num_steps is not None and int(vae.optimizer.iterations.numpy()):
        return
    get = arguments.get
    data, size = get("x"), get("batch_size") or 32
    if weight.begin(input_pipeline.count_batches(data, size, get("steps_per_epoch"))):
        vae.train_function = vae.test_function = None  # they were traced with the other steps


def with_class_weight(arguments: dict[str, Any], num_classes: int | None) -> dict[str, Any]:
    """Returns the arguments of `fit` with `class_weight` as weights of the images.

    Raises:
      ValueError, TypeError: for a VAE without classes, or for weights that are not a dict from
        classes to finite numbers.
    """
    weights = arguments.pop("class_weight", None)
    if weights is None:
        return arguments
    if num_classes is None:
        raise ValueError(
            "class_weight: wanted a VAE with labels, which build_vae(..., num_classes=...) makes, "
            "got one without. sample_weight weighs images one by one."
        )
    classes = set(range(num_classes))
    if not isinstance(weights, dict) or not set(weights) <= classes:
        raise ValueError(
            f"class_weight: wanted a dict of classes, from 0 to {num_classes - 1}, to numbers, got "
            f"{weights!r}."
        )
    factors = [
        _checks.finite_number("class_weight", weights.get(label, 1.0), minimum=0)
        for label in sorted(classes)
    ]
    table = tf.constant(factors, tf_keras.backend.floatx())

    def weigh(images: Any, labels: Any, weight: Any = 1.0) -> tuple:
        of_class = tf.gather(table, tf.cast(labels, tf.int32))
        return images, labels, of_class * tf.cast(weight, of_class.dtype)

    if isinstance(arguments["x"], tf.data.Dataset):
        return arguments | {"x": arguments["x"].map(weigh)}
    if not _checks.is_array(arguments["x"]):
        raise TypeError(
            "class_weight: wanted arrays or a tf.data.Dataset, got "
            f"{type(arguments['x']).__name__}. Let its batches be (images, labels, sample_weight)."
        )
    weight = arguments.get("sample_weight")
    weight = 1.0 if weight is None else np.asarray(weight).reshape(-1)
    *_, weight = weigh(arguments["x"], arguments["y"], weight)
    return arguments | {"sample_weight": weight.numpy()}


def callbacks_of(arguments: dict[str, Any]) -> list[tf_keras.callbacks.Callback]:
    """Returns the callbacks among the arguments as a list.

    >>> callbacks_of({"callbacks": "a"}), callbacks_of({})
    (['a'], [])
    """
    callbacks = arguments.get("callbacks") or []
    callbacks = getattr(callbacks, "callbacks", callbacks)  # of a CallbackList
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def with_callbacks(
    vae: VAE,
    callbacks: Any,
    first: tf_keras.callbacks.Callback,
    last: tf_keras.callbacks.Callback,
) -> Any:
    """Returns the `callbacks` of `fit` between two more."""
    if not isinstance(callbacks, tf_keras.callbacks.CallbackList):
        return [first, *tf.nest.flatten(callbacks or []), last]
    for callback in (first, last):  # Keras has told the others their model
        callback.set_model(vae)
    callbacks.callbacks[:] = [first, *callbacks.callbacks, last]
    return callbacks


def with_progress(vae: VAE, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments with the progress bar, unless they are silent or have one."""
    callbacks = keras_3.adapt(arguments.get("callbacks"))
    arguments = arguments | {"callbacks": callbacks}
    bar = tf_keras.callbacks.ProgbarLogger
    if (
        arguments.get("verbose", "auto") == 0
        or isinstance(callbacks, tf_keras.callbacks.CallbackList)
        or any(isinstance(callback, bar) for callback in callbacks_of(arguments))
    ):
        return arguments
    hidden = ("elbo",) if vae.prior is not None else ("elbo", "kl")
    return arguments | {"callbacks": [*callbacks_of(arguments), progress.Progress(hidden)]}
