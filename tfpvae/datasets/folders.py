"""Folders of pictures: listing their files and classes, and splitting them into parts.

A folder is either flat or has one sub-folder per class.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfpvae import _checks

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


class PictureFiles(NamedTuple):
    """Paths of pictures, with the class of each.

    Attributes:
      paths: path of each picture, N of them.
      labels: class of each picture, int32 [N], or None without classes.
      class_names: name of each class.

    >>> files = PictureFiles(("a/1.png", "b/1.png"), np.array([0, 1], np.int32), ("a", "b"))
    >>> files.class_names[files.labels[1]]
    'b'
    """

    paths: tuple[str, ...]
    labels: np.ndarray | None
    class_names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"PictureFiles({len(self.paths)} paths, {len(self.class_names)} classes)"


Files = str | os.PathLike[str] | PictureFiles | Sequence[str | os.PathLike[str]]


def list_pictures(folder: str | os.PathLike[str]) -> PictureFiles:
    """Lists the picture files of a folder in sorted order.

    The pictures are either all in the folder itself, or in one sub-folder per class. Hidden files,
    files of other types and sub-folders without pictures are ignored.

    Args:
      folder: path of the folder.

    Returns:
      The paths, the labels and the class names. A label is the rank of the sub-folder's name. A
      flat folder has neither labels nor class names.

    Raises:
      FileNotFoundError: if the folder does not exist.
      ValueError: if it is not a folder, has no pictures, or has pictures both in itself and in its
        sub-folders.

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
        # Only one level deep, so that a link back to the folder does not loop.
        paths = _pictures_in(os.path.join(folder, name))
        if paths:
            classes[name] = paths
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
    counts = [len(paths) for paths in classes.values()]
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return PictureFiles(tuple(chain(*classes.values())), labels, tuple(classes))


def split_pictures(
    files: Files, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> tuple[PictureFiles, PictureFiles, PictureFiles]:
    """Splits pictures at random into disjoint training, validation and test files.

    The split depends on the paths and the seed alone, not on the order of the paths.

    Args:
      files: a folder, a `PictureFiles` of `list_pictures`, or a sequence of paths.
      fractions: fraction of each part in [0, 1], with sum 1. A part with a fraction above 0 has at
        least one picture.
      seed: an int, at least 0.

    Returns:
      The `PictureFiles` of the three parts, each with all class names.

    Raises:
      FileNotFoundError: if the folder does not exist.
      TypeError: if `files` are not paths, or `seed` is not an integer.
      ValueError: if the fractions are not three such numbers, a path is repeated, or there are
        fewer pictures than parts.

    >>> parts = split_pictures([f"{i}.jpg" for i in range(10)])
    >>> [len(part.paths) for part in parts]
    [8, 1, 1]
    """
    files = as_files(files)
    paths = files.paths
    _checks.whole_number("seed", seed, minimum=0)
    if len(set(paths)) < len(paths):
        repeated = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(f"files: wanted each picture once, got '{repeated}' twice.")
    sizes = _part_sizes(len(paths), fractions)
    by_name = sorted(range(len(paths)), key=lambda i: Path(paths[i]).parts)
    order = np.random.default_rng(seed).permutation(by_name)
    train, validation, test = np.split(order, np.cumsum(sizes)[:-1])
    return take(files, train), take(files, validation), take(files, test)


def as_files(files: Files) -> PictureFiles:
    """Returns a folder, a sequence of paths or a `PictureFiles` as a `PictureFiles`.

    Args:
      files: a folder, a `PictureFiles`, or a sequence of paths.

    Returns:
      At least one path, with labels and class names if there are any.

    Raises:
      FileNotFoundError: if the folder does not exist.
      TypeError: if `files` are not paths.
      ValueError: if there are no pictures.

    >>> as_files(["1.png", Path("2.png")]).paths
    ('1.png', '2.png')
    """
    if isinstance(files, (str, os.PathLike)):
        return list_pictures(files)
    if not isinstance(files, PictureFiles):
        files = PictureFiles(_as_paths(files), None, ())
    if not files.paths:
        raise ValueError("files: wanted at least one picture, got none.")
    return files


def take(files: PictureFiles, indices: np.ndarray) -> PictureFiles:
    """Returns the files at these indices, with all class names.

    >>> take(as_files(["1.png", "2.png", "3.png"]), np.array([2, 0])).paths
    ('3.png', '1.png')
    """
    labels = None if files.labels is None else files.labels[indices]
    return PictureFiles(tuple(files.paths[i] for i in indices), labels, files.class_names)


def _visible(folder: str) -> list[str]:
    """Returns the sorted names in a folder that are not hidden."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def _pictures_in(folder: str) -> list[str]:
    """Returns the sorted paths of the pictures in a folder; none if it is a file."""
    if not os.path.isdir(folder):
        return []
    names = (name for name in _visible(folder) if name.lower().endswith(SUFFIXES))
    paths = (os.path.join(folder, name) for name in names)
    return [path for path in paths if not os.path.isdir(path)]


def _as_paths(paths: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    """Returns the paths as text, checked."""
    if not isinstance(paths, Iterable):
        raise TypeError(f"files: wanted a folder or paths of pictures, got {paths!r}.")
    paths = tuple(paths)
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"files: wanted paths of pictures, got {path!r} among them.")
    return tuple(os.fspath(path) for path in paths)


def _part_sizes(num_pictures: int, fractions: Sequence[float]) -> np.ndarray:
    """Returns the number of pictures in each part; it sums to the number of pictures."""
    try:
        shares = np.asarray(fractions, np.float64)
    except (TypeError, ValueError):
        shares = np.empty(0)
    if shares.shape != (3,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(f"fractions: wanted three numbers >= 0 with sum 1, got {fractions!r}.")
    if num_pictures < np.count_nonzero(shares):
        raise ValueError(
            f"files: wanted at least {np.count_nonzero(shares)} pictures, one for each "
            f"fraction above zero, got {num_pictures}."
        )
    edges = np.cumsum([0, *shares])
    sizes = np.diff(np.rint(edges / edges[-1] * num_pictures).astype(int))
    for part in np.flatnonzero((shares > 0) & (sizes == 0)):
        sizes[sizes.argmax()] -= 1
        sizes[part] = 1
    return sizes
