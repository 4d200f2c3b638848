"""The IDX format of MNIST: a header of sizes, then bytes; gzipped or not.

Nothing is believed: what the header claims is neither allocated nor read beyond before
the bytes have come.
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

Read = Callable[[int], bytes]  # of a file: as many bytes, or all that there are


def read_idx(path: str | os.PathLike[str], *, rank: int) -> np.ndarray:
    """The array of an IDX file of unsigned bytes.

    Whether the file is gzipped is seen from its bytes, not its name.

    Args:
        path: path of the file.
        rank: how many axes the array is to have, 3 for images and 1 for labels.

    Returns:
        uint8 array with the sizes that the header names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no IDX file of bytes with that many axes, is cut
            short, goes on after its end, or its gzip is broken; the message names it.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path, rank=1).tolist()
    [7, 2, 1]
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        zipped = file.read(2) == _GZIP
        file.seek(0)
        if not zipped:
            return _array(file.read, path, rank)
        try:
            with gzip.open(file) as unzipped:
                return _array(unzipped.read, path, rank)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"source: wanted a whole gzip, got '{path}', {error}.") from error


def read_up_to(read: Read, count: int) -> bytearray:
    """The next `count` bytes of a file, or all that there are."""
    came = bytearray()
    while len(came) < count:  # a single read(count) would allocate all that is claimed
        piece = read(min(_PIECE, count - len(came)))
        if not piece:
            break
        came += piece
    return came


def check_count(came: bytearray, count: int, path: str) -> None:
    """Raises unless `count` bytes came after the header."""
    if len(came) != count:
        got = f"only {len(came)}" if len(came) < count else "more"
        raise ValueError(f"source: wanted {count} bytes after the header of '{path}', got {got}.")


def _array(read: Read, path: str, rank: int) -> np.ndarray:
    wanted = bytes([0, 0, _UNSIGNED_BYTES, rank])
    magic = read(4)
    if magic != wanted:
        got = f"{magic.hex(' ')}{_meaning(magic, rank)}" if magic else "an empty file"
        raise ValueError(
            f"source: wanted an IDX file of bytes with {rank} axes, which starts with "
            f"{wanted.hex(' ')}, got '{path}', {got}."
        )
    header = read(4 * rank)
    if len(header) < 4 * rank:
        raise ValueError(
            f"source: wanted {rank} sizes in the header of '{path}', got {len(header)} bytes."
        )
    sizes = np.frombuffer(header, ">u4").tolist()
    if 0 in sizes:
        raise ValueError(f"source: wanted sizes above 0 in the header of '{path}', got {sizes}.")
    count = math.prod(sizes)
    came = read_up_to(read, count + 1)
    check_count(came, count, path)
    return np.frombuffer(came, np.uint8).reshape(sizes)


def _meaning(magic: bytes, rank: int) -> str:
    if len(magic) < 4 or magic[:2] != b"\0\0":
        return " (no IDX file)"
    if magic[2] != _UNSIGNED_BYTES:
        return " (the third byte is the type: 08 is unsigned bytes)"
    return f" ({magic[3]} axes)"
