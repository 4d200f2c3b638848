"""The line to write where pixels have another range, dtype or container than a VAE takes.

A range says much about the origin of pixels, but not all: where two origins share one, both are
named.
"""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

_OF_16_BITS = 65535
_LAST = {10: 1023, 12: 4095, 14: 16383, 16: _OF_16_BITS}
_ROUNDING = 1 + 1e-5
_OVERSHOT = 0.1  # the most that resampling leaves beyond [0, 1]
_FEW_LEVELS = 16  # as those of scikit-learn's digits; divided by 255 they would be black
_FROM_MINUS_1 = "Pixels from -1 to 1: (images + 1) / 2."
_RESAMPLED = "Pixels that resampling has overshot: np.clip(images, 0, 1)."
_BY_THE_LARGEST = (
    "Divide by the value that is white: images / np.max(images) if one of the pixels is."
)


# Names of arguments that are images.
_IMAGES = ("x", "y", "validation_data", "start_images", "reconstructions")


def of_floats(low: float, high: float) -> str:
    """Returns what to do with floats from `low` to `high`, of which some are not in [0, 1]."""
    low, high = float(low), float(high)
    if not (math.isfinite(low) and math.isfinite(high)):
        return "This makes them black: np.where(np.isfinite(images), images, 0)."
    return _from_below_0(low, high) if low < 0 else _beyond_1(high)


def of_whole_numbers(low: int, high: int, floats: str) -> str:
    """Returns what to do with whole numbers from `low` to `high`.

    Args:
      low: the least.
      high: the largest.
      floats: expression for the images as float32.
    """
    if low >= 0:
        if high == 1:
            return f"These are 0 and 1: {floats}."
        if 1 < high <= _FEW_LEVELS:
            return f"Divide by {high} if that is white, or by 255 if they have 8 bits."
        return _of_bits(high)
    if low >= -1 and high <= 1:
        return _FROM_MINUS_1
    if low >= -128 and high <= 127:
        return f"Signed bytes: ({floats} + 128) / 255."
    stretched = "(images - np.min(images)) / np.ptp(images)"
    return f"To stretch them, images = {floats}, and then {stretched}."


def of_dtype(dtype: tf.DType, floats: str) -> str:
    """Returns what to do with pixels of a dtype, of which no values are there to look at."""
    if dtype.is_bool:
        return f"These are 0 and 1: {floats}."
    if dtype in (tf.int16, tf.uint16):
        return "Divide by 65535 if they have 16 bits, by 4095 if they have 12."
    if dtype.is_integer:
        return "Divide by the value that is white, such as 255 of 8 bits, or pass those as uint8."
    return ""


def of_container(value: Any) -> str:
    """Returns a sentence with the line that makes images of a value, "" if there is none."""
    line = None
    if hasattr(value, "getbands"):  # of Pillow
        line = "np.asarray(picture).reshape([1, *image_shape])"
    elif isinstance(value, (str, os.PathLike)):
        line = "tfpvae.datasets.load_pictures(folder, image_shape=...).images"
    elif isinstance(value, (list, tuple)) or str(getattr(value, "dtype", "")) == "object":
        line = "np.stack([np.asarray(image) for image in images])"
    elif isinstance(value, Mapping) and value:  # such as the rows of TensorFlow Datasets
        key = "image" if "image" in value else next(iter(value))
        line = f"data[{key!r}], or of a tf.data.Dataset data.map(lambda row: row[{key!r}])"
    return "" if line is None else f" Write {line}."


def _from_below_0(low: float, high: float) -> str:
    if low >= -_OVERSHOT and 0.5 <= high <= 1 + _OVERSHOT:
        return _RESAMPLED
    if -0.5 <= low < -0.45 and 0.45 < high <= 0.5:
        return "Pixels from -0.5 to 0.5: images + 0.5."
    if low >= -1 and high <= 1:
        return _FROM_MINUS_1
    has_many_levels = high - low > 2 * _FEW_LEVELS
    if low >= -128 and high <= 127 and has_many_levels:
        return "Pixels from -128 to 127: (images + 128) / 255."
    if low >= -127.5 and high <= 127.5 and has_many_levels:
        return "Pixels from -127.5 to 127.5: (images + 127.5) / 255."
    return (
        "Undo a standardization, images * std + mean with its own numbers; or stretch them: "
        "(images - np.min(images)) / np.ptp(images)."
    )


