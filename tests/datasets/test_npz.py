"""Tests of .npz files: round trips, and error messages that name broken files."""

import io
import re
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as npy

from tfpvae.datasets.npz import read_npz

LABELS = np.array([7, 2, 1], np.uint8)


def npz(save=np.savez, **arrays):
    out = io.BytesIO()
    save(out, **arrays)
    return out.getvalue()


def npz_of(member):
    """Returns an .npz file in which y.npy has these bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("y.npy", member)
    return out.getvalue()


def npy_of(shape, content, version=(1, 0)):
    out = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    write = npy.write_array_header_1_0 if version == (1, 0) else npy.write_array_header_2_0
    write(out, header)
    return out.getvalue() + content


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "a.npz"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_written(file, save, dtype, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype, order=order)
    result = read_npz(file(npz(save, x=array, y=LABELS)), "x", rank=3)
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


BROKEN = {
    "empty": (b"", "wanted an .npz, got '.*a.npz', broken .BadZipFile"),
    "no zip": (b"no zip", "wanted an .npz, got '.*a.npz', broken .BadZipFile"),
    "truncated": (npz(y=LABELS)[:-30], "wanted an .npz, got '.*a.npz', broken .BadZipFile"),
    "other array": (npz(x=LABELS), "wanted the array y in '.*a.npz', got x"),
    "no array": (npz(), "wanted the array y in '.*a.npz', got none"),
    "pickled": (
        npz(y=np.array([{}, 1, 2])),
        "with 1 axes, not empty, as y in .* got pickled objects",
    ),
    "floats": (npz(y=np.ones(3)), r"wanted whole numbers .* got float64 \[3\]"),
    "two axes": (npz(y=np.ones((3, 1), np.uint8)), r"wanted whole numbers .* got uint8 \[3, 1\]"),
    "none": (npz(y=np.ones(0, np.uint8)), r"wanted whole numbers .* not empty, .* got uint8 \[0\]"),
    "no npy": (npz_of(b"no array"), "broken .ValueError: the magic string"),
    "npy 2.0": (
        npz_of(npy_of((3,), b"abc", (2, 0))),
        "broken .ValueError: an .npy of another version",
    ),
    "short": (npz_of(npy_of((3,), b"ab")), "wanted 3 bytes after the header of '.*', got only 2"),
    "long": (npz_of(npy_of((3,), b"abcd")), "wanted 3 bytes after the header of '.*', got more"),
    "claimed": (npz_of(npy_of((2**60,), b"ab")), f"wanted {2**60} bytes after .*, got only 2"),
    "bomb": (npz_of(npy_of((3,), bytes(10**7))), "wanted 3 bytes after .*, got more"),
}


@pytest.mark.parametrize("content, message", BROKEN.values(), ids=BROKEN)
def test_message_names_the_broken_file(file, content, message):
    path = file(content)
    with pytest.raises(ValueError, match=f"^source: .*{message}") as raised:
        read_npz(path, "y", rank=1)
    assert re.search(re.escape(str(path)), str(raised.value))


@given(index=st.integers(0, 10**4), byte=st.integers(0, 255), compressed=st.booleans())
def test_changed_bytes_raise_only_value_errors(tmp_path_factory, index, byte, compressed):
    changed = bytearray(npz(np.savez_compressed if compressed else np.savez, y=LABELS))
    changed[index % len(changed)] = byte
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    path.write_bytes(changed)
    try:
        read_npz(path, "y", rank=1)
    except ValueError as error:
        assert str(path) in str(error)


def test_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_npz(tmp_path / "nowhere", "y", rank=1)
