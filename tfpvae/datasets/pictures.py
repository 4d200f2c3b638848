"""Pictures from files, loaded into memory or streamed from disk.

Every picture, whatever its format, mode, size and orientation, becomes a uint8 array of one
`image_shape`.
"""

from __future__ import annotations

import base64
import io
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from tfpvae import _checks
from tfpvae.datasets.decoding import (
    brightest_value,
    check_image_shape,
    check_max_value,
    read_picture,
)
from tfpvae.datasets.folders import Files, PictureFiles, as_files, split_pictures, take

if TYPE_CHECKING:
    import tensorflow as tf

_ON_ERROR = ("raise", "skip")
# The last values of 1, 8, 10, 12 and 14 bits, which cameras and masks write into 16-bit files.
_LAST_VALUES = (1, 255, 1023, 4095, 16383)
_MOST_LOOKED_AT = 64  # pictures of a stream, before it begins
_IN_A_ROW, _HEIGHT = 10, 96  # pictures that a notebook shows, and the most pixels of one


class Pictures(NamedTuple):
    """Pictures in memory, as `load_pictures` returns them.

    Attributes:
      images: uint8 [N, H, W, C].
      labels: class of each image, [N], or None.
      class_names: names of the classes, in the order of their labels.
      paths: file of each image.

    >>> Pictures(np.zeros([1, 8, 8, 3], np.uint8), None, (), ("a.png",))
    Pictures(uint8 images [1, 8, 8, 3], 0 classes, 1 paths)
    """

    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    paths: tuple[str, ...]

    def __repr__(self) -> str:
        images = f"{self.images.dtype} images {list(self.images.shape)}"
        return f"Pictures({images}, {len(self.class_names)} classes, {len(self.paths)} paths)"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{_row(self.images[:_IN_A_ROW])}"


def _row(images: np.ndarray) -> str:
    """Returns uint8 images side by side as HTML, every other pixel of large ones, or no text."""
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        return ""
    stride = math.ceil(images.shape[1] / _HEIGHT)
    gaps = ((0, 0), (0, 0), (0, 2), (0, 0))
    small = np.pad(images[:, ::stride, ::stride], gaps, constant_values=255)
    row = np.concatenate([*small], axis=1)
    file = io.BytesIO()
    Image.fromarray(row[..., 0] if row.shape[-1] == 1 else row).save(file, format="png")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="the first {len(images)}" src="data:image/png;base64,{data}">'


def load_pictures(
    files: Files,
    *,
    image_shape: tuple[int, int, int],
    on_error: str = "raise",
    max_value: int | None = None,
) -> Pictures:
    """Loads all pictures into memory, each scaled to cover the shape and cropped at its center.

    Args:
      files: a folder, the result of `list_pictures`, or a sequence of paths.
      image_shape: (height, width, channels), channels 1 (gray) or 3 (RGB).
      on_error: "raise" an error for a broken picture, or "skip" it with a warning.
      max_value: value of white in 16-bit files, such as 4095 for 12-bit pictures; brighter pixels
        are white too. None for 65535, with a warning if all pictures are so dark that they seem to
        have 14 bits or fewer. 8-bit files are not affected.

    Returns:
      `Pictures` with uint8 images [N, height, width, channels].

    Raises:
      FileNotFoundError: if the folder does not exist.
      ValueError: if an argument is wrong, a picture is broken (the message names it), or none is
        left after skipping.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import PIL.Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     PIL.Image.new("RGB", (40, 20), "red").save(Path(folder, "1.png"))
    ...     pictures = load_pictures(folder, image_shape=(8, 8, 3))
    >>> pictures.images.shape, pictures.images[0, 0, 0].tolist()
    ((1, 8, 8, 3), [255, 0, 0])
    """
    listed = as_files(files)
    check_image_shape(image_shape)
    _checks.one_of("on_error", on_error, _ON_ERROR)
    check_max_value(max_value)
    images = np.empty((len(listed.paths), *image_shape), np.uint8)
    brightest: list[int | None] = [None] * len(images)

    def read(index: int) -> str:
        try:
            picture = read_picture(listed.paths[index], image_shape, max_value)
            images[index], brightest[index] = picture
        except ValueError as error:
            if on_error == "raise":
                raise
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        errors = list(pool.map(read, range(len(images))))
    good = np.array([not error for error in errors])
    if not good.any():
        raise _none_left(listed)
    if max_value is None:
        _warn_dark(zip(listed.paths, brightest, strict=True))
    if not good.all():
        _warn_skipped([error for error in errors if error], len(errors))
        listed, images = take(listed, np.flatnonzero(good)), images[good]
    return Pictures(images, listed.labels, listed.class_names, listed.paths)


