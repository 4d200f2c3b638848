"""Files that no other test covers: links, pipes, permissions, names, archives, damaged models.

Broken pictures are in `tests/datasets/test_pictures.py`; IDX and NPZ files, their sizes, magic,
counts, gzips and bombs in `test_idx.py` and `test_npz.py` beside it; interrupted downloads in
`test_mnist.py`; arrays and tf.data of other shapes, dtypes and ranges in
`tests/models/test_vae.py`.
"""

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import threading
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from PIL import Image

import tfpvae
from tests.golden import make
from tfpvae import datasets
from tfpvae.datasets import download as downloading

SHAPE = (8, 8, 3)
SECONDS = 20  # within which each call returns


@pytest.fixture(autouse=True)
def in_time():
    """Ends the process if a test waits forever."""
    timer = threading.Timer(10 * SECONDS, os.abort)
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


def picture(path):
    Image.new("RGB", (9, 9), "red").save(path, "PNG")
    return path


def load(folder):
    return datasets.load_pictures(folder, image_shape=SHAPE)


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    """Returns a file of this version of Keras: an older one cannot read the golden files."""
    path = tmp_path_factory.mktemp("whole") / "model.keras"
    make.build().save(path)
    return path


# Pictures.


def loop(folder):
    (folder / "b.png").symlink_to(folder / "c.png")
    (folder / "c.png").symlink_to(folder / "b.png")


def dangling(folder):
    (folder / "b.png").symlink_to(folder / "nowhere")


def pipe(folder):
    os.mkfifo(folder / "b.png")


def unix_socket(folder):
    before = os.getcwd()
    os.chdir(folder)  # the path of a socket has to be short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("b.png")
    finally:
        os.chdir(before)


def device(folder):
    (folder / "b.png").symlink_to("/dev/zero")


@pytest.mark.parametrize("spoil", [loop, dangling, pipe, unix_socket, device])
def test_a_file_that_only_looks_like_a_picture_is_named(tmp_path, spoil):
    picture(tmp_path / "a.png")
    spoil(tmp_path)
    with pytest.raises(ValueError, match=r"files: wanted pictures, got '.*b\.png', broken"):
        load(tmp_path)
    batches = datasets.stream_pictures(tmp_path, image_shape=SHAPE, batch_size=4)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"got '.*b\.png', broken"):
        list(batches)
    with pytest.warns(UserWarning, match=r"b\.png"):
        pictures = datasets.load_pictures(tmp_path, image_shape=SHAPE, on_error="skip")
    assert [Path(path).name for path in pictures.paths] == ["a.png"]


def test_a_folder_that_links_to_itself_is_refused(tmp_path):
    (tmp_path / "x").symlink_to(tmp_path / "y")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match=r"folder: wanted a folder .* not found"):
        load(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match=r"source: wanted .* got no such folder"):
        datasets.load_mnist(source=tmp_path / "x")


@contextlib.contextmanager
def another_user():
    """Runs as another user than root, who can read everything."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(os.getuid())


@pytest.fixture
def open_folder():
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_file_and_a_folder_without_read_permission_are_named(open_folder):
    npz = open_folder / "mnist.npz"
    picture(open_folder / "a.png").chmod(0)
    np.savez(npz, x=np.zeros(1))
    npz.chmod(0)
    for attempt in (
        load,
        tf_keras.models.load_model,
    ):  # imports modules that the other user cannot read
        with contextlib.suppress(Exception):
            attempt(npz)
    with another_user():
        with pytest.raises(ValueError, match=r"got '.*a\.png', broken \(PermissionError"):
            load(open_folder)
        with pytest.raises(PermissionError, match=r"mnist\.npz"):
            datasets.load_mnist(source=npz)
        # h5py reads on with the error still set: Python 3.13 then raises a SystemError and 3.12
        # sometimes an AttributeError, neither of which names the file.
        nameless = (SystemError, AttributeError)
        with pytest.raises((tf.errors.PermissionDeniedError, *nameless)) as raised:
            tf_keras.models.load_model(npz)
        assert isinstance(raised.value, nameless) or "mnist.npz" in str(raised.value)
    open_folder.chmod(0o111)
    with another_user(), pytest.raises(PermissionError, match=str(open_folder)):
        load(open_folder)


NAMES = [
    "a b.png",
    "-rf.png",
    "%s{0}.png",
    "*?[a].png",
    "日本.png",
    "a\nb.png",
    "'.png",
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"\xff\xfe.png"), "x" * 251 + ".png"])
def test_pictures_with_odd_names_are_loaded_and_named(tmp_path, name):
    picture(tmp_path / name)
    pictures = load(tmp_path)
    assert pictures.images.shape == (1, *SHAPE) and Path(pictures.paths[0]).name == name
    batches = datasets.stream_pictures(tmp_path, image_shape=SHAPE, batch_size=1)
    np.testing.assert_array_equal(next(iter(batches)), pictures.images)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match="files: wanted pictures, got '"):
        load(tmp_path)


# Archives.


def test_an_npz_with_paths_outside_its_folder_is_refused(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    with zipfile.ZipFile(inside / "mnist.npz", "w") as archive:
        archive.writestr("../x_train.npy", b"outside")
        archive.writestr("/elsewhere/../x_train.npy", b"outside")
    with pytest.raises(ValueError, match=r"wanted the array x_train in .*, got \.\./x_train"):
        datasets.load_mnist(source=inside / "mnist.npz")
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "mnist.npz"]


def test_a_keras_file_with_paths_outside_its_folder_writes_none_of_them(
    keras_file, tmp_path, monkeypatch
):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(inside))
    path = inside / "model.keras"
    shutil.copy(keras_file, path)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("assets/../../../outside", "../../outside", f"{tmp_path}/outside"):
            archive.writestr(name, b"outside")
    assert isinstance(tf_keras.models.load_model(path), tfpvae.VAE)
    assert not [path for path in (*tmp_path.iterdir(), *inside.parent.iterdir())
                if path.name == "outside"]  # fmt: skip


# A server that stops sending.


@pytest.mark.parametrize("response", [b"", b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_download_from_a_server_that_stalls_times_out(tmp_path, monkeypatch, response):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloading, "_SILENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/file"
        connections = []

        def serve():
            with contextlib.suppress(OSError):  # closed
                connection, _ = server.accept()
                connection.recv(1000)
                connection.sendall(response)
                connections.append(connection)  # stays open, and sends no more

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ConnectionError, match=f"^{url} was not downloaded: .*timed out"):
            downloading.download(url, "0" * 32, str(tmp_path / "file"))
        thread.join()
        connections[0].close()
    assert os.listdir(tmp_path) == []
    assert socket.getdefaulttimeout() is None


# Damaged saved models.

GOLDEN = make.GOLDEN / tfpvae.__version__
FILES = ["keras_metadata.pb", "saved_model.pb", "variables/variables.index"]
FILES += ["variables/variables.data-00000-of-00001"]


def load_error(path):
    """Checks that no VAE is loaded from a path; returns the message, or "" without an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = tf_keras.models.load_model(path)
        except Exception as error:
            assert str(error), type(error)
            return str(error)
    assert not isinstance(model, tfpvae.VAE)
    return ""


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_keras_file_is_refused(tmp_path, share):
    whole = (GOLDEN / "plain.keras").read_bytes()
    path = tmp_path / "truncated.keras"
    path.write_bytes(whole[: int(share * len(whole))])
    assert "file signature not found" in load_error(path)


