"""What no other test of files has: links, pipes, rights, names, archives, torn models.

Broken pictures are in `tests/datasets/test_pictures.py`; IDX and NPZ files, their sizes, magic,
counts, gzips and bombs in `test_idx.py` and `test_npz.py` beside it; downloads that break off in
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
SECONDS = 20  # within which each answers


@pytest.fixture(autouse=True)
def in_time():
    """Ends the process where something waits for ever."""
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
    """A model as this version of Keras writes it: an older one does not read the golden ones."""
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
    os.chdir(folder)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("b.png")
    finally:
        os.chdir(before)


def device(folder):
    (folder / "b.png").symlink_to("/dev/zero")


@pytest.mark.parametrize("spoil", [loop, dangling, pipe, unix_socket, device])
def test_what_is_no_picture_but_looks_like_one(tmp_path, spoil):
    picture(tmp_path / "a.png")
    spoil(tmp_path)
    with pytest.raises(ValueError, match=r"files: wanted pictures, got '.*b\.png', broken"):
        load(tmp_path)
    batches = datasets.stream_pictures(tmp_path, image_shape=SHAPE, batch_size=4)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"got '.*b\.png', broken"):
        list(batches)
    with pytest.warns(UserWarning, match=r"b\.png"):
        kept = datasets.load_pictures(tmp_path, image_shape=SHAPE, on_error="skip")
    assert [Path(path).name for path in kept.paths] == ["a.png"]


def test_a_folder_that_is_a_loop(tmp_path):
    (tmp_path / "x").symlink_to(tmp_path / "y")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match=r"folder: wanted a folder .* not found"):
        load(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match=r"source: wanted .* got no such folder"):
        datasets.load_mnist(source=tmp_path / "x")


@contextlib.contextmanager
def another_user():
    """Root reads everything: this is somebody else until the end."""
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


def test_a_file_and_a_folder_that_may_not_be_read(open_folder):
    npz = open_folder / "mnist.npz"
    picture(open_folder / "a.png").chmod(0)
    np.savez(npz, x=np.zeros(1))
    npz.chmod(0)
    for attempt in (load, tf_keras.models.load_model):  # imports what the other user may not
        with contextlib.suppress(Exception):
            attempt(npz)
    with another_user():
        with pytest.raises(ValueError, match=r"got '.*a\.png', broken \(PermissionError"):
            load(open_folder)
        with pytest.raises(PermissionError, match=r"mnist\.npz"):
            datasets.load_mnist(source=npz)
        # h5py reads on with the error still set: Python 3.13 makes a SystemError of that, and 3.12,
        # now and then, an AttributeError, which say no more.
        unsaid = (SystemError, AttributeError)
        with pytest.raises((tf.errors.PermissionDeniedError, *unsaid)) as raised:
            tf_keras.models.load_model(npz)
        assert isinstance(raised.value, unsaid) or "mnist.npz" in str(raised.value)
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


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"\xff\xfe.png"), "x" * 251 + ".png"])
def test_odd_names(tmp_path, name):
    picture(tmp_path / name)
    found = load(tmp_path)
    assert found.images.shape == (1, *SHAPE) and Path(found.paths[0]).name == name
    batches = datasets.stream_pictures(tmp_path, image_shape=SHAPE, batch_size=1)
    np.testing.assert_array_equal(next(iter(batches)), found.images)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match="files: wanted pictures, got '"):
        load(tmp_path)


# Archives.


def test_an_npz_whose_paths_climb_out(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    with zipfile.ZipFile(inside / "mnist.npz", "w") as archive:
        archive.writestr("../x_train.npy", b"spoilt")
        archive.writestr("/elsewhere/../x_train.npy", b"spoilt")
    with pytest.raises(ValueError, match=r"wanted the array x_train in .*, got \.\./x_train"):
        datasets.load_mnist(source=inside / "mnist.npz")
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "mnist.npz"]


def test_a_keras_file_whose_paths_climb_out(keras_file, tmp_path, monkeypatch):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(inside))
    path = inside / "model.keras"
    shutil.copy(keras_file, path)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("assets/../../../spoilt", "../../spoilt", f"{tmp_path}/spoilt"):
            archive.writestr(name, b"spoilt")
    assert isinstance(tf_keras.models.load_model(path), tfpvae.VAE)
    assert not [path for path in (*tmp_path.iterdir(), *inside.parent.iterdir())
                if path.name == "spoilt"]  # fmt: skip


# A server that says nothing.


@pytest.mark.parametrize("said", [b"", b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_server_that_stalls(tmp_path, monkeypatch, said):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloading, "_SILENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/file"
        held = []

        def serve():
            with contextlib.suppress(OSError):  # closed
                connection, _ = server.accept()
                connection.recv(1000)
                connection.sendall(said)
                held.append(connection)  # and no more, for ever

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ConnectionError, match=f"^{url} was not downloaded: .*timed out"):
            downloading.download(url, "0" * 32, str(tmp_path / "file"))
        thread.join()
        held[0].close()
    assert os.listdir(tmp_path) == []
    assert socket.getdefaulttimeout() is None


# Saved models that are torn.

GOLDEN = make.GOLDEN / tfpvae.__version__
FILES = ["keras_metadata.pb", "saved_model.pb", "variables/variables.index"]
FILES += ["variables/variables.data-00000-of-00001"]


def refused(path):
    """What is loaded of a path is no VAE: an error says so, or it is something else altogether."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = tf_keras.models.load_model(path)
        except Exception as error:
            assert str(error), type(error)
            return str(error)
    assert not isinstance(found, tfpvae.VAE)
    return ""


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_keras_file_that_is_cut(tmp_path, share):
    whole = (GOLDEN / "plain.keras").read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(whole[: int(share * len(whole))])
    assert "file signature not found" in refused(path)


