"""Saves that fail: the one before stays whole, and what is half written is no model."""

import errno
import functools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tf_keras

import tfpvae
from tests import killed
from tfpvae import atomic

ROOT = Path(__file__).parents[1]
IMAGES = np.random.default_rng(0).uniform(size=(8, *killed.SHAPE)).astype("float32")
# Names as they are given to `save`, and the two more that `save_weights` writes otherwise.
SAVED = {"model.keras": "save", "model": "save"}
WEIGHTS = {"w.weights.h5": "save_weights", "w.h5": "save_weights", "prefix": "save_weights"}


def tree(path):
    """All files of a folder by their paths, or the one of a file; None where there is neither."""
    if not path.exists():
        return None
    if path.is_file():
        return path.read_bytes()
    files = (inner for inner in path.rglob("*") if inner.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".partial-")]


def changed(vae):
    vae.set_weights([weight + 1 for weight in vae.get_weights()])
    return vae


@pytest.fixture
def vae():
    return killed.build()


# Every moment.

_snapshots = None  # what takes one, while a test wants some


def _at_every_event(event, arguments):
    global _snapshots
    if _snapshots and event.startswith(("open", "os.", "shutil.", "tempfile.")):
        take, _snapshots = _snapshots, None  # a snapshot has events of its own
        take()
        _snapshots = take


@functools.cache
def _look_at_every_event():  # once, since a hook stays as long as the process
    sys.addaudithook(_at_every_event)


@pytest.fixture
def snapshots(tmp_path):
    """The states of a folder before each thing that Python does with files: what a kill leaves."""
    global _snapshots
    states = []
    _look_at_every_event()

    @contextmanager
    def watched(*paths):
        global _snapshots
        _snapshots = lambda: states.append([tree(path) for path in paths])  # noqa: E731
        try:
            yield states
        finally:
            _snapshots = None

    yield watched
    _snapshots = None


@pytest.mark.parametrize(("name", "method"), [*SAVED.items(), *list(WEIGHTS.items())[:2]])
def test_at_every_moment_there_is_the_old_one_or_the_new(tmp_path, vae, snapshots, name, method):
    path = tmp_path / name
    getattr(vae, method)(path)
    old = tree(path)
    with snapshots(path) as states:
        getattr(changed(vae), method)(path)
    new = tree(path)
    assert new != old
    assert [state for (state,) in states if state not in (old, new)] == []
    assert len(states) > 5 and states[0] == [old]
    assert os.listdir(tmp_path) == [name]


def test_of_a_checkpoint_of_tensorflow_at_every_moment_but_one(tmp_path, vae, snapshots):
    """Two files have to take the place of two: between them the index fits none."""
    vae.save_weights(tmp_path / "prefix")
    parts = [tmp_path / "prefix.data-00000-of-00001", tmp_path / "prefix.index"]
    old = [tree(part) for part in parts]
    with snapshots(*parts) as states:
        changed(vae).save_weights(tmp_path / "prefix")
    new = [tree(part) for part in parts]
    torn = [state for state in states if state not in (old, new)]
    assert torn == [[new[0], old[1]]]
    parts[1].write_bytes(old[1])
    with pytest.raises(Exception, match="Checksum does not match"):
        vae.load_weights(tmp_path / "prefix").assert_consumed()


@pytest.mark.slow
def test_a_killed_process_leaves_the_old_model_or_the_new(tmp_path, vae):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.killed", tmp_path]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for kind, moment in killed.CASES:
        folder = tmp_path / f"{kind}-{moment}"
        path = folder / killed.NAMES[kind]
        if kind == "weights":
            vae.load_weights(path)
            found = vae
        else:
            found = tf_keras.models.load_model(path)
        old, new = (list(np.load(folder / f"{when}.npz").values()) for when in ("old", "new"))
        same = [all(map(np.array_equal, found.get_weights(), these)) for these in (old, new)]
        assert sum(same) == 1, folder.name
        if moment in ("written", "put"):
            assert same[0] == (moment == "written")
            (left,) = leftovers(folder)
            with pytest.raises(OSError, match=rf"No .*exist.* {folder / left}|.*does not exist at"):
                tf_keras.models.load_model(folder / left)
            with atomic.replacing(path):  # the next save to the same path, of nothing
                assert len(leftovers(folder)) == 1 and left not in leftovers(folder)


# Failures.


