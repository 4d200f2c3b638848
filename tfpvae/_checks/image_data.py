"""Checks of images and labels, as arrays, datasets and generators."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae._checks import pixel_advice
from tfpvae._checks.arguments import as_dense, is_array

# Arrays are scanned in pieces so that the check never doubles the memory of a large data set.
_PIXELS_A_PIECE = 2**24


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
        f"{pixel_advice.of_floats(low, high)}"
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
        return f". {pixel_advice.of_dtype(dtype, floats)}".rstrip()
    low, high = map(int, _range(pixels))
    return f", values from {low} to {high}. {pixel_advice.of_whole_numbers(low, high, floats)}"


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


def same_length(argument: str, some: Any, x: Any) -> None:
    if is_array(x) and is_array(some) and len(some) != len(x):
        raise ValueError(f"{argument}: wanted as many as of x, {len(x)}, got {len(some)}.")


def _dtype(wanted: str, array: Any) -> tf.DType:
    try:
        return tf.as_dtype(array.dtype)
    except TypeError:  # a date's
        raise TypeError(f"{wanted} {array.dtype}.") from None


def sample_weight_of(given: Any, count: int) -> None:
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