@pytest.mark.parametrize("missing", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_keras_file_without_a_part(keras_file, tmp_path, missing):
    path = tmp_path / "less.keras"
    with zipfile.ZipFile(keras_file) as whole, zipfile.ZipFile(path, "w") as less:
        for name in whole.namelist():
            if name != missing:
                less.writestr(name, whole.read(name))
    if missing == "metadata.json":  # which only says when and by whom it was written
        assert isinstance(tf_keras.models.load_model(path), tfpvae.VAE)
    else:
        assert missing in refused(path)


@pytest.mark.parametrize("at", [0.005, 0.05, 0.3, 0.6, 0.9])
def test_a_keras_file_with_a_byte_changed(tmp_path, at):
    whole = bytearray((GOLDEN / "plain.keras").read_bytes())
    whole[int(at * len(whole))] ^= 0x55
    path = tmp_path / "changed.keras"
    path.write_bytes(whole)
    assert refused(path)


@pytest.fixture(scope="module")
def savedmodel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden") / "model"
    shutil.unpack_archive(GOLDEN / "plain.zip", folder)
    return folder


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", ["missing", "empty", "cut"])
def test_a_savedmodel_that_is_torn(tmp_path, savedmodel, file, how):
    path = tmp_path / "model"
    shutil.copytree(savedmodel, path)
    whole = (path / file).read_bytes()
    if how == "missing":
        (path / file).unlink()
    else:
        (path / file).write_bytes(whole[: 0 if how == "empty" else len(whole) // 2])
    refused(path)


def test_a_savedmodel_with_a_byte_of_a_weight_changed(tmp_path, savedmodel):
    path = tmp_path / "model"
    shutil.copytree(savedmodel, path)
    data = path / FILES[-1]
    changed = bytearray(data.read_bytes())
    changed[len(changed) // 3] ^= 0x55
    data.write_bytes(changed)
    assert "Checksum does not match" in refused(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("name", ["a.weights.h5", "b.h5", "prefix"])
def test_weights_that_are_cut(tmp_path, name, share):
    vae = make.build()
    before = vae.get_weights()
    vae.save_weights(tmp_path / name)
    for path in tmp_path.glob(f"{name}*"):
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(Exception) as caught:
        vae.load_weights(tmp_path / name)
    assert str(caught.value)
    for found, wanted in zip(vae.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["a.weights.h5", "b.h5"])
def test_of_weights_that_lack_one_none_is_loaded(tmp_path, name):
    vae = make.build()
    vae.save_weights(tmp_path / name)
    vae.set_weights([weight + 1 for weight in vae.get_weights()])
    before = [*vae.get_weights(), *(variable.numpy() for variable in vae.optimizer.variables)]
    found = []
    with h5py.File(tmp_path / name) as file:
        file.visititems(lambda part, node: found.append(part) if hasattr(node, "dtype") else None)
    weights = [part for part in found if not part.startswith(("optimizer", "metrics"))]
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
def test_a_model_that_is_not_there(tmp_path, name):
    (tmp_path / "a_loop.keras").symlink_to(tmp_path / "a_loop.keras")
    assert name in refused(tmp_path / name)
