"""The IDX format of MNIST: a header with the sizes, then the bytes; gzipped or not.

The sizes in a header are not trusted. Memory is allocated only for bytes that the file has, and
reading stops after the bytes that the header announces.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Callable

import numpy as np

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTES = 8
_PIECE = 2**20

ReadFn = Callable[[int], bytes]  # read(count) of a file


def read_idx(path: str | os.PathLike[str], *, rank: int) -> np.ndarray:
    """Reads the array of an IDX file of unsigned bytes.

    The content of the file, not its name, decides whether it is gzipped.

    Args:
      path: path of the file.
      rank: number of axes of the array, 3 for images and 1 for labels.

    Returns:
      uint8 array with the sizes of the header.

    Raises:
      FileNotFoundError: if the file does not exist.
      ValueError: if the file is not an IDX file of bytes with that many axes, is too short or too
        long, or its gzip is broken; the message names the file.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path, rank=1).tolist()
    [7, 2, 1]
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        is_zipped = file.read(2) == _GZIP
        file.seek(0)
        if not is_zipped:
            return _array(file.read, path, rank)
        try:
            with gzip.open(file) as unzipped:
                return _array(unzipped.read, path, rank)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"source: wanted a whole gzip, got '{path}', {error}.") from error


def read_up_to(read_fn: ReadFn, count: int) -> bytearray:
    """Reads the next `count` bytes, or fewer at the end of the file.

    Args:
      read_fn: reads at most a number of bytes, as the method `read` of a file does.
      count: number of bytes.

    Returns:
      The bytes; memory is allocated as they are read.

    >>> import io
    >>> bytes(read_up_to(io.BytesIO(b"digits").read, 3))
    b'dig'
    """
    content = bytearray()
    while len(content) < count:  # a single read(count) would allocate count bytes at once
        piece = read_fn(min(_PIECE, count - len(content)))
        if not piece:
            break
        content += piece
    return content


def check_count(content: bytearray, count: int, path: str) -> None:
    """Checks that the content after the header has `count` bytes.

    Args:
      content: bytes after the header, at most count + 1.
      count: number of bytes that the header announces.
      path: path of the file, for the message.

    Raises:
      ValueError: if there are fewer or more bytes.

    >>> check_count(bytearray(b"abc"), 3, "labels")
    """
    if len(content) != count:
        got = f"only {len(content)}" if len(content) < count else "more"
        raise ValueError(f"source: wanted {count} bytes after the header of '{path}', got {got}.")


def _array(read_fn: ReadFn, path: str, rank: int) -> np.ndarray:
    """Reads and checks the header, then the array."""
    expected = bytes([0, 0, _UNSIGNED_BYTES, rank])
    magic = read_fn(4)
    if magic != expected:
        got = f"{magic.hex(' ')}{_meaning(magic)}" if magic else "an empty file"
        raise ValueError(
            f"source: wanted an IDX file of bytes with {rank} axes, which starts with "
            f"{expected.hex(' ')}, got '{path}', {got}."
        )
    header = read_fn(4 * rank)
    if len(header) < 4 * rank:
        raise ValueError(
            f"source: wanted {rank} sizes in the header of '{path}', got {len(header)} bytes."
        )
    sizes = np.frombuffer(header, ">u4").tolist()
    if 0 in sizes:
        raise ValueError(f"source: wanted sizes above 0 in the header of '{path}', got {sizes}.")
    count = math.prod(sizes)
    content = read_up_to(read_fn, count + 1)
    check_count(content, count, path)
    return np.frombuffer(content, np.uint8).reshape(sizes)


def _meaning(magic: bytes) -> str:
    """Returns what the first four bytes of a file mean, for an error message."""
    if len(magic) < 4 or magic[:2] != b"\0\0":
        return " (no IDX file)"
    if magic[2] != _UNSIGNED_BYTES:
        return " (the third byte is the type: 08 is unsigned bytes)"
    return f" ({magic[3]} axes)"