@contextmanager
def full_disk(size=20_000):
    """No file can have more than so many bytes, as if the disk were full then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("name", "method"), (SAVED | WEIGHTS).items())
def test_a_full_disk_leaves_the_old_one_and_says_so(tmp_path, vae, name, method):
    getattr(vae, method)(tmp_path / name)
    old = tree(tmp_path)
    full = pytest.raises(OSError, match=f"wanted to save to '.*{name}', got .*before is whole")
    with full, full_disk():
        getattr(changed(vae), method)(tmp_path / name)
    assert tree(tmp_path) == old
    full = pytest.raises(OSError, match="got .*; nothing is there")
    with full, full_disk():
        getattr(vae, method)(tmp_path / f"new_{name}")
    assert tree(tmp_path) == old and sorted(os.listdir(tmp_path)) == sorted(
        {path.split("/")[0] for path in old}
    )


@pytest.mark.parametrize(
    "name", ["best.keras", "best", "best.weights.h5", "best.h5", "{epoch}.keras"]
)
def test_a_checkpoint_of_keras_that_fails_leaves_the_old_one(tmp_path, vae, name):
    checkpoint = tf_keras.callbacks.ModelCheckpoint(
        str(tmp_path / name), save_weights_only=name.endswith("h5")
    )
    vae.fit(IMAGES, verbose=0, callbacks=[checkpoint])
    old = tree(tmp_path)
    assert old and vae.last_saved == str(tmp_path / name.format(epoch=1))
    with pytest.raises(OSError, match="wanted to save to"), full_disk():
        vae.fit(IMAGES, verbose=0, initial_epoch=1, epochs=2, callbacks=[checkpoint])
    assert tree(tmp_path) == old


@pytest.fixture
def others_folder():
    """A folder that all may read, and one user may write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def unprivileged(folder):
    """Who runs this may not write to the folder: root, who may, is another user until the end."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    else:
        folder.chmod(0o555)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        folder.chmod(0o755)


@pytest.mark.parametrize(("name", "method"), (SAVED | WEIGHTS).items())
def test_a_folder_that_cannot_be_written(others_folder, vae, name, method):
    getattr(vae, method)(others_folder / name)
    old = tree(others_folder)
    denied = pytest.raises(PermissionError, match=f"to '.*{name}', got .*denied.*is whole")
    with denied, unprivileged(others_folder):
        getattr(changed(vae), method)(others_folder / name)
    assert tree(others_folder) == old


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path, vae):
    (tmp_path / "a.keras").mkdir()
    with pytest.raises(IsADirectoryError, match=r"to '.*a\.keras', got .*s a directory"):
        vae.save(tmp_path / "a.keras")
    (tmp_path / "model").write_text("a file")
    with pytest.raises(NotADirectoryError, match="to '.*model', got .*ot a directory"):
        vae.save(tmp_path / "model")
    assert tree(tmp_path) == {"model": b"a file"}


@pytest.mark.parametrize(("name", "method"), (SAVED | WEIGHTS).items())
def test_weights_that_are_no_numbers_are_not_saved(tmp_path, vae, name, method):
    getattr(vae, method)(tmp_path / name)
    old, last = tree(tmp_path), vae.last_saved
    vae.weights[2].assign(vae.weights[2] * np.nan)
    with pytest.raises(ValueError, match="weights: wanted finite numbers to save, got weight 'po"):
        getattr(vae, method)(tmp_path / name)
    assert tree(tmp_path) == old and vae.last_saved == last


def test_a_whole_model_as_h5_is_refused_by_keras(tmp_path, vae):
    (tmp_path / "a.h5").write_text("before")
    with (
        pytest.warns(UserWarning, match="HDF5"),
        pytest.raises(NotImplementedError, match="HDF5 format requires"),
    ):
        vae.save(tmp_path / "a.h5")
    assert tree(tmp_path) == {"a.h5": b"before"}


# Places.


def test_overwrite_asks(tmp_path, vae, monkeypatch):
    path, asked = tmp_path / "a.weights.h5", []
    answers = iter(["what?", "n", "y"])
    monkeypatch.setattr("builtins.input", lambda text: (asked.append(text), next(answers))[1])
    vae.save_weights(path, overwrite=False)
    assert asked == []
    old = tree(path)
    changed(vae).save_weights(path, overwrite=False)
    assert len(asked) == 2 and tree(path) == old
    vae.save_weights(path, overwrite=False)
    assert len(asked) == 3 and tree(path) != old


def write(folder, **files):
    Path(folder).mkdir()
    for name, text in files.items():
        Path(folder, name).write_text(text)


def write_model(folder, text):
    write(folder, **{"saved_model.pb": text, "keras_metadata.pb": text})


@pytest.mark.parametrize("at_once", [True, False])
def test_other_files_of_a_folder_are_kept(tmp_path, monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr(atomic, "_exchanged", lambda *paths: False)
    write_model(tmp_path / "model", "old")
    write(tmp_path / "model" / "notes", a="mine")
    (tmp_path / "model" / "assets").mkdir()
    (tmp_path / "model" / "link").symlink_to("notes")
    with atomic.replacing(tmp_path / "model") as path:
        write_model(path, "new")
    assert tree(tmp_path / "model") == {
        "saved_model.pb": b"new",
        "keras_metadata.pb": b"new",
        "notes/a": b"mine",
    }
    assert os.readlink(tmp_path / "model" / "link") == "notes"
    assert os.listdir(tmp_path) == ["model"]


def test_linux_exchanges_two_folders_in_one_step(tmp_path):
    write(tmp_path / "a", x="a")
    write(tmp_path / "b", x="b")
    assert atomic._exchanged(str(tmp_path / "a"), str(tmp_path / "b")) == (sys.platform == "linux")
    assert not atomic._exchanged(str(tmp_path / "a"), str(tmp_path / "nowhere"))
    assert (tmp_path / "a" / "x").read_text() == "b"


def test_where_it_takes_two_steps_the_old_one_is_put_back(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchanged", lambda *paths: False)
    write_model(tmp_path / "model", "old")
    rename = os.rename

    def fails(old, new):
        if new == str(tmp_path / "model") and "-previous" not in old:
            raise OSError(errno.EIO, "no luck")
        rename(old, new)

    monkeypatch.setattr(os, "rename", fails)
    with (
        pytest.raises(OSError, match="no luck") as caught,
        atomic.replacing(tmp_path / "model") as path,
    ):
        write_model(path, "new")
    assert caught.value.errno == errno.EIO
    assert tree(tmp_path) == {"model/saved_model.pb": b"old", "model/keras_metadata.pb": b"old"}


def test_killed_between_the_two_steps_the_next_save_finds_the_old_one(tmp_path):
    left = tmp_path / ".partial-model-xyz"
    left.mkdir()
    write_model(left / "model-previous", "old")
    with pytest.raises(OSError, match="nothing is there"), atomic.replacing(tmp_path / "model"):
        assert tree(tmp_path / "model") == {"saved_model.pb": b"old", "keras_metadata.pb": b"old"}
        raise OSError
    assert os.listdir(tmp_path) == ["model"]


def test_what_is_under_way_and_what_is_of_another_name_is_left(tmp_path):
    (tmp_path / ".partial-model.keras-of_a_killed_one").mkdir()
    (tmp_path / ".partial-other.keras-of_another_name").mkdir()
    with atomic.replacing(tmp_path / "model.keras") as outer:
        Path(outer).write_text("outer")
        with atomic.replacing(tmp_path / "model.keras") as inner:
            Path(inner).write_text("inner")
        assert (tmp_path / "model.keras").read_text() == "inner"
    assert tree(tmp_path) == {"model.keras": b"outer"}
    assert sorted(os.listdir(tmp_path)) == [".partial-other.keras-of_another_name", "model.keras"]


@pytest.mark.parametrize("name", ["x" * 250, "a b[1]*?", "ä.keras", "-", "..."])
def test_odd_names(tmp_path, name):
    for text in ("old", "new"):
        with atomic.replacing(tmp_path / name) as path:
            Path(path).write_text(text)
    assert tree(tmp_path) == {name: b"new"}


def test_through_a_link_and_in_a_folder_that_is_not_there_yet(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a.txt")
    with atomic.replacing(tmp_path / "link") as path:
        Path(path).write_text("text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "a.txt").read_text() == "text"


def test_the_working_folder_and_remote_places_are_written_in_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (".", "gs://bucket/model"):
        with atomic.replacing(place) as path:
            assert path == place


def test_an_error_of_another_kind_passes(tmp_path):
    with pytest.raises(KeyError), atomic.replacing(tmp_path / "a") as path:
        Path(path).write_text("half")
        raise KeyError
    assert os.listdir(tmp_path) == []
    assert isinstance(tfpvae.VAE.last_saved, type(None))