def _beyond_1(high: float) -> str:
    if high <= 1.001:  # also by rounding to 16 bits
        return _RESAMPLED
    if high <= _OF_16_BITS / 255**2 * _ROUNDING:
        return (
            "These look like 16 bits divided by 255 twice: divide the original pixels by 65535. "
            f"{_RESAMPLED}"
        )
    if high <= 1 + _OVERSHOT:
        return _RESAMPLED
    if high <= _FEW_LEVELS:
        return _BY_THE_LARGEST
    if 255 < high <= _OF_16_BITS / 255 * _ROUNDING:
        noise = " 8 bits with noise of a level: images / 256." if high <= 256 else ""
        return (
            f"These look like 16 bits divided by 255: divide the original pixels by 65535.{noise}"
        )
    return _of_bits(high)


def _of_bits(high: float) -> str:
    """Returns what to divide by, of the largest of pixels that are not below 0."""
    if high <= 255:
        return "Divide by 255, or pass uint8."
    if high > _OF_16_BITS:
        return _BY_THE_LARGEST
    bits, last = next((bits, last) for bits, last in _LAST.items() if high <= last)
    more = ", or by 65535 if they have 16" if bits < 16 else ""
    return f"Divide by {last}, the white of {bits} bits{more}."


def as_dense(argument: str, value: Any) -> Any:
    """Returns the tensor of a variable, the array under an empty mask, or of a DataFrame.

    Any other value is returned unchanged.

    Raises:
      TypeError: for an array whose mask hides values, for containers that are not dense, and for
        DataFrames of other columns than numbers.
    """
    if isinstance(value, tf.Variable):
        return value.read_value()
    if hasattr(value, "to_numpy") and not hasattr(value, "dtype"):
        return _numbers_of(argument, value)
    name = "images" if argument in _IMAGES else argument
    prefix = f"{argument}: wanted an array without gaps, got"
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            hidden = f"{np.ma.count_masked(value)} of {value.size} values hidden"
            raise TypeError(f"{prefix} a masked array, {hidden}. Write {_without_mask(name)}.")
        return value.data
    line = _dense_line(name, value)
    if line is None:
        return value
    kind = type(value).__name__
    if isinstance(value, tf.TypeSpec):  # an element of a dataset
        kind, line = kind.removesuffix("Spec"), f"dataset.map(lambda {name}: {line})"
    raise TypeError(f"{prefix} a {kind}. Write {line}.")


def _numbers_of(argument: str, frame: Any) -> np.ndarray:
    """Returns the columns of a DataFrame as an array."""
    array = frame.to_numpy()
    if array.dtype == object:
        raise TypeError(
            f"{argument}: wanted columns of numbers, got a {type(frame).__name__} with others. "
            "Write x.select_dtypes('number'), or pandas.get_dummies(x, dtype=float)."
        )
    return array


def _without_mask(name: str) -> str:
    if name == "labels":  # a filled one would be of another class
        return "labels[keep] and images[keep] with keep = ~np.ma.getmaskarray(labels)"
    return f"{name}.filled(0)"  # black; and a weight of 0 leaves an image out


def _dense_line(name: str, value: Any) -> str | None:
    """Returns the line that makes a container dense, None for one that is."""
    if isinstance(value, (tf.RaggedTensor, tf.RaggedTensorSpec)):
        return f"{name}.to_tensor()"
    if isinstance(value, (tf.SparseTensor, tf.SparseTensorSpec)):
        return f"tf.sparse.to_dense({name})"
    if isinstance(value, (tf.IndexedSlices, tf.IndexedSlicesSpec)):
        return f"tf.convert_to_tensor({name})"
    return f"{name}.toarray()" if hasattr(value, "toarray") else None  # SciPy's
