"""Tests of MNIST and its variants: sources, formats, broken files and the download."""

import gzip
import hashlib
import struct
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tfpvae.datasets import load_mnist, mnist

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
KMNIST_NAMES = ("train-imgs", "train-labels", "test-imgs", "test-labels")
NPZ_NAMES = ("x_train", "y_train", "x_test", "y_test")


def random_set(seed=0):
    """Returns training images and labels, test images and labels."""
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (count, 28, 28), np.uint8) for count in (12, 5)]
    labels = [np.arange(count, dtype=np.uint8) % 10 for count in (12, 5)]
    return [images[0], labels[0], images[1], labels[1]]


ARRAYS = random_set()


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, arrays=ARRAYS, *, suffix="", dotted=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(IDX_NAMES, arrays, strict=True):
        name = name.replace("-idx", ".idx") if dotted else name
        content = gzip.compress(idx(array)) if suffix else idx(array)
        (folder / f"{name}{suffix}").write_bytes(content)
    return folder


def write_npz(folder, arrays=ARRAYS):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "mnist.npz", **dict(zip(NPZ_NAMES, arrays, strict=True)))
    return folder


def write_kmnist(folder, arrays=ARRAYS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(KMNIST_NAMES, arrays, strict=True):
        np.savez_compressed(folder / f"kmnist-{name}.npz", array)
    return folder


def check(parts, arrays=ARRAYS):
    for pictures, images, labels in zip(parts, arrays[::2], arrays[1::2], strict=True):
        assert pictures.images.dtype == np.uint8
        assert pictures.labels.dtype == np.int32
        assert pictures.paths == ()
        np.testing.assert_array_equal(pictures.images, images[..., None])
        np.testing.assert_array_equal(pictures.labels, labels)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Sets an empty cache of Keras and URLs that no server answers; returns the cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, variant in mnist._VARIANTS.items():
        monkeypatch.setitem(mnist._VARIANTS, name, variant._replace(url="http://127.0.0.1:9/"))
    return tmp_path / "keras" / "datasets"


# Sources.

WRITERS = {
    "idx": write_idx,
    "idx.gz": partial(write_idx, suffix=".gz"),
    ".idx": partial(write_idx, dotted=True),
    ".idx.gz": partial(write_idx, suffix=".gz", dotted=True),
    "mnist.npz": write_npz,
    "kmnist": write_kmnist,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_every_kind_of_folder_is_read(tmp_path, write):
    folder = write(tmp_path / "files")
    check(load_mnist(source=folder))
    check(load_mnist(source=str(folder)))


def test_an_npz_file_is_read(tmp_path):
    check(load_mnist(source=write_npz(tmp_path) / "mnist.npz"))


@pytest.mark.parametrize(
    "name, write, folder",
    [
        ("mnist", write_npz, "."),  # the path of keras.datasets.mnist
        ("mnist", write_idx, "mnist"),
        ("fashion_mnist", partial(write_idx, suffix=".gz"), "fashion-mnist"),  # as Keras too
        ("kuzushiji_mnist", write_idx, "kuzushiji-mnist"),
        ("kuzushiji_mnist", write_kmnist, "kuzushiji-mnist"),
    ],
)
def test_the_cache_of_keras_is_read(cache, name, write, folder):
    write(cache / folder)
    check(load_mnist(name))


def test_the_cache_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_npz(tmp_path / ".keras" / "datasets")
    check(load_mnist())


@pytest.mark.parametrize(
    "name, first, last",
    [
        ("mnist", "0", "9"),
        ("fashion_mnist", "T-shirt/top", "Ankle boot"),
        ("kuzushiji_mnist", "o", "wo"),
    ],
)
def test_the_name_gives_the_class_names(tmp_path, name, first, last):
    training, test = load_mnist(name, source=write_idx(tmp_path))
    assert training.class_names == test.class_names
    assert len(set(training.class_names)) == 10
    assert training.class_names[0] == first
    assert training.class_names[9] == last


# Errors.


@pytest.mark.parametrize("name", ["digits", None, 3])
def test_unknown_names_raise(name):
    message = f"name: wanted one of 'fashion_mnist', 'kuzushiji_mnist', 'mnist', got {name!r}"
    with pytest.raises(ValueError, match=message):
        load_mnist(name)


def test_sources_that_are_not_paths_raise():
    with pytest.raises(TypeError, match="source: wanted a folder or an .npz file, got 3"):
        load_mnist(source=3)


@pytest.mark.parametrize("present, got", [(IDX_NAMES[1:2], IDX_NAMES[1]), ((), "none of them")])
def test_message_lists_missing_files(tmp_path, present, got):
    for name in present:
        (tmp_path / name).touch()
    names = ", ".join(IDX_NAMES)
    message = rf"source: wanted {names} \(.gz or not\), or mnist.npz, or kmnist-.* got {got}\."
    with pytest.raises(FileNotFoundError, match=message):
        load_mnist(source=tmp_path)


def test_missing_folder_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="wanted .* in '.*nowhere', got no such folder"):
        load_mnist(source=tmp_path / "nowhere")


@pytest.mark.parametrize(
    "index, array, message",
    [
        (0, np.ones((12, 32, 28), np.uint8), "28x28 pixels in '{}', got uint8 images of 32x28"),
        (1, np.ones(11, np.uint8), "as many labels as images, got 11 in '{}' for 12 in"),
        (3, np.full(5, 10, np.uint8), "labels from 0 to 9 in '{}', got labels from 10 to 10"),
    ],
)
@pytest.mark.parametrize("write", [write_idx, write_npz, write_kmnist])
def test_arrays_of_other_shapes_or_values_raise(tmp_path, write, index, array, message):
    arrays = [*ARRAYS[:index], array, *ARRAYS[index + 1 :]]
    names = {write_idx: IDX_NAMES[index], write_npz: "mnist.npz", write_kmnist: KMNIST_NAMES[index]}
    with pytest.raises(ValueError, match=f"source: .*{message.format(f'.*{names[write]}.*')}"):
        load_mnist(source=write(tmp_path, arrays))


@pytest.mark.parametrize(
    "index, array, message",
    [
        (0, np.ones((12, 28, 28), np.int64), "wanted uint8 images of 28x28 pixels .* got int64"),
        (
            1,
            np.full(12, -1),
            "wanted labels from 0 to 9 in '.*mnist.npz', got labels from -1 to -1",
        ),
        (1, np.array([None] * 12), "got pickled objects"),
    ],
)
def test_arrays_of_other_types_raise(tmp_path, index, array, message):
    arrays = [*ARRAYS[:index], array, *ARRAYS[index + 1 :]]
    with pytest.raises(ValueError, match=f"source: .*{message}"):
        load_mnist(source=write_npz(tmp_path, arrays))


def test_message_of_a_broken_file_in_the_cache_says_to_delete_it(cache):
    write_idx(cache / "mnist")
    (cache / "mnist" / IDX_NAMES[2]).write_bytes(b"")
    message = f"got '.*{IDX_NAMES[2]}', an empty file. Delete the file to download it again"
    with pytest.raises(ValueError, match=message):
        load_mnist()


# The download.


@pytest.fixture
def server(monkeypatch):
    """Serves `files`, each without its last `short` bytes, and records the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = files.get(self.path[1:])
            requests.append(self.path[1:])
            if content is None:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) - short.get(self.path[1:], 0)])

        def log_message(self, *args):
            pass

    files = {
        f"{name}.gz": gzip.compress(idx(array))
        for name, array in zip(IDX_NAMES, ARRAYS, strict=True)
    }
    short, requests = {}, []
    md5s = tuple(hashlib.md5(content).hexdigest() for content in files.values())
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        url = f"http://127.0.0.1:{running.server_port}/"
        for name, variant in mnist._VARIANTS.items():
            monkeypatch.setitem(mnist._VARIANTS, name, variant._replace(url=url, md5s=md5s))
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield files, short, requests
        running.shutdown()
        thread.join()


def names_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name, folder", [("mnist", "mnist"), ("fashion_mnist", "fashion-mnist")])
def test_files_are_downloaded_once_into_the_cache(cache, server, name, folder):
    _, _, requests = server
    check(load_mnist(name))
    assert names_in(cache) == names_in(cache / folder) == sorted(f"{n}.gz" for n in IDX_NAMES)
    check(load_mnist(name))
    assert requests == [f"{n}.gz" for n in IDX_NAMES]


LAST = f"{IDX_NAMES[3]}.gz"


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda files, short: short.update({LAST: 9}), "corrupted"),
        (lambda files, short: files.update({LAST: b"other bytes"}), "corrupted"),
        (lambda files, short: files.pop(LAST), "404"),
    ],
    ids=["interrupted", "wrong bytes", "missing"],
)
def test_failed_download_leaves_no_file_and_can_be_repeated(cache, server, damage, reason):
    files, short, requests = server
    whole = files[LAST]
    damage(files, short)
    message = (
        rf"source: wanted the files in '{cache / 'mnist'}', got an error: http://127.0.0.1:.*"
        rf"{LAST} was not downloaded: .*{reason}.* To work offline, put {IDX_NAMES[0]}.gz, "
        rf".*{LAST} from http://127.0.0.1.* there, or pass their folder as source"
    )
    with pytest.raises(ConnectionError, match=message):
        load_mnist()
    assert names_in(cache) == sorted(f"{name}.gz" for name in IDX_NAMES[:3])
    files[LAST] = whole
    short.clear()
    check(load_mnist())
    assert len(requests) == len(set(requests)) + 1  # only the last file is requested again


def test_without_a_server_the_error_names_the_url(cache):
    with pytest.raises(ConnectionError, match="http://127.0.0.1:9/train-.* was not downloaded"):
        load_mnist("kuzushiji_mnist")
    assert names_in(cache) == []


def test_a_cache_that_cannot_be_created_is_named(cache):
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file in place of the folder")
    with pytest.raises(
        OSError, match="source: wanted the files in .* or pass their folder as source"
    ):
        load_mnist()


# The real data.


@pytest.mark.realdata
def test_real_mnist(real_data):
    training, test = load_mnist(source=real_data / "mnist")
    assert training.images.shape == (60000, 28, 28, 1)
    assert test.images.shape == (10000, 28, 28, 1)
    # The published MD5 of the uncompressed training images, including the header.
    content = idx(training.images[..., 0])
    assert hashlib.md5(content).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert training.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    counts = np.bincount(training.labels)
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
