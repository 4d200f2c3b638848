"""Checks of arguments: each message names the argument, what was wanted and what came."""

from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae._checks import pixel_advice
from tfpvae._checks.suggestions import did_you_mean

# Of Keras' floatx, those in which densities are computed.
_FLOATX = ("float32", "float64")


def eager() -> None:
    """Checks that TensorFlow's eager execution is enabled.

    Raises:
      RuntimeError: where a program disabled it.
    """
    if not tf.compat.v1.executing_eagerly_outside_functions():
        raise RuntimeError(
            "eager execution: wanted it enabled, got a program that disabled it. Remove "
            "tf.compat.v1.disable_eager_execution() or disable_v2_behavior()."
        )


def one_of(argument: str, name: Any, names: Iterable[str]) -> None:
    """Checks that `name` is one of the `names`.

    Raises:
      ValueError: listing the names, with the nearest one.

    >>> one_of("architecture", "Dense", ["conv", "dense"])
    Traceback (most recent call last):
    ...
    ValueError: architecture: wanted one of 'conv', 'dense', got 'Dense'. Did you mean 'dense'?
    """
    names = sorted(names)
    if not isinstance(name, str) or name not in names:  # an array has no one answer to "in"
        raise ValueError(
            f"{argument}: wanted one of {', '.join(map(repr, names))}, got {name!r}."
            f"{did_you_mean(name, names)}"
        )


def whole_number(argument: str, value: Any, *, minimum: int = 1) -> int:
    """Returns `value` as an int.

    Raises:
      TypeError, ValueError: unless it is a whole number of at least `minimum`.
    """
    message = f"{argument}: wanted a whole number, at least {minimum}, got {value!r}."
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(message)
    if value < minimum:
        raise ValueError(message)
    return int(value)


