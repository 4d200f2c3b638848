"""Folders of pictures: which files they hold, of which classes, and which to train on.

The folder is either flat or holds one sub-folder per class.
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
    """Where pictures are: `paths`, int32 `labels` [N] (None if flat), `class_names`."""

    paths: tuple[str, ...]
    labels: np.ndarray | None
    class_names: tuple[str, ...]


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
    known = as_files(files)
    paths = known.paths
    _checks.whole_number("seed", seed, minimum=0)
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(f"files: wanted each picture once, got '{twice}' twice.")
    sizes = _part_sizes(len(paths), fractions)
    by_name = sorted(range(len(paths)), key=lambda i: Path(paths[i]).parts)
    order = np.random.default_rng(seed).permutation(by_name)
    train, validation, test = np.split(order, np.cumsum(sizes)[:-1])
    return take(known, train), take(known, validation), take(known, test)


def _visible(folder: str) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def _pictures_in(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    names = (name for name in _visible(folder) if name.lower().endswith(SUFFIXES))
    paths = (os.path.join(folder, name) for name in names)
    return [path for path in paths if not os.path.isdir(path)]


def as_files(files: Files) -> PictureFiles:
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


def take(files: PictureFiles, indices: np.ndarray) -> PictureFiles:
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
