"""Pictures in a folder: listed, split, loaded into memory or streamed from disk.

The folder is either flat or holds one sub-folder per class. Every picture, whatever
its format, mode, size and orientation, becomes a uint8 array of one `image_shape`.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfpvae import _checks
from tfpvae.datasets.decoding import check_image_shape, read_picture

if TYPE_CHECKING:
    import tensorflow as tf

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")

_ON_ERROR = ("raise", "skip")


class PictureFiles(NamedTuple):
    """Where pictures are: `paths`, int32 `labels` [N] (None if flat), `class_names`."""

    paths: tuple[str, ...]
    labels: np.ndarray | None
    class_names: tuple[str, ...]


class Pictures(NamedTuple):
    """Pictures in memory: uint8 `images` [N, H, W, C] and what is known of each."""

    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    paths: tuple[str, ...]


Files = str | os.PathLike[str] | PictureFiles | Sequence[str | os.PathLike[str]]


def list_pictures(folder: str | os.PathLike[str]) -> PictureFiles:
    """The picture files of a folder, in sorted order.

    Pictures lie either all in the folder itself, or in one sub-folder per class.
    Hidden files, files of other kinds and sub-folders without pictures are ignored.

    Args:
        folder: path of the folder.

    Returns:
        Paths, labels (the rank of the sub-folder's name; None for a flat folder)
        and class names (none for a flat folder).

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if it is no folder, holds no picture, or holds pictures both
            itself and in its sub-folders.

    >>> import tempfile
    >>> import PIL.Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("tulip", "rose"):
    ...         path = Path(folder, name, "1.png")
    ...         path.parent.mkdir()
    ...         PIL.Image.new("RGB", (8, 8)).save(path)
    ...     files = list_pictures(folder)
    >>> files.class_names, files.labels.tolist()
    (('rose', 'tulip'), [0, 1])
    """
    folder = os.fspath(folder)
    if not os.path.exists(folder):
        raise FileNotFoundError(f"folder: wanted a folder of pictures, got '{folder}', not found.")
    if not os.path.isdir(folder):
        raise ValueError(f"folder: wanted a folder of pictures, got the file '{folder}'.")
    flat = _pictures_in(folder)
    classes = {}
    for name in _visible(folder):
        # One level only, so that a link back to the folder cannot loop.
        inside = _pictures_in(os.path.join(folder, name))
        if inside:
            classes[name] = inside
    if flat and classes:
        raise ValueError(
            "folder: wanted pictures either in the folder or in class sub-folders, got both: "
            f"'{flat[0]}' and '{next(iter(classes.values()))[0]}'."
        )
    if flat:
        return PictureFiles(tuple(flat), None, ())
    if not classes:
        raise ValueError(
            f"folder: wanted pictures ({', '.join(SUFFIXES)}), got none in '{folder}'."
        )
    counts = [len(inside) for inside in classes.values()]
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return PictureFiles(tuple(chain(*classes.values())), labels, tuple(classes))


def split_pictures(
    files: Files, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> tuple[PictureFiles, PictureFiles, PictureFiles]:
    """Training, validation and test files: shuffled, disjoint, together all files.

    The split depends on the names and the seed alone, not on the order given.

    Args:
        files: a folder, the answer of `list_pictures`, or a sequence of paths.
        fractions: three shares in [0, 1] that sum to 1. A share above zero gets at
            least one picture.
        seed: integer >= 0.

    Returns:
        Three `PictureFiles` with the class names of all.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if the shares are no such numbers, a path comes twice, or there
            are fewer pictures than parts.

    >>> parts = split_pictures([f"{i}.jpg" for i in range(10)])
    >>> [len(part.paths) for part in parts]
    [8, 1, 1]
    """
    known = _as_files(files)
    paths = known.paths
    _checks.whole_number("seed", seed, minimum=0)
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(f"files: wanted each picture once, got '{twice}' twice.")
    sizes = _part_sizes(len(paths), fractions)
    by_name = sorted(range(len(paths)), key=lambda i: Path(paths[i]).parts)
    order = np.random.default_rng(seed).permutation(by_name)
    train, validation, test = np.split(order, np.cumsum(sizes)[:-1])
    return _take(known, train), _take(known, validation), _take(known, test)


def load_pictures(
    files: Files, *, image_shape: tuple[int, int, int], on_error: str = "raise"
) -> Pictures:
    """All pictures in memory, each scaled to cover the shape and cropped at its centre.

    Args:
        files: a folder, the answer of `list_pictures`, or a sequence of paths.
        image_shape: (height, width, channels), channels 1 (grey) or 3 (RGB).
        on_error: "raise" an error for a broken picture, or "skip" it with a warning.

    Returns:
        `Pictures` with uint8 images [N, height, width, channels].

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if an argument is wrong, a picture is broken (the message names
            it), or none is left after skipping.

    >>> import tempfile
    >>> import PIL.Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     PIL.Image.new("RGB", (40, 20), "red").save(Path(folder, "1.png"))
    ...     pictures = load_pictures(folder, image_shape=(8, 8, 3))
    >>> pictures.images.shape, pictures.images[0, 0, 0].tolist()
    ((1, 8, 8, 3), [255, 0, 0])
    """
    known = _as_files(files)
    check_image_shape(image_shape)
    _checks.one_of("on_error", on_error, _ON_ERROR)
    images = np.empty((len(known.paths), *image_shape), np.uint8)

    def read(index: int) -> str:
        try:
            images[index] = read_picture(known.paths[index], image_shape)
        except ValueError as error:
            if on_error == "raise":
                raise
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        errors = list(pool.map(read, range(len(images))))
    good = np.array([not error for error in errors])
    if not good.any():
        raise _none_left(known)
    if not good.all():
        _warn_skipped([error for error in errors if error], len(errors))
        known, images = _take(known, np.flatnonzero(good)), images[good]
    return Pictures(images, known.labels, known.class_names, known.paths)


def stream_pictures(
    files: Files,
    *,
    image_shape: tuple[int, int, int],
    batch_size: int,
    shuffle: bool = False,
    seed: int | None = None,
    on_error: str = "raise",
    cache_bytes: int = 2**30,
) -> tf.data.Dataset:
    """Batches of pictures decoded from disk as they are asked for.

    All of them are kept in memory, as bytes, where they take no more than `cache_bytes`: they are
    then decoded once, in the first epoch. Else none is.

    Args:
        files: a folder, the answer of `list_pictures`, or a sequence of paths.
        image_shape: (height, width, channels), channels 1 (grey) or 3 (RGB).
        batch_size: pictures a batch, >= 1; the last batch may be smaller.
        shuffle: whether each iteration has a new order, over all pictures.
        seed: integer >= 0 that makes the orders reproducible.
        on_error: "raise" an error for a broken picture, or "skip" it with a warning.
        cache_bytes: the most memory that decoded pictures may take, >= 0.

    Returns:
        Dataset of uint8 images [batch, height, width, channels], the same images
        that `load_pictures` gives. Its cardinality is known unless on_error="skip".

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if an argument is wrong. While iterating, a broken picture raises
            tf.errors.InvalidArgumentError, whose message names it.

    >>> import tempfile
    >>> import PIL.Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         PIL.Image.new("L", (9, 9), i).save(Path(folder, f"{i}.png"))
    ...     batches = stream_pictures(folder, image_shape=(4, 4, 1), batch_size=2)
    ...     shapes = [tuple(batch.shape) for batch in batches]
    >>> shapes
    [(2, 4, 4, 1), (1, 4, 4, 1)]
    """
    import tensorflow as tf  # here, so that listing and loading do without it

    known = _as_files(files)
    check_image_shape(image_shape)
    _checks.whole_number("batch_size", batch_size)
    _checks.flag("shuffle", shuffle)
    if seed is not None:
        _checks.whole_number("seed", seed, minimum=0)
    _checks.one_of("on_error", on_error, _ON_ERROR)
    _checks.whole_number("cache_bytes", cache_bytes, minimum=0)
    read = _stream_reader(known, image_shape, on_error)
    if len(known.paths) * math.prod(image_shape) <= cache_bytes:
        read = _kept(read, len(known.paths), image_shape)

    def decode(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, good = tf.numpy_function(read, [index], [tf.uint8, tf.bool])
        return tf.ensure_shape(image, image_shape), tf.ensure_shape(good, ())

    # Indices, not pixels, are shuffled: the buffer can hold all of them.
    indices = tf.data.Dataset.range(len(known.paths))
    if shuffle:
        indices = indices.shuffle(len(known.paths), seed=seed)
    images = indices.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if on_error == "skip":
        images = images.filter(lambda image, good: good)
    batches = images.map(lambda image, good: image).batch(batch_size)
    return batches.prefetch(tf.data.AUTOTUNE)


def _visible(folder: str) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def _pictures_in(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    names = (name for name in _visible(folder) if name.lower().endswith(SUFFIXES))
    paths = (os.path.join(folder, name) for name in names)
    return [path for path in paths if not os.path.isdir(path)]


def _as_files(files: Files) -> PictureFiles:
    if isinstance(files, (str, os.PathLike)):
        return list_pictures(files)
    if not isinstance(files, PictureFiles):
        files = PictureFiles(_as_paths(files), None, ())
    if not files.paths:
        raise ValueError("files: wanted at least one picture, got none.")
    return files


def _as_paths(paths: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    if not isinstance(paths, Iterable):
        raise TypeError(f"files: wanted a folder or paths of pictures, got {paths!r}.")
    paths = tuple(paths)
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"files: wanted paths of pictures, got {path!r} among them.")
    return tuple(os.fspath(path) for path in paths)


def _take(files: PictureFiles, indices: np.ndarray) -> PictureFiles:
    labels = None if files.labels is None else files.labels[indices]
    return PictureFiles(tuple(files.paths[i] for i in indices), labels, files.class_names)


def _part_sizes(count: int, fractions: Sequence[float]) -> np.ndarray:
    try:
        shares = np.asarray(fractions, np.float64)
    except (TypeError, ValueError):
        shares = np.empty(0)
    if shares.shape != (3,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(f"fractions: wanted three numbers >= 0 with sum 1, got {fractions!r}.")
    if count < np.count_nonzero(shares):
        raise ValueError(
            f"files: wanted at least {np.count_nonzero(shares)} pictures, one for each "
            f"fraction above zero, got {count}."
        )
    edges = np.cumsum([0, *shares])
    sizes = np.diff(np.rint(edges / edges[-1] * count).astype(int))
    for part in np.flatnonzero((shares > 0) & (sizes == 0)):
        sizes[sizes.argmax()] -= 1
        sizes[part] = 1
    return sizes


def _stream_reader(
    files: PictureFiles, image_shape: tuple[int, int, int], on_error: str
) -> Callable[[int], tuple[np.ndarray, np.bool_]]:
    """A function from an index to an image and whether it could be read."""
    skipped: set[int] = set()

    def read(index: int) -> tuple[np.ndarray, np.bool_]:
        try:
            return read_picture(files.paths[index], image_shape), np.True_
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
    """The same function, which reads each good picture once."""
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
