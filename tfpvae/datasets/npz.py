"""Arrays of an .npz, with no pickle in it and no trust in the sizes that it claims."""

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
    """One array of whole numbers of an .npz; NumPy's own `load` would allocate all it claims.

    Args:
        path: path of the file.
        name: name of the array.
        rank: how many axes the array is to have.

    Returns:
        The array, of the integer type it was saved with.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken or no .npz, lacks the array, or holds another
            kind under its name; the message names the file.

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
            held = [held.removesuffix(".npy") for held in archive.namelist()]
            if name not in held:
                got = ", ".join(held[:5]) or "none"
                raise ValueError(f"source: wanted the array {name} in '{path}', got {got}.")
            with _broken(path):
                file = archive.open(f"{name}.npy")
                shape, fortran, dtype = _header(file)
            if len(shape) != rank or 0 in shape or dtype.kind not in "ui":
                got = "pickled objects" if dtype.hasobject else f"{dtype} {list(shape)}"
                raise ValueError(
                    f"source: wanted whole numbers with {rank} axes, not empty, as {name} in "
                    f"'{path}', got {got}."
                )
            count = math.prod(shape) * dtype.itemsize
            with _broken(path):
                came = read_up_to(file.read, count + 1)
    check_count(came, count, path)
    return np.frombuffer(came, dtype).reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    # np.savez writes version 1; the later ones are for headers that no plain array has.
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an .npy of another version than 1.0")
    return np.lib.format.read_array_header_1_0(file)


@contextmanager
def _broken(path: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a broken zip makes zipfile and NumPy raise a dozen kinds
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"source: wanted an .npz, got '{path}', broken ({reason}).") from error
