"""Checks of images and labels, as arrays, datasets and generators."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae._checks import pixel_advice
from tfpvae._checks.arguments import as_dense, is_array

# Arrays are scanned in chunks, so that the check never doubles the memory of a large data set.
_PIXELS_PER_CHUNK = 2**24


def peeked(argument: str, data: Any, vae: tf_keras.Model) -> Any:
    """Returns the data; of a generator, with its first batch checked.

    Raises:
      ValueError, TypeError: for an empty generator, or a first batch that is not valid.
    """
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
    """Checks that `data` holds images [B, H, W, C] of `shape` with pixels in range.

    Arrays are checked as a whole, a tf.data.Dataset and a Sequence by their first batch. `peeked`
    does the same for a generator.

    Args:
      argument: the name of the argument, for the message.
      data: images, or a tuple of images and targets, labels or weights.
      shape: (H, W, C).
      num_classes: of a conditional VAE, whose data are images and labels; else None.

    Raises:
      ValueError, TypeError: for other data.
    """
    if isinstance(data, tf.data.Dataset):
        _dataset(argument, data, shape, num_classes)
    elif isinstance(data, tf_keras.utils.Sequence):
        _pair(argument, data[0], shape, num_classes)
    elif not isinstance(data, Iterator):
        _pair(argument, data, shape, num_classes)


def labels(values: Any, num_classes: int, count: int | None) -> None:
    """Checks that labels are whole numbers [count], 0 <= label < num_classes.

    Raises:
      ValueError, TypeError: for other labels.
    """
    length = "B" if count is None else count
    values = as_dense("labels", values)
    message = f"labels: wanted whole numbers [{length}], 0 <= label < {num_classes}, got"
    if not is_array(values):
        raise TypeError(f"{message} {type(values).__name__}.")
    shape, dtype = tuple(values.shape), _dtype(message, values)
    if not tf.TensorShape(shape).is_compatible_with([count]):
        hint = ""
        if len(shape) == 2:
            hint = " labels[:, 0]?" if shape[1] == 1 else " Of one-hot ones: labels.argmax(axis=1)."
        raise ValueError(f"{message} shape {shape}.{hint}")
    if not dtype.is_integer:
        raise TypeError(f"{message} {dtype.name}.")
    if count == 0 or (isinstance(values, tf.Tensor) and not hasattr(values, "numpy")):
        return  # there are no values, or a symbolic tensor has none yet
    low, high = np.min(values), np.max(values)
    if low < 0 or high >= num_classes:
        raise ValueError(f"{message} some from {low} to {high}.")


def no_labels(num_classes: int) -> ValueError:
    """Returns the error for missing labels."""
    return ValueError(
        f"labels: wanted one for each image, since this VAE is conditional on {num_classes} "
        "classes, got none. fit and evaluate take (images, labels); predict takes [images, labels];"
        " all three take batches of such pairs; the VAE's other methods have an argument `labels`. "
        "tfpvae.evaluation and tfpvae.ex_post take no conditional VAE."
    )


def array(argument: str, pixels: Any, shape: Sequence[int]) -> None:
    """Checks that `pixels` is an array [B, H, W, C], float in [0, 1] or uint8, and not empty.

    Raises:
      ValueError, TypeError: for another array; where pixels are NaN, with the place of the first.
    """
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
        f"{pixel_advice.of_floats(low, high)}"
    )


def form(argument: str, pixels: Any, shape: Sequence[int]) -> tf.DType:
    """Returns the dtype of an array of images; checks what `array` does, except for the values.

    Raises:
      ValueError, TypeError: for another array.
    """
    pixels = as_dense(argument, pixels)
    message = f"{argument}: wanted float pixels in [0, 1] or uint8 ones, got"
    dtype = _dtype(message, pixels)
    if dtype == tf.string:
        raise TypeError(f"{message} {dtype.name}.{pixel_advice.of_container(pixels)}")
    _shape(argument, tuple(pixels.shape), shape)
    if 0 in tuple(pixels.shape):
        raise ValueError(f"{argument}: wanted at least one image, got shape {tuple(pixels.shape)}.")
    if not (dtype.is_floating or dtype == tf.uint8):
        raise TypeError(f"{message} {dtype.name}{_what_to_do(pixels, dtype)}")
    return dtype


def _what_to_do(pixels: Any, dtype: tf.DType) -> str:
    """Returns the end of a sentence about images of a dtype that a VAE does not take."""
    floats = _as_floats(pixels)
    if not (dtype.is_integer and _has_values(pixels)):
        return f". {pixel_advice.of_dtype(dtype, floats)}".rstrip()
    low, high = map(int, _range(pixels))
    return f", values from {low} to {high}. {pixel_advice.of_whole_numbers(low, high, floats)}"


def _as_floats(pixels: Any) -> str:
    is_tensor = isinstance(pixels, tf.Tensor)
    return "tf.cast(images, 'float32')" if is_tensor else "images.astype('float32')"


def _has_values(array: Any) -> bool:
    """Returns whether an array has values; a symbolic tensor has none yet."""
    return not isinstance(array, tf.Tensor) or hasattr(array, "numpy")


def _chunks(pixels: Any) -> Iterator[np.ndarray]:
    """Yields images in chunks of bounded size."""
    step = max(1, _PIXELS_PER_CHUNK // int(np.prod(tuple(pixels.shape)[1:])))
    for start in range(0, len(pixels), step):
        yield np.asarray(pixels[start : start + step])


def _range(pixels: Any) -> tuple[Any, Any]:
    """Returns the least and the largest of all pixels, both NaN if a pixel is."""
    ranges = [(chunk.min(), chunk.max()) for chunk in _chunks(pixels)]
    low, high = zip(*ranges, strict=True)
    return np.min(low), np.max(high)  # not min() and max(): NumPy's pass a NaN on


def _first_nan(pixels: Any) -> str:
    """Returns a sentence that tells how many pixels are NaN, and where the first one is."""
    count, first, start = 0, "", 0
    for chunk in _chunks(pixels):
        places = np.argwhere(np.isnan(chunk))
        if len(places) and not count:
            first = ", ".join(map(str, (start + places[0][0], *places[0][1:])))
        count, start = count + len(places), start + len(chunk)
    return f"NaN are {count} of {np.prod(tuple(pixels.shape))} values, the first images[{first}]."


def same_length(argument: str, values: Any, x: Any) -> None:
    """Checks that an array has as many rows as x.

    Raises:
      ValueError: for another number.
    """
    if is_array(x) and is_array(values) and len(values) != len(x):
        raise ValueError(f"{argument}: wanted as many as of x, {len(x)}, got {len(values)}.")


def _dtype(message: str, array: Any) -> tf.DType:
    try:
        return tf.as_dtype(array.dtype)
    except TypeError:  # of dates, or of torch
        hint = " Write images.numpy()." if hasattr(array, "numpy") else ""
        raise TypeError(f"{message} {array.dtype}.{hint}") from None


def sample_weight_of(weights: Any, count: int) -> None:
    """Checks that sample weights are finite numbers [count] or [count, 1].

    Raises:
      ValueError, TypeError: for other weights.
    """
    weights = as_dense("sample_weight", weights)
    message = f"sample_weight: wanted finite numbers [{count}], got"
    if not is_array(weights):
        raise TypeError(f"{message} {type(weights).__name__}.")
    shape, dtype = tuple(weights.shape), _dtype(message, weights)
    if shape not in ((count,), (count, 1)):
        raise ValueError(f"{message} shape {shape}.")
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise TypeError(f"{message} {dtype.name}.")
    if not np.isfinite(np.asarray(weights, np.float64)).all():
        raise ValueError(f"{message} some that are not finite.")


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
    """Returns the images of one element or its spec, and the targets if it has any."""
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
            raise TypeError(
                f"{argument}: wanted an array or tf.data.Dataset of images, "
                f"got {type(part).__name__}.{pixel_advice.of_container(part)}"
            )
    return parts


def _shape(argument: str, actual: tuple, shape: Sequence[int]) -> None:
    expected = ", ".join(map(str, shape))
    hint = ""
    if len(actual) == 3 and (*actual[1:], 1) == tuple(shape):
        hint = " Add the channel axis: images[..., None]."
    elif len(actual) == 4 and (actual[2], actual[3], actual[1]) == tuple(shape):
        hint = " Move the channels to the end: np.moveaxis(images, 1, -1)."
    elif actual == tuple(shape):
        hint = " Add the batch axis: images[None]."
    elif len(actual) == 2 and actual[1] == np.prod(shape):
        hint = f" Rows of pixels are images by images.reshape([-1, {expected}])."
    elif len(actual) == 4 and actual[1:3] == tuple(shape)[:2] and shape[2] == 1:
        hint = (
            " np.mean(images, axis=-1, keepdims=True) makes them gray; build_vae(..., "
            f"image_shape={actual[1:]}) builds a VAE of these."
        )
    elif len(actual) == 4 and None not in actual[1:]:
        hint = (
            f" tf.image.resize(images, {[*shape[:2]]}) resizes them; build_vae(..., "
            f"image_shape={actual[1:]}) builds a VAE of these."
        )
    elif len(actual) == 1:
        hint = " Were these labels? build_vae(..., num_classes=...) makes a VAE that takes some."
    if len(actual) != 4 or any(
        side not in (None, expected_side)
        for side, expected_side in zip(actual[1:], shape, strict=True)
    ):
        raise ValueError(f"{argument}: wanted images [B, {expected}], got shape {actual}.{hint}")