def finite_number(argument: str, value: Any, *, minimum: float) -> float:
    """Returns `value` as a float.

    Raises:
      TypeError, ValueError: unless it is a finite number of at least `minimum`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{argument}: wanted a number, got {value!r}.")
    if not np.isfinite(value) or value < minimum:
        raise ValueError(f"{argument}: wanted a finite number, at least {minimum}, got {value!r}.")
    return float(value)


def flag(argument: str, value: Any, *, or_none: bool = False) -> None:
    """Checks that `value` is True or False, or None if that is allowed.

    Raises:
      TypeError: for any other value.
    """
    if not (isinstance(value, (bool, np.bool_)) or (or_none and value is None)):
        values = "True, False or None" if or_none else "True or False"
        raise TypeError(f"{argument}: wanted {values}, got {value!r}.")


def hidden_units(sizes: Any) -> list[int]:
    """Returns the sizes of hidden layers as ints.

    Raises:
      TypeError, ValueError: unless they are whole numbers above 0.
    """
    try:  # bytes are whole numbers, too
        sizes = [sizes] if isinstance(sizes, bytes) else sizes
        return [whole_number("hidden_units", size) for size in sizes]
    except TypeError:
        raise TypeError(
            f"hidden_units: wanted the sizes of hidden layers, whole numbers, got {sizes!r}."
        ) from None


def image_shape(shape: Any) -> tuple[int, int, int]:
    """Returns (height, width, channels) as ints.

    Raises:
      ValueError: unless they are three whole numbers above 0.
    """
    try:
        height, width, channels = event_shape("image_shape", shape)
    except (TypeError, ValueError):
        hint = ""
        if isinstance(shape, (list, tuple)) and len(shape) == 2:
            hint = f" Gray images have one channel: {(*shape, 1)}."
        elif isinstance(shape, (list, tuple)) and shape:
            hint = f" Other data than images: event_shape={shape!r}."
        raise ValueError(
            "image_shape: wanted (height, width, channels), whole numbers above 0, got "
            f"{shape!r}.{hint}"
        ) from None
    return height, width, channels


def event_shape(argument: str, shape: Any) -> tuple[int, ...]:
    """Returns the shape of an example as ints, at least one.

    Raises:
      ValueError: unless they are whole numbers above 0.

    >>> event_shape("event_shape", [50, 3])
    (50, 3)
    """
    try:
        sides = tuple(whole_number("side", side) for side in tuple(shape))
    except (TypeError, ValueError):
        sides = ()
    if not sides:
        raise ValueError(
            f"{argument}: wanted the shape of one example, whole numbers above 0 such as (30,), "
            f"got {shape!r}."
        )
    return sides


def example_shape(of_image: Any, of_other: Any) -> tuple[int, ...]:
    """Returns the shape of an image, or of one example of other data, whichever is set.

    Raises:
      ValueError: for an invalid shape, or unless one of the two is None.
    """
    if of_other is None:
        return image_shape(of_image)
    if of_image is not None:
        raise ValueError(
            f"event_shape: wanted image_shape or event_shape, got both, {of_image!r} and "
            f"{of_other!r}."
        )
    return event_shape("event_shape", of_other)


def not_keras_3(argument: str, candidate: Any) -> None:
    """Checks that an object is not of Keras 3, to which `keras` and `tf.keras` belong.

    Raises:
      TypeError: for an object of Keras 3, with the import to write.
    """
    module = type(candidate).__module__
    if module == "keras" or module.startswith("keras."):
        raise TypeError(
            f"{argument}: wanted an object of tf_keras, got the Keras 3 object "
            f"{type(candidate).__name__} (from {module}). tfpvae and tensorflow-probability run on "
            "tf_keras: write `import tf_keras`, and its name for that of keras or tf.keras."
        )


def keras_callable(argument: str, candidate: Any) -> None:
    """Checks that `candidate` is a tf_keras model or layer, or a callable of tensors.

    Raises:
      TypeError: for anything else.
    """
    not_keras_3(argument, candidate)
    if isinstance(candidate, type) or not callable(candidate):
        raise TypeError(f"{argument}: wanted a tf_keras model or a callable, got {candidate!r}.")


def model(argument: str, candidate: Any) -> None:
    """Checks that `candidate` is a tf_keras model.

    Raises:
      TypeError: for anything else.
    """
    keras_callable(argument, candidate)
    if not isinstance(candidate, tf_keras.Model):
        raise TypeError(f"{argument}: wanted a tf_keras model, got {candidate!r}.")


def floatx() -> None:
    """Checks that a VAE can be built with Keras' floatx and the global policy of its layers.

    Raises:
      ValueError: with the line to write.
    """
    dtype, policy = tf_keras.backend.floatx(), tf_keras.mixed_precision.global_policy()
    if dtype not in _FLOATX:
        raise ValueError(
            f"floatx: wanted 'float32' or 'float64' as Keras' floatx, got {dtype!r}, of which "
            "densities overflow. Write tf_keras.backend.set_floatx('float32'); "
            "build_vae(..., precision='bfloat16') computes the networks in 16 bits."
        )
    if policy.variable_dtype != dtype:
        fix = f"tf_keras.backend.set_floatx({policy.variable_dtype!r})"
        if policy.variable_dtype not in _FLOATX:
            fix = f"tf_keras.mixed_precision.set_global_policy('mixed_{policy.name}')"
        raise ValueError(
            f"policy: wanted layers whose weights are of Keras' floatx, {dtype!r}, got the global "
            f"policy {policy.name!r}. Write {fix}, or "
            "tf_keras.mixed_precision.set_global_policy(None) for layers that follow floatx."
        )


def weights_of_floatx(vae: tf_keras.Model) -> None:
    """Checks that the weights of a VAE have the dtype of its images, Keras' floatx.

    It may have changed since the VAE was built, or differ where the VAE is loaded.

    Raises:
      ValueError: with the line to write.
    """
    dtypes = [weight.dtype.name for weight in vae.decoder.weights if weight.dtype.is_floating]
    dtype = tf_keras.backend.floatx()
    if not dtypes or dtype in dtypes:
        return
    fix = "Build it of layers with dtype='float32'"
    if dtypes[-1] in _FLOATX:
        fix = f"Write tf_keras.backend.set_floatx({dtypes[-1]!r}), or build it again"
    raise ValueError(
        f"floatx: wanted {dtypes[-1]!r}, the dtype of this VAE's weights, as Keras' floatx, got "
        f"{dtype!r}. {fix}."
    )


def seed(value: Any) -> tf.Tensor:
    """Returns a stateless seed, int32 [2]: a new one for None, else that of an int or a pair.

    Raises:
      TypeError, ValueError: for anything else.
    """
    if value is None:
        whole = tf.int32
        return tf.random.uniform([2], whole.min, whole.max, dtype=whole)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        words = np.array([value & 0xFFFFFFFF, (value >> 32) & 0xFFFFFFFF], np.uint32)
        return tf.constant(words.view(np.int32))
    pair = as_tensor("seed", value)
    if not pair.dtype.is_integer or pair.shape != [2]:
        raise ValueError(f"seed: wanted None, an int or two of them, got {value!r}.")
    return tf.cast(pair, tf.int32)


def is_array(value: Any) -> TypeGuard[Any]:
    """Returns whether a value has a shape and a dtype, and is not a class."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, type)


def dtype_of(message: str, array: Any) -> tf.DType:
    """Returns the dtype of an array.

    Args:
      message: the beginning of the sentence for a dtype that TensorFlow does not know.
      array: has a dtype.

    Raises:
      TypeError: for such a dtype.
    """
    try:
        return tf.as_dtype(array.dtype)
    except TypeError:  # of dates, or of torch
        hint = " Write images.numpy()." if hasattr(array, "numpy") else ""
        raise TypeError(f"{message} {array.dtype}.{hint}") from None


def as_dense(argument: str, value: Any) -> Any:
    """Returns the array or tensor that a value holds; anything else unchanged.

    Raises:
      TypeError: for an array whose mask hides values, a ragged or a sparse tensor.
    """
    return pixel_advice.as_dense(argument, value)


def as_tensor(argument: str, value: Any) -> tf.Tensor:
    """Returns `value` as a tensor.

    Raises:
      TypeError: for a value that cannot be converted.
    """
    value = as_dense(argument, value)
    try:
        return tf.convert_to_tensor(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{argument}: wanted an array, got {str(value)[:50]}: {error}") from error