def load_splits(
    files: Files,
    *,
    image_shape: tuple[int, int, int],
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    on_error: str = "raise",
    max_value: int | None = None,
) -> tuple[Pictures, Pictures, Pictures]:
    """Loads pictures as disjoint training, validation and test pictures.

    The same as `load_pictures` of each part of `split_pictures`.

    Args:
      files: a folder, a `PictureFiles` of `list_pictures`, or a sequence of paths.
      image_shape: (height, width, channels), channels 1 (gray) or 3 (RGB).
      fractions: fraction of each part, above 0, with sum 1.
      seed: of the split, an int, at least 0.
      on_error: see `load_pictures`.
      max_value: see `load_pictures`.

    Returns:
      The `Pictures` of the three parts, whose images are uint8 [N, height, width, channels].

    Raises:
      FileNotFoundError, TypeError, ValueError: as `split_pictures` and `load_pictures` do.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import PIL.Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(10):
    ...         PIL.Image.new("L", (40, 20)).save(Path(folder, f"{i}.png"))
    ...     parts = load_splits(folder, image_shape=(8, 8, 1))
    >>> [part.images.shape for part in parts]
    [(8, 8, 8, 1), (1, 8, 8, 1), (1, 8, 8, 1)]
    """
    check_image_shape(image_shape)
    parts = split_pictures(files, fractions, seed)
    if not all(part.paths for part in parts):
        raise ValueError(f"fractions: wanted three numbers above 0, got {fractions!r}.")
    options: dict = {"image_shape": image_shape, "on_error": on_error, "max_value": max_value}
    train, validation, test = (load_pictures(part, **options) for part in parts)
    return train, validation, test


