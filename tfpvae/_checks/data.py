"""Checks of data, as arrays, datasets and generators."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae._checks import pixel_advice
from tfpvae._checks.arguments import as_dense, dtype_of, is_array
from tfpvae._checks.data_spec import DataSpec
from tfpvae._checks.labels import labels, no_labels

# Arrays are scanned in chunks, so that the check never doubles the memory of a large data set.
_VALUES_PER_CHUNK = 2**24
_ROUNDING = 1e-3  # of the sum of probabilities, also in 16 bits


def peeked(argument: str, data: Any, vae: tf_keras.Model) -> Any:
    """Returns the data; of a generator, with its first batch checked.

    Raises:
      ValueError, TypeError: for an empty generator, or a first batch that is not valid.
    """
    if not isinstance(data, Iterator) or isinstance(data, tf.data.Iterator):
        return data
    first, spec = next(data, None), vae.data_spec
    if first is None:
        raise ValueError(
            f"{argument}: wanted at least one batch of {spec.noun}, got an empty generator."
        )
    examples(argument, first, spec, vae.num_classes)
    return itertools.chain([first], data)


def examples(argument: str, data: Any, spec: DataSpec, num_classes: int | None = None) -> None:
    """Checks that `data` holds examples [B, ...] of a spec.

    Arrays are checked as a whole, a tf.data.Dataset and a Sequence by their first batch. `peeked`
    does the same for a generator.

    Args:
      argument: the name of the argument, for the message.
      data: examples, or a tuple of examples and targets, labels or weights.
      spec: shape and values of an example.
      num_classes: of a conditional VAE, whose data are examples and labels; else None.

    Raises:
      ValueError, TypeError: for other data.
    """
    if isinstance(data, tf.data.Dataset):
        _dataset(argument, data, spec, num_classes)
    elif isinstance(data, tf_keras.utils.Sequence):
        _pair(argument, data[0], spec, num_classes)
    elif not isinstance(data, Iterator):
        _pair(argument, data, spec, num_classes)


def array(argument: str, values: Any, spec: DataSpec) -> None:
    """Checks that `values` is an array of examples [B, ...] of a spec, and not empty.

    Raises:
      ValueError, TypeError: for another array; where values are NaN, with the place of the first.
    """
    values = as_dense(argument, values)
    dtype = form(argument, values, spec)
    if not _has_values(values):
        return
    if dtype == tf.uint8 and spec.support.divides_bytes:
        if _range(values)[1] == 1:
            raise ValueError(
                f"{argument}: uint8 pixels are read as 0 to 255, but the largest here is 1. "
                f"Pass binary images as floats: {_as_floats(spec, values)}."
            )
        return
    expected = spec.ids() if len(values.shape) == len(spec.shape) else spec
    support = expected.support
    low, high = _range(values, spec.allows_missing)
    if not (low >= support.low and high <= support.high):  # NaN fails both
        raise ValueError(out_of_range(argument, low, high, expected) + _nan(values, spec))
    if dtype.is_floating and support.is_whole and not all(map(_is_whole, _chunks(values))):
        raise ValueError(f"{argument}: wanted {expected.values}, got some with a fraction.")
    if support.is_one_hot:
        _one_hot(argument, values)


def out_of_range(argument: str, low: float, high: float, spec: DataSpec) -> str:
    """Returns the message for values that a spec does not allow.

    >>> out_of_range("x", 0, 257, DataSpec((2, 2, 1)))[39:]
    'from 0 to 257. These look like 16 bits divided by 255: divide the original pixels by 65535.'
    """
    message = f"{argument}: wanted {spec.values}, got values from {low} to {high}."
    if spec.support.divides_bytes and spec.is_of_images:
        return f"{message} {pixel_advice.of_floats(low, high)}"
    if np.isfinite([low, high]).all() and not spec.support.is_one_hot:
        return f"{message} {_OTHER_LIKELIHOODS}"
    return message


_OTHER_LIKELIHOODS = (
    "The likelihood says which values there are: 'normal' takes any finite ones with event_shape "
    "in place of image_shape, 'poisson' counts, 'bernoulli' those in [0, 1]."
)


def form(argument: str, values: Any, spec: DataSpec) -> tf.DType:
    """Returns the dtype of an array; checks what `array` does, except for the values.

    Raises:
      ValueError, TypeError: for another array.
    """
    values, support = as_dense(argument, values), spec.support
    numbers = spec.values
    if support.divides_bytes and spec.is_of_images:
        numbers = f"float {numbers} or uint8 ones"
    message = f"{argument}: wanted {numbers}, got"
    dtype = dtype_of(message, values)
    if dtype == tf.string:
        raise TypeError(f"{message} {dtype.name}.{pixel_advice.of_container(values)}")
    _shape(argument, tuple(values.shape), spec, dtype)
    if 0 in tuple(values.shape):
        one = spec.noun.removesuffix("s")
        raise ValueError(f"{argument}: wanted at least one {one}, got shape {tuple(values.shape)}.")
    if support.divides_bytes and not (dtype.is_floating or dtype == tf.uint8):
        raise TypeError(f"{message} {dtype.name}{_what_to_do(values, dtype, spec)}")
    if dtype == tf.uint8 and not (support.divides_bytes or support.is_whole or support.is_one_hot):
        scaled = f", or {_as_floats(spec, values)} / 255 for those in [0, 1]"
        raise TypeError(
            f"{message} uint8, which may be pixels. Write {_as_floats(spec, values)} to take them "
            f"as they are{scaled if spec.is_of_images else ''}."
        )
    if dtype.is_complex:
        raise TypeError(f"{message} {dtype.name}.")
    return dtype


def _what_to_do(values: Any, dtype: tf.DType, spec: DataSpec) -> str:
    """Returns the end of a sentence about images of a dtype that a VAE does not take."""
    floats = _as_floats(spec, values)
    if not spec.is_of_images:
        return f". Write {floats}."
    if not (dtype.is_integer and _has_values(values)):
        return f". {pixel_advice.of_dtype(dtype, floats)}".rstrip()
    low, high = map(int, _range(values))
    return f", values from {low} to {high}. {pixel_advice.of_whole_numbers(low, high, floats)}"


def _as_floats(spec: DataSpec, values: Any) -> str:
    name = "images" if spec.is_of_images else "x"
    is_tensor = isinstance(values, tf.Tensor)
    return f"tf.cast({name}, 'float32')" if is_tensor else f"{name}.astype('float32')"


def _has_values(array: Any) -> bool:
    """Returns whether an array has values; a symbolic tensor has none yet."""
    return not isinstance(array, tf.Tensor) or hasattr(array, "numpy")


def _chunks(values: Any) -> Iterator[np.ndarray]:
    """Yields examples in chunks of bounded size."""
    step = max(1, _VALUES_PER_CHUNK // int(np.prod(tuple(values.shape)[1:])))
    for start in range(0, len(values), step):
        yield np.asarray(values[start : start + step])


def _range(values: Any, skips_nan: bool = False) -> tuple[Any, Any]:
    """Returns the least and the largest of all values; both NaN if one is, unless they are skipped.

    Of no values they are 0.
    """
    ranges = []
    for chunk in _chunks(values):
        if skips_nan and chunk.dtype.kind == "f":
            chunk = chunk[~np.isnan(chunk)]
        if chunk.size:
            ranges.append((chunk.min(), chunk.max()))
    low, high = zip(*ranges, strict=True) if ranges else ((0.0,), (0.0,))
    return np.min(low), np.max(high)  # not min() and max(): NumPy's pass a NaN on


def _is_whole(values: np.ndarray) -> bool:
    return bool(np.all((values == np.floor(values)) | np.isnan(values)))


def _one_hot(argument: str, values: Any) -> None:
    for chunk in _chunks(values):
        sums = np.asarray(np.sum(chunk, axis=-1, dtype=np.float64))
        wrong = ~((np.abs(sums - 1) < _ROUNDING) | np.isnan(sums))
        if wrong.any():
            raise ValueError(
                f"{argument}: wanted one-hot vectors along the last axis, got one whose sum is "
                f"{sums[wrong][0]:g}."
            )


def _nan(values: Any, spec: DataSpec) -> str:
    """Returns sentences that tell how many values are NaN, and where the first one is; or ""."""
    count, first, start = 0, "", 0
    for chunk in _chunks(values):
        if chunk.dtype.kind != "f":
            return ""
        places = np.argwhere(np.isnan(chunk))
        if len(places) and not count:
            first = ", ".join(map(str, (start + places[0][0], *places[0][1:])))
        count, start = count + len(places), start + len(chunk)
    if not count or spec.allows_missing:
        return ""
    name = "images" if spec.is_of_images else "x"
    hint = "" if spec.is_of_images else " VAE(..., missing='mask') takes NaN for missing values."
    of_all = np.prod(tuple(values.shape))
    return f" NaN are {count} of {of_all} values, the first {name}[{first}].{hint}"


def same_length(argument: str, values: Any, x: Any) -> None:
    """Checks that an array has as many rows as x.

    Raises:
      ValueError: for another number.
    """
    if is_array(x) and is_array(values) and len(values) != len(x):
        raise ValueError(f"{argument}: wanted as many as of x, {len(x)}, got {len(values)}.")


def _dataset(
    argument: str, dataset: tf.data.Dataset, spec: DataSpec, num_classes: int | None
) -> None:
    for part in _examples_of(argument, dataset.element_spec, num_classes, spec):
        if part.shape.rank is not None:
            _shape(argument, tuple(part.shape), spec, part.dtype)
    first = next(iter(dataset.take(1)), None)
    if first is None:
        raise ValueError(
            f"{argument}: wanted at least one batch of {spec.noun}, got an empty dataset."
        )
    _pair(argument, first, spec, num_classes)


def _pair(argument: str, batch: Any, spec: DataSpec, num_classes: int | None) -> None:
    for part in _examples_of(argument, batch, num_classes, spec):
        array(argument, part, spec)
    if num_classes is not None:
        labels(batch[1], num_classes, batch[0].shape[0])  # a variable has no length


def _examples_of(argument: str, element: Any, num_classes: int | None, spec: DataSpec) -> list[Any]:
    """Returns the examples of one element or its spec, and the targets if it has any."""
    is_several = isinstance(element, tuple if num_classes is None else (list, tuple))
    parts = list(element) if is_several else [element]
    noun = spec.noun
    second = noun if num_classes is None else "labels"
    if len(parts) > 3:
        raise ValueError(
            f"{argument}: wanted {noun}, ({noun}, {second}) or ({noun}, {second}, sample_weight), "
            f"got {len(parts)} parts."
        )
    if num_classes is not None and (len(parts) < 2 or parts[1] is None):
        raise no_labels(num_classes)
    parts = parts[:1] + [part for part in parts[1:2] if part is not None and num_classes is None]
    for part in parts:
        as_dense(argument, part)
        if not is_array(part):
            raise TypeError(
                f"{argument}: wanted an array or tf.data.Dataset of {noun}, "
                f"got {type(part).__name__}.{pixel_advice.of_container(part)}"
            )
    return parts


def _shape(argument: str, actual: tuple, spec: DataSpec, dtype: tf.DType) -> None:
    """Raises unless a shape is that of examples, or of the ids of one-hot vectors."""
    shape = spec.shape_of(len(actual), dtype.is_floating)
    if tf.TensorShape(actual).is_compatible_with([None, *shape]):
        return
    hint = _image_hint(actual, shape) if spec.is_of_images else _hint(actual, shape)
    raise ValueError(f"{argument}: wanted {spec.noun} [B, {spec.sides}], got shape {actual}.{hint}")


def _hint(actual: tuple, shape: Sequence[int]) -> str:
    if actual == tuple(shape):
        return " Add the batch axis: x[None]."
    if (*actual[1:], 1) == tuple(shape):
        return " Add the last axis: x[..., None]."
    if None not in actual[1:] and np.prod(actual[1:]) == np.prod(shape):
        return f" Write x.reshape([-1, {', '.join(map(str, shape))}])."
    return ""


def _image_hint(actual: tuple, shape: Sequence[int]) -> str:
    expected = ", ".join(map(str, shape))
    if len(actual) == 3 and (*actual[1:], 1) == tuple(shape):
        return " Add the channel axis: images[..., None]."
    if len(actual) == 4 and (actual[2], actual[3], actual[1]) == tuple(shape):
        return " Move the channels to the end: np.moveaxis(images, 1, -1)."
    if actual == tuple(shape):
        return " Add the batch axis: images[None]."
    if len(actual) == 2 and actual[1] == np.prod(shape):
        return f" Rows of pixels are images by images.reshape([-1, {expected}])."
    if len(actual) == 4 and actual[1:3] == tuple(shape)[:2] and shape[2] == 1:
        return (
            " np.mean(images, axis=-1, keepdims=True) makes them gray; build_vae(..., "
            f"image_shape={actual[1:]}) builds a VAE of these."
        )
    if len(actual) == 4 and None not in actual[1:]:
        return (
            f" tf.image.resize(images, {[*shape[:2]]}) resizes them; build_vae(..., "
            f"image_shape={actual[1:]}) builds a VAE of these."
        )
    if len(actual) == 1:
        return " Were these labels? build_vae(..., num_classes=...) makes a VAE that takes some."
    return ""