@pytest.mark.parametrize("missing", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_keras_file_without_one_of_its_parts_is_refused(keras_file, tmp_path, missing):
    path = tmp_path / "less.keras"
    with zipfile.ZipFile(keras_file) as whole, zipfile.ZipFile(path, "w") as less:
        for name in whole.namelist():
            if name != missing:
                less.writestr(name, whole.read(name))
    if missing == "metadata.json":  # which only says when and with which Keras it was written
        assert isinstance(tf_keras.models.load_model(path), tfpvae.VAE)
    else:
        assert missing in load_error(path)


@pytest.mark.parametrize("at", [0.005, 0.05, 0.3, 0.6, 0.9])
def test_a_keras_file_with_a_changed_byte_is_refused(tmp_path, at):
    whole = bytearray((GOLDEN / "plain.keras").read_bytes())
    whole[int(at * len(whole))] ^= 0x55
    path = tmp_path / "changed.keras"
    path.write_bytes(whole)
    assert load_error(path)


@pytest.fixture(scope="module")
def savedmodel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden") / "model"
    shutil.unpack_archive(GOLDEN / "plain.zip", folder)
    return folder


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", ["missing", "empty", "truncated"])
def test_a_damaged_savedmodel_is_refused(tmp_path, savedmodel, file, how):
    path = tmp_path / "model"
    shutil.copytree(savedmodel, path)
    whole = (path / file).read_bytes()
    if how == "missing":
        (path / file).unlink()
    else:
        (path / file).write_bytes(whole[: 0 if how == "empty" else len(whole) // 2])
    load_error(path)


def test_a_savedmodel_with_a_changed_byte_of_a_weight_is_refused(tmp_path, savedmodel):
    path = tmp_path / "model"
    shutil.copytree(savedmodel, path)
    data = path / FILES[-1]
    changed = bytearray(data.read_bytes())
    changed[len(changed) // 3] ^= 0x55
    data.write_bytes(changed)
    assert "Checksum does not match" in load_error(path)


@pytest.mark.spread(4)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("name", ["a.weights.h5", "b.h5", "prefix"])
def test_truncated_weights_leave_the_model_unchanged(tmp_path, name, share):
    vae = make.build()
    before = vae.get_weights()
    vae.save_weights(tmp_path / name)
    for path in tmp_path.glob(f"{name}*"):
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(Exception) as caught:
        vae.load_weights(tmp_path / name)
    assert str(caught.value)
    for result, expected in zip(vae.get_weights(), before, strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", ["a.weights.h5", "b.h5"])
def test_a_file_that_lacks_one_weight_loads_none(tmp_path, name):
    vae = make.build()
    vae.save_weights(tmp_path / name)
    vae.set_weights([weight + 1 for weight in vae.get_weights()])
    before = [*vae.get_weights(), *(variable.numpy() for variable in vae.optimizer.variables)]
    nodes = []
    with h5py.File(tmp_path / name) as file:
        file.visititems(lambda part, node: nodes.append(part) if hasattr(node, "dtype") else None)
    weights = [part for part in nodes if not part.startswith(("optimizer", "metrics"))]
    assert len(weights) == 8
    for part in weights:
        shutil.copy(tmp_path / name, tmp_path / f"less_{name}")
        with h5py.File(tmp_path / f"less_{name}", "r+") as file:
            del file[part]
        with pytest.raises((ValueError, KeyError)):
            vae.load_weights(tmp_path / f"less_{name}")
        after = [*vae.get_weights(), *(variable.numpy() for variable in vae.optimizer.variables)]
        for one, other in zip(after, before, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=part)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.keras", "a_loop.keras"])
def test_the_error_names_a_model_that_does_not_exist(tmp_path, name):
    (tmp_path / "a_loop.keras").symlink_to(tmp_path / "a_loop.keras")
    assert name in load_error(tmp_path / name)
