"""Tests of IDX files: round trips, and error messages that name broken files."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfpvae.datasets.idx import read_idx

LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1])


def idx(array):
    """Returns an array as the bytes of an IDX file."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "labels.gz"
        path.write_bytes(content)
        return path

    return write


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    zipped=st.booleans(),
    seed=st.integers(0, 99),
)
def test_arrays_are_read_as_written(tmp_path_factory, shape, zipped, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path = tmp_path_factory.getbasetemp() / "array"
    path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    result = read_idx(path, rank=len(shape))
    assert result.dtype == np.uint8
    assert result.flags.writeable
    np.testing.assert_array_equal(result, array)


def test_files_longer_than_one_chunk_are_read(file):
    array = np.random.default_rng(0).integers(0, 256, (3, 1000, 1001), np.uint8)
    np.testing.assert_array_equal(read_idx(file(idx(array)), rank=3), array)


def flipped_gzip():
    zipped = bytearray(gzip.compress(LABELS))
    zipped[-6] ^= 1  # in the checksum
    return bytes(zipped)


BROKEN = {
    "empty": (b"", "starts with 00 00 08 01, got '.*labels.gz', an empty file"),
    "empty gzip": (gzip.compress(b""), "got '.*labels.gz', an empty file"),
    "half a magic": (b"\0\0", r"got '.*labels.gz', 00 00 \(no IDX file\)"),
    "no magic": (b"PNG!", r"got '.*labels.gz', 50 4e 47 21 \(no IDX file\)"),
    "floats": (
        b"\0\0\x0d" + LABELS[3:],
        r"got '.*', 00 00 0d 01 \(the third byte is the type: 08 is",
    ),
    "images": (
        idx(np.ones((1, 2, 2), np.uint8)),
        r"with 1 axes, .* got '.*', 00 00 08 03 \(3 axes\)",
    ),
    "half a header": (LABELS[:6], "wanted 1 sizes in the header of '.*labels.gz', got 2 bytes"),
    "no label": (LABELS[:4] + bytes(4), r"wanted sizes above 0 in the header of '.*', got \[0\]"),
    "truncated": (LABELS[:-1], "wanted 3 bytes after the header of '.*labels.gz', got only 2"),
    "too long": (LABELS + b"!", "wanted 3 bytes after the header of '.*labels.gz', got more"),
    "truncated before gzip": (
        gzip.compress(LABELS[:-1]),
        "wanted 3 bytes after the header of '.*', got only 2",
    ),
    "truncated gzip": (
        gzip.compress(LABELS)[:-9],
        "wanted a whole gzip, got '.*labels.gz', Compressed file",
    ),
    "wrong checksum": (flipped_gzip(), "wanted a whole gzip, got '.*labels.gz', CRC check failed"),
    "wrong gzip": (
        gzip.compress(LABELS)[:10] + b"\xff" * 9,
        "wanted a whole gzip, got '.*', Error -3",
    ),
}


@pytest.mark.parametrize("content, message", BROKEN.values(), ids=BROKEN)
def test_message_names_the_broken_file(file, content, message):
    with pytest.raises(ValueError, match=f"^source: .*{message}"):
        read_idx(file(content), rank=1)


def bomb():
    """Returns a gzip with a header of three bytes and a hundred million zeros more."""
    return gzip.compress(LABELS + bytes(10**8), compresslevel=1)


@pytest.mark.parametrize(
    "content, message",
    [
        (LABELS[:4] + b"\xff" * 4 + LABELS[8:], "wanted 4294967295 bytes .* got only 3"),
        (gzip.compress(LABELS[:4] + b"\xff" * 4), "wanted 4294967295 bytes .* got only 0"),
        (bomb(), "wanted 3 bytes after the header of '.*', got more"),
    ],
    ids=["claimed", "claimed in a gzip", "bomb"],
)
def test_memory_does_not_depend_on_the_sizes_in_the_header(file, content, message):
    path = file(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            read_idx(path, rank=1)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


@given(
    zipped=st.booleans(),
    index=st.integers(0, 200),
    byte=st.integers(0, 255),
    length=st.integers(0, 60),
    rank=st.sampled_from([1, 3]),
)
def test_changed_bytes_raise_only_value_errors(tmp_path_factory, zipped, index, byte, length, rank):
    whole = idx(np.arange(24, dtype=np.uint8).reshape([2, 3, 4] if rank == 3 else [24]))
    changed = bytearray(gzip.compress(whole) if zipped else whole)
    changed[index % len(changed)] = byte
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(changed[:length])
    try:
        read_idx(path, rank=rank)
    except ValueError as error:
        assert str(path) in str(error)


def test_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere", rank=1)