def stream_pictures(
    files: Files,
    *,
    image_shape: tuple[int, int, int],
    batch_size: int,
    shuffle: bool = False,
    seed: int | None = None,
    on_error: str = "raise",
    cache_bytes: int = 2**30,
    max_value: int | None = None,
) -> tf.data.Dataset:
    """Returns batches of pictures that are decoded from disk as they are needed.

    Pictures that together take at most `cache_bytes` are kept in memory after the first epoch, and
    so decoded only once.

    Args:
      files: a folder, the result of `list_pictures`, or a sequence of paths.
      image_shape: (height, width, channels), channels 1 (gray) or 3 (RGB).
      batch_size: pictures per batch, at least 1; the last batch may be smaller.
      shuffle: whether each iteration has a new order, over all pictures.
      seed: integer >= 0 that makes the orders reproducible.
      on_error: "raise" an error for a broken picture, or "skip" it with a warning.
      cache_bytes: the most memory that decoded pictures may take, in bytes, at least 0.
      max_value: as in `load_pictures`; the warning looks at 64 pictures, spread over all.

    Returns:
      A dataset of uint8 images [B, height, width, channels], the same images that `load_pictures`
      returns. Its cardinality is known unless on_error="skip".

    Raises:
      FileNotFoundError: if the folder does not exist.
      ValueError: if an argument is wrong. While iterating, a broken picture raises
        tf.errors.InvalidArgumentError, whose message names it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import PIL.Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         PIL.Image.new("L", (9, 9), i).save(Path(folder, f"{i}.png"))
    ...     batches = stream_pictures(folder, image_shape=(4, 4, 1), batch_size=2)
    ...     shapes = [tuple(batch.shape) for batch in batches]
    >>> shapes
    [(2, 4, 4, 1), (1, 4, 4, 1)]
    """
    import tensorflow as tf  # not needed to list and load

    listed = as_files(files)
    check_image_shape(image_shape)
    _checks.whole_number("batch_size", batch_size)
    _checks.flag("shuffle", shuffle)
    if seed is not None:
        _checks.whole_number("seed", seed, minimum=0)
    _checks.one_of("on_error", on_error, _ON_ERROR)
    _checks.whole_number("cache_bytes", cache_bytes, minimum=0)
    check_max_value(max_value)
    if max_value is None:
        spread = listed.paths[:: math.ceil(len(listed.paths) / _MOST_LOOKED_AT)]
        _warn_dark((path, _brightest_value(path)) for path in spread)
    read = _stream_reader(listed, image_shape, on_error, max_value)
    if len(listed.paths) * math.prod(image_shape) <= cache_bytes:
        read = _kept(read, len(listed.paths), image_shape)

    def decode(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, good = tf.numpy_function(read, [index], [tf.uint8, tf.bool])
        return tf.ensure_shape(image, image_shape), tf.ensure_shape(good, ())

    # Indices, not pixels, are shuffled: the buffer can hold all of them.
    indices = tf.data.Dataset.range(len(listed.paths))
    if shuffle:
        indices = indices.shuffle(len(listed.paths), seed=seed)
    images = indices.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if on_error == "skip":
        images = images.filter(lambda image, good: good)
    batches = images.map(lambda image, good: image).batch(batch_size)
    return batches.prefetch(tf.data.AUTOTUNE)


def _stream_reader(
    files: PictureFiles, image_shape: tuple[int, int, int], on_error: str, max_value: int | None
) -> Callable[[int], tuple[np.ndarray, np.bool_]]:
    """Returns a function from an index to an image and whether it could be read."""
    skipped: set[int] = set()

    def read(index: int) -> tuple[np.ndarray, np.bool_]:
        try:
            return read_picture(files.paths[index], image_shape, max_value).pixels, np.True_
        except ValueError as error:
            if on_error == "raise":
                raise
            if index not in skipped:
                skipped.add(int(index))
                _warn_skipped([str(error)], 1)
        if len(skipped) == len(files.paths):
            raise _none_left(files)
        return np.zeros(image_shape, np.uint8), np.False_

    return read


def _kept(
    read: Callable[[int], tuple[np.ndarray, np.bool_]],
    count: int,
    image_shape: tuple[int, int, int],
) -> Callable[[int], tuple[np.ndarray, np.bool_]]:
    """Returns the same function, which reads each good picture only once."""
    images = np.empty((count, *image_shape), np.uint8)  # no memory before it is written to
    is_there = np.zeros(count, np.bool_)

    def read_once(index: int) -> tuple[np.ndarray, np.bool_]:
        if not is_there[index]:
            image, good = read(index)
            if not good:
                return image, good
            images[index] = image
            is_there[index] = True
        return images[index], np.True_

    return read_once


def _none_left(files: PictureFiles) -> ValueError:
    return ValueError(
        f"files: wanted at least one good picture, got {len(files.paths)} broken ones, "
        f"the first '{files.paths[0]}'."
    )


def _warn_skipped(errors: list[str], count: int) -> None:
    shown = " ".join(errors[:5]) + (" ..." if len(errors) > 5 else "")
    warnings.warn(f"skipped {len(errors)} of {count} pictures. {shown}", stacklevel=3)


def _brightest_value(path: str) -> int | None:
    try:
        return brightest_value(path)
    except ValueError:  # a broken file, which the stream reports
        return None


def _warn_dark(brightest: Iterable[tuple[str, int | None]]) -> None:
    """Warns if there are 16-bit pictures, and none of them uses more than 14 bits."""
    dark = {}
    for path, value in brightest:
        if value is not None and value > _LAST_VALUES[-1]:
            return
        if value is not None:
            dark[path] = value
    if not dark or not any(dark.values()):  # all black
        return
    first, value = next(iter(dark.items()))
    peak = max(dark.values())
    white = next(last for last in _LAST_VALUES if last >= peak)
    warnings.warn(
        f"files: wanted 16-bit pictures whose white is 65535, got '{first}', whose brightest value "
        f"is {value}; that of all {len(dark)} is {peak}. They come out dark: pass "
        f"max_value={white} for {white.bit_length()}-bit pictures, or max_value=65535 if they are "
        "that dark.",
        stacklevel=3,
    )
