"""Checks of arguments: every message names the argument, what was wanted and what came."""

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeGuard

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae import _pixels

# Arrays are scanned in pieces so that the check never doubles the memory of a large data set.
_PIXELS_A_PIECE = 2**24
# Of Keras' floatx, those in which densities are computed.
_FLOATX = ("float32", "float64")
# Arguments of Keras that are counts.
_COUNTS = ("batch_size", "epochs", "validation_batch_size")


def eager() -> None:
    """Raises where TensorFlow 2's eager execution was switched off for the whole program."""
    if not tf.compat.v1.executing_eagerly_outside_functions():
        raise RuntimeError(
            "eager execution: wanted it enabled, got a program that disabled it. Remove "
            "tf.compat.v1.disable_eager_execution() or disable_v2_behavior()."
        )


def one_of(argument: str, name: Any, known: Iterable[str]) -> None:
    """Raises unless `name` is one of the `known` names."""
    known = sorted(known)
    if not isinstance(name, str) or name not in known:  # an array has no one answer to "in"
        raise ValueError(f"{argument}: wanted one of {', '.join(map(repr, known))}, got {name!r}.")


def whole_number(argument: str, value: Any, *, minimum: int = 1) -> int:
    """Returns `value` as an int; raises unless it is a whole number of at least `minimum`."""
    wanted = f"{argument}: wanted a whole number, at least {minimum}, got {value!r}."
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(wanted)
    if value < minimum:
        raise ValueError(wanted)
    return int(value)


def finite_number(argument: str, value: Any, *, minimum: float) -> float:
    """Returns `value` as a float; raises unless it is finite and at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{argument}: wanted a number, got {value!r}.")
    if not np.isfinite(value) or value < minimum:
        raise ValueError(f"{argument}: wanted a finite number, at least {minimum}, got {value!r}.")
    return float(value)


def flag(argument: str, value: Any, *, or_none: bool = False) -> None:
    """Raises unless `value` is True or False, or, where that has a meaning, None."""
    if not (isinstance(value, (bool, np.bool_)) or (or_none and value is None)):
        wanted = "True, False or None" if or_none else "True or False"
        raise TypeError(f"{argument}: wanted {wanted}, got {value!r}.")


def hidden_units(sizes: Any) -> list[int]:
    """Returns the sizes of hidden layers as ints; raises unless they are whole numbers above 0."""
    try:  # bytes are whole numbers, too
        sizes = [sizes] if isinstance(sizes, bytes) else sizes
        return [whole_number("hidden_units", size) for size in sizes]
    except TypeError:
        raise TypeError(
            f"hidden_units: wanted the sizes of hidden layers, whole numbers, got {sizes!r}."
        ) from None


def image_shape(shape: Any) -> tuple[int, int, int]:
    """Returns (height, width, channels) as three ints; raises unless they are that."""
    try:
        height, width, channels = (whole_number("side", side) for side in tuple(shape))
    except (TypeError, ValueError):
        raise ValueError(
            f"image_shape: wanted (height, width, channels), whole numbers above 0, got {shape!r}."
        ) from None
    return height, width, channels


def not_keras_3(argument: str, candidate: Any) -> None:
    """Raises for an object of Keras 3, which is what `keras` and `tf.keras` are."""
    module = type(candidate).__module__
    if module == "keras" or module.startswith("keras."):
        raise TypeError(
            f"{argument}: wanted an object of tf_keras, got the Keras 3 object "
            f"{type(candidate).__name__} (from {module}). tfpvae and tensorflow-probability run on "
            "tf_keras: write `import tf_keras`, and its name for that of keras or tf.keras."
        )


def keras_callable(argument: str, candidate: Any) -> None:
    """Raises unless `candidate` is a tf_keras model or layer, or a plain callable of tensors."""
    not_keras_3(argument, candidate)
    if isinstance(candidate, type) or not callable(candidate):
        raise TypeError(f"{argument}: wanted a tf_keras model or a callable, got {candidate!r}.")


def model(argument: str, candidate: Any) -> None:
    """Raises unless `candidate` is a tf_keras model."""
    keras_callable(argument, candidate)
    if not isinstance(candidate, tf_keras.Model):
        raise TypeError(f"{argument}: wanted a tf_keras model, got {candidate!r}.")


def floatx() -> None:
    """Raises unless Keras' floatx, and the policy of its layers, are those that a VAE can have."""
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
    """Raises if the weights of a VAE are of another dtype than Keras' floatx, that of its images.

    It may have changed since the VAE was built, or be another where it is loaded.
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
    """Returns a stateless seed, int32 [2]: fresh for None, else fixed by the int or pair given."""
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
    """Returns whether a value has a shape and a dtype, and is no class of such."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, type)


