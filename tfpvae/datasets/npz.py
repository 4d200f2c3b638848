"""Arrays of an .npz file, without pickle and without trust in the sizes in its headers."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np

from tfpvae.datasets.idx import check_count, read_up_to


def read_npz(path: str | os.PathLike[str], name: str, *, rank: int) -> np.ndarray:
    """Reads one array of integers from an .npz file.

    Unlike `numpy.load`, it allocates memory only for bytes that the file has.

    Args:
      path: path of the file.
      name: name of the array.
      rank: number of axes of the array.

    Returns:
      The array, with its integer type.

    Raises:
      FileNotFoundError: if the file does not exist.
      ValueError: if the file is broken or not an .npz, or has no such array of integers; the
        message names the file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "labels.npz")
    ...     np.savez(path, y=np.array([7, 2, 1]))
    ...     read_npz(path, "y", rank=1).tolist()
    [7, 2, 1]
    """
    path = os.fspath(path)
    with open(path, "rb") as stream:
        with _broken(path):
            archive = zipfile.ZipFile(stream)
        with archive:
            names = [member.removesuffix(".npy") for member in archive.namelist()]
            if name not in names:
                got = ", ".join(names[:5]) or "none"
                raise ValueError(f"source: wanted the array {name} in '{path}', got {got}.")
            with _broken(path):
                file = archive.open(f"{name}.npy")
                shape, is_fortran, dtype = _header(file)
            if len(shape) != rank or 0 in shape or dtype.kind not in "ui":
                got = "pickled objects" if dtype.hasobject else f"{dtype} {list(shape)}"
                raise ValueError(
                    f"source: wanted whole numbers with {rank} axes, not empty, as {name} in "
                    f"'{path}', got {got}."
                )
            count = math.prod(shape) * dtype.itemsize
            with _broken(path):
                content = read_up_to(file.read, count + 1)
    check_count(content, count, path)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Reads the shape, whether the order is Fortran's, and the type of an array."""
    # np.savez writes version 1.0 for all arrays without fields.
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an .npy of another version than 1.0")
    return np.lib.format.read_array_header_1_0(file)


@contextmanager
def _broken(path: str) -> Iterator[None]:
    """Turns every exception into a ValueError that names the broken file."""
    try:
        yield
    except Exception as error:  # a broken zip makes zipfile and NumPy raise a dozen kinds
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"source: wanted an .npz, got '{path}', broken ({reason}).") from error