def as_dense(argument: str, value: Any) -> Any:
    """Returns the array or tensor that a value holds; anything else unchanged.

    Raises:
      TypeError: for an array whose mask hides values, a ragged or a sparse tensor.
    """
    return _pixels.as_dense(argument, value)


def as_tensor(argument: str, value: Any) -> tf.Tensor:
    """Returns `value` as a tensor; raises unless one can be made of it."""
    value = as_dense(argument, value)
    try:
        return tf.convert_to_tensor(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{argument}: wanted an array, got {str(value)[:50]}: {error}") from error


def training_arguments(
    method: Callable, vae: tf_keras.Model, *args: Any, **kwargs: Any
) -> dict[str, Any]:
    """Returns the arguments of Keras' `fit` or `evaluate` by name, those that are data checked."""
    given = inspect.signature(method).bind(*args, **kwargs).arguments
    given |= given.pop("kwargs", {})
    for name in _COUNTS:
        if given.get(name) is not None:
            given[name] = whole_number(name, given[name])
    if given.get("_use_cached_eval_dataset"):  # the validation of a fit, which has checked it
        return given
    for name in ("x", "validation_data"):
        if name in given:
            given[name] = peeked(name, given[name], vae)
    weights_of_floatx(vae)
    second = "y" if vae.num_classes is None else "labels"
    for name in ("x", "y", "sample_weight", "validation_data"):
        if given.get(name) is not None:
            names = (second if name == "y" else name, second, "sample_weight")
            given[name] = _dense_parts(names, given[name])
    shape, num_classes, x, y = vae.image_shape, vae.num_classes, given.get("x"), given.get("y")
    if num_classes is not None:
        if y is None and isinstance(x, (list, tuple)) and len(x) == 2:
            given["x"], given["y"] = x, y = x
        images("x", x if y is None else (x, y), shape, num_classes)
    else:
        images("x", x, shape)
        if y is not None:
            images("y", y, shape)
            _as_many("y", y, x)
        elif given.get("sample_weight") is not None:
            given["y"] = x  # Keras forgets the weights of x alone,
    if given.get("sample_weight") is not None and is_array(given["x"]):
        _sample_weight(given["sample_weight"], len(given["x"]))
    if given.get("validation_data") is not None:
        images("validation_data", given["validation_data"], shape, num_classes)
    if hasattr(given.get("validation_data"), "dtype"):
        given["validation_data"] = (given["validation_data"],)  # and asks an array if it is true
    if not vae._is_compiled:
        raise RuntimeError(
            f"{method.__name__}: wanted a compiled VAE, got none; vae.compile() first."
        )
    for callback in tf.nest.flatten(given.get("callbacks")):
        not_keras_3("callbacks", callback)
    return given


def _dense_parts(names: Sequence[str], data: Any) -> Any:
    """Returns images, or images with what belongs to them, each as one array; of these names."""
    if not isinstance(data, (list, tuple)):
        return as_dense(names[0], data)
    parts = [as_dense(name, part) for name, part in zip(names, data, strict=False)]
    kind = tuple if isinstance(data, tuple) else list
    return kind([*parts, *data[len(parts) :]])


def peeked(argument: str, data: Any, vae: tf_keras.Model) -> Any:
    """Returns data, of which the first batch of a generator was looked at."""
    if not isinstance(data, Iterator) or isinstance(data, tf.data.Iterator):
        return data
    first = next(data, None)
    if first is None:
        raise ValueError(
            f"{argument}: wanted at least one batch of images, got an empty generator."
        )
    images(argument, first, vae.image_shape, vae.num_classes)
    return itertools.chain([first], data)


def images(argument: str, data: Any, shape: Sequence[int], num_classes: int | None = None) -> None:
    """Raises unless `data` holds images [B, H, W, C] of `shape` with pixels in range.

    With `num_classes` they have to be pairs of images and labels. Arrays are looked at whole. Of a
    tf.data.Dataset and a Sequence the first batch is; `peeked` does so for a generator.
    """
    if isinstance(data, tf.data.Dataset):
        _dataset(argument, data, shape, num_classes)
    elif isinstance(data, tf_keras.utils.Sequence):
        _pair(argument, data[0], shape, num_classes)
    elif not isinstance(data, Iterator):
        _pair(argument, data, shape, num_classes)


def labels(given: Any, num_classes: int, count: int | None) -> None:
    """Raises unless labels are whole numbers [count], 0 <= label < num_classes."""
    length = "B" if count is None else count
    given = as_dense("labels", given)
    wanted = f"labels: wanted whole numbers [{length}], 0 <= label < {num_classes}, got"
    if not is_array(given):
        raise TypeError(f"{wanted} {type(given).__name__}.")
    shape, dtype = tuple(given.shape), _dtype(wanted, given)
    if not tf.TensorShape(shape).is_compatible_with([count]):
        hint = ""
        if len(shape) == 2:
            hint = " labels[:, 0]?" if shape[1] == 1 else " Of one-hot ones: labels.argmax(axis=1)."
        raise ValueError(f"{wanted} shape {shape}.{hint}")
    if not dtype.is_integer:
        raise TypeError(f"{wanted} {dtype.name}.")
    if count == 0 or (isinstance(given, tf.Tensor) and not hasattr(given, "numpy")):
        return  # there are no values, or a symbolic tensor has none yet
    low, high = np.min(given), np.max(given)
    if low < 0 or high >= num_classes:
        raise ValueError(f"{wanted} some from {low} to {high}.")


def no_labels(num_classes: int) -> ValueError:
    """Returns the error of labels that are missing."""
    return ValueError(
        f"labels: wanted one for each image, since this VAE is conditional on {num_classes} "
        "classes, got none. fit and evaluate take (images, labels); predict takes [images, labels];"
        " all three take batches of such pairs; the VAE's other methods have an argument `labels`. "
        "tfpvae.evaluation and tfpvae.ex_post take no conditional VAE."
    )


def array(argument: str, pixels: Any, shape: Sequence[int]) -> None:
    """Raises unless `pixels` is an array [B, H, W, C], float in [0, 1] or uint8, and not empty."""
    pixels = as_dense(argument, pixels)
    dtype = form(argument, pixels, shape)
    if not _has_values(pixels):
        return
    low, high = _range(pixels)
    if dtype == tf.uint8:
        if high == 1:
            raise ValueError(
                f"{argument}: uint8 pixels are read as 0 to 255, but the largest here is 1. "
                f"Pass binary images as floats: {_as_floats(pixels)}."
            )
    elif not (low >= 0 and high <= 1):  # NaN fails both
        place = f" {_first_nan(pixels)}" if np.isnan(low) else ""
        raise ValueError(out_of_range(argument, low, high) + place)


def out_of_range(argument: str, low: float, high: float) -> str:
    """Returns the message for float pixels that are not in [0, 1].

    >>> out_of_range("x", 0, 257)[39:]
    'from 0 to 257. These look like 16 bits divided by 255: divide the original pixels by 65535.'
    """
    return (
        f"{argument}: wanted pixels in [0, 1], got values from {low} to {high}. "
        f"{_pixels.of_floats(low, high)}"
    )


def form(argument: str, pixels: Any, shape: Sequence[int]) -> tf.DType:
    """Returns the dtype of an array of images; raises as `array`, but for what values they have."""
    pixels = as_dense(argument, pixels)
    wanted = f"{argument}: wanted float pixels in [0, 1] or uint8 ones, got"
    dtype = _dtype(wanted, pixels)
    _shape(argument, tuple(pixels.shape), shape)
    if 0 in tuple(pixels.shape):
        raise ValueError(f"{argument}: wanted at least one image, got shape {tuple(pixels.shape)}.")
    if not (dtype.is_floating or dtype == tf.uint8):
        raise TypeError(f"{wanted} {dtype.name}{_what_to_do(pixels, dtype)}")
    return dtype


def _what_to_do(pixels: Any, dtype: tf.DType) -> str:
    """Returns the end of a sentence about images of a dtype that pixels cannot have."""
    floats = _as_floats(pixels)
    if not (dtype.is_integer and _has_values(pixels)):
        return f". {_pixels.of_dtype(dtype, floats)}".rstrip()
    low, high = map(int, _range(pixels))
    return f", values from {low} to {high}. {_pixels.of_whole_numbers(low, high, floats)}"


def _as_floats(pixels: Any) -> str:
    is_tensor = isinstance(pixels, tf.Tensor)
    return "tf.cast(images, 'float32')" if is_tensor else "images.astype('float32')"


def _has_values(array: Any) -> bool:
    """Returns whether an array has values to look at; a symbolic tensor has none yet."""
    return not isinstance(array, tf.Tensor) or hasattr(array, "numpy")


def _pieces(pixels: Any) -> Iterator[np.ndarray]:
    """Yields images in pieces of bounded size."""
    step = max(1, _PIXELS_A_PIECE // int(np.prod(tuple(pixels.shape)[1:])))
    for start in range(0, len(pixels), step):
        yield np.asarray(pixels[start : start + step])


def _range(pixels: Any) -> tuple[Any, Any]:
    """Returns the least and the largest of all pixels; NaN for both if one of them is NaN."""
    ranges = [(piece.min(), piece.max()) for piece in _pieces(pixels)]
    low, high = zip(*ranges, strict=True)
    return np.min(low), np.max(high)  # not min() and max(): NumPy's pass a NaN on


def _first_nan(pixels: Any) -> str:
    """Returns a sentence: how many pixels are NaN, and where the first one is."""
    count, first, start = 0, "", 0
    for piece in _pieces(pixels):
        places = np.argwhere(np.isnan(piece))
        if len(places) and not count:
            first = ", ".join(map(str, (start + places[0][0], *places[0][1:])))
        count, start = count + len(places), start + len(piece)
    return f"NaN are {count} of {np.prod(tuple(pixels.shape))} values, the first images[{first}]."


def _as_many(argument: str, some: Any, x: Any) -> None:
    if is_array(x) and is_array(some) and len(some) != len(x):
        raise ValueError(f"{argument}: wanted as many as of x, {len(x)}, got {len(some)}.")


def _dtype(wanted: str, array: Any) -> tf.DType:
    try:
        return tf.as_dtype(array.dtype)
    except TypeError:  # a date's
        raise TypeError(f"{wanted} {array.dtype}.") from None


def _sample_weight(given: Any, count: int) -> None:
    given = as_dense("sample_weight", given)
    wanted = f"sample_weight: wanted finite numbers [{count}], got"
    if not is_array(given):
        raise TypeError(f"{wanted} {type(given).__name__}.")
    shape, dtype = tuple(given.shape), _dtype(wanted, given)
    if shape not in ((count,), (count, 1)):
        raise ValueError(f"{wanted} shape {shape}.")
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise TypeError(f"{wanted} {dtype.name}.")
    if not np.isfinite(np.asarray(given, np.float64)).all():
        raise ValueError(f"{wanted} some that are not finite.")


def _dataset(
    argument: str, dataset: tf.data.Dataset, shape: Sequence[int], num_classes: int | None
) -> None:
    for spec in _images_of(argument, dataset.element_spec, num_classes):
        if spec.shape.rank is not None:
            _shape(argument, tuple(spec.shape), shape)
    first = next(iter(dataset.take(1)), None)
    if first is None:
        raise ValueError(f"{argument}: wanted at least one batch of images, got an empty dataset.")
    _pair(argument, first, shape, num_classes)


def _pair(argument: str, batch: Any, shape: Sequence[int], num_classes: int | None) -> None:
    for part in _images_of(argument, batch, num_classes):
        array(argument, part, shape)
    if num_classes is not None:
        labels(batch[1], num_classes, batch[0].shape[0])  # a variable has no length


def _images_of(argument: str, element: Any, num_classes: int | None) -> list[Any]:
    """Returns the images, and the targets where there are some, of one element or its spec."""
    is_several = isinstance(element, tuple if num_classes is None else (list, tuple))
    parts = list(element) if is_several else [element]
    second = "images" if num_classes is None else "labels"
    if len(parts) > 3:
        raise ValueError(
            f"{argument}: wanted images, (images, {second}) or (images, {second}, sample_weight), "
            f"got {len(parts)} parts."
        )
    if num_classes is not None and (len(parts) < 2 or parts[1] is None):
        raise no_labels(num_classes)
    parts = parts[:1] + [part for part in parts[1:2] if part is not None and num_classes is None]
    for part in parts:
        as_dense(argument, part)
        if not is_array(part):
            hint = " Write images.to_numpy()." if hasattr(part, "to_numpy") else ""  # pandas'
            raise TypeError(
                f"{argument}: wanted an array or tf.data.Dataset of images, "
                f"got {type(part).__name__}.{hint}"
            )
    return parts


def _shape(argument: str, came: tuple, shape: Sequence[int]) -> None:
    wanted = ", ".join(map(str, shape))
    hint = ""
    if len(came) == 3 and (*came[1:], 1) == tuple(shape):
        hint = " Add the channel axis: images[..., None]."
    elif len(came) == 2 and came[1] == np.prod(shape):
        hint = f" Rows of pixels are images by images.reshape([-1, {wanted}])."
    elif len(came) == 1:
        hint = " Were these labels? build_vae(..., num_classes=...) makes a VAE that takes some."
    if len(came) != 4 or any(c not in (None, w) for c, w in zip(came[1:], shape, strict=True)):
        raise ValueError(f"{argument}: wanted images [B, {wanted}], got shape {came}.{hint}")
