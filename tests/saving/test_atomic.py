"""A save that fails keeps the old model, and a partial one is never loaded."""

import errno
import functools
import os
import resource
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tf_keras

import tfpvae
from tests import killed
from tests.processes import run_module
from tfpvae.saving import atomic

IMAGES = np.random.default_rng(0).uniform(size=(8, *killed.SHAPE)).astype("float32")
# File names, and the methods that write them.
MODELS = {"model.keras": "save", "model": "save"}
WEIGHTS = {"w.weights.h5": "save_weights", "w.h5": "save_weights", "prefix": "save_weights"}


def tree(path):
    """Returns the content of each file in a folder, or of one file; None if there is neither."""
    if not path.exists():
        return None
    if path.is_file():
        return path.read_bytes()
    files = (inner for inner in path.rglob("*") if inner.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".partial-")]


def changed(vae):
    """Changes the weights of a VAE, and returns it."""
    vae.set_weights([weight + 1 for weight in vae.get_weights()])
    return vae


@pytest.fixture
def vae():
    return killed.build()


# Every moment of a save.

_take_snapshot = None  # a function, during a test that takes snapshots


def _on_event(event, arguments):
    global _take_snapshot
    if _take_snapshot and event.startswith(("open", "os.", "shutil.", "tempfile.")):
        take, _take_snapshot = _take_snapshot, None  # a snapshot causes events itself
        take()
        _take_snapshot = take


@functools.cache
def _add_hook():  # once, since Python cannot remove a hook
    sys.addaudithook(_on_event)


@contextmanager
def snapshots(*paths):
    """Yields a list that gets the state of the paths before each file operation of Python.

    These are the states that a killed process can leave behind.
    """
    global _take_snapshot
    _add_hook()
    states = []
    _take_snapshot = lambda: states.append([tree(path) for path in paths])  # noqa: E731
    try:
        yield states
    finally:
        _take_snapshot = None


@pytest.mark.spread(2)
@pytest.mark.parametrize(("name", "method"), [*MODELS.items(), *list(WEIGHTS.items())[:2]])
def test_at_every_moment_either_the_old_or_the_new_model_is_there(tmp_path, vae, name, method):
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


def test_a_tensorflow_checkpoint_is_whole_at_all_but_one_moment(tmp_path, vae):
    """Between the replacement of its two files."""
    vae.save_weights(tmp_path / "prefix")
    parts = [tmp_path / "prefix.data-00000-of-00001", tmp_path / "prefix.index"]
    old = [tree(part) for part in parts]
    with snapshots(*parts) as states:
        changed(vae).save_weights(tmp_path / "prefix")
    new = [tree(part) for part in parts]
    mixed = [state for state in states if state not in (old, new)]
    assert mixed == [[new[0], old[1]]]
    parts[1].write_bytes(old[1])
    with pytest.raises(Exception, match="Checksum does not match"):
        vae.load_weights(tmp_path / "prefix").assert_consumed()


@pytest.mark.slow
def test_a_killed_process_leaves_the_old_model_or_the_new(tmp_path, vae):
    run_module("tests.killed", tmp_path)
    for kind, moment in killed.CASES:
        folder = tmp_path / f"{kind}-{moment}"
        path = folder / killed.NAMES[kind]
        if kind == "weights":
            vae.load_weights(path)
            loaded = vae
        else:
            loaded = tf_keras.models.load_model(path)
        old, new = (list(np.load(folder / f"{when}.npz").values()) for when in ("old", "new"))
        same = [all(map(np.array_equal, loaded.get_weights(), weights)) for weights in (old, new)]
        assert sum(same) == 1, folder.name
        if moment in ("written", "moved"):
            assert same[0] == (moment == "written")
            (leftover,) = leftovers(folder)
            message = rf"No .*exist.* {folder / leftover}|.*does not exist at"
            with pytest.raises(OSError, match=message):
                tf_keras.models.load_model(folder / leftover)
            with atomic.replacing(path):  # a save to the same path that writes nothing
                assert len(leftovers(folder)) == 1 and leftover not in leftovers(folder)
            assert leftovers(folder) == []


# Failures.


@contextmanager
def full_disk(size=20_000):
    """Limits the size of each file, in bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.spread(2)
@pytest.mark.parametrize(("name", "method"), (MODELS | WEIGHTS).items())
def test_a_full_disk_leaves_the_old_model(tmp_path, vae, name, method):
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


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    "name", ["best.keras", "best", "best.weights.h5", "best.h5", "{epoch}.keras"]
)
def test_a_model_checkpoint_that_fails_leaves_the_old_model(tmp_path, vae, name):
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
def public_folder():
    """Returns a folder that every user can read and only one can write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def unprivileged(folder):
    """Removes the permission to write to a folder; as root, by becoming another user."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    if os.geteuid() == 0:
        os.seteuid(65534)
    else:
        for inner in folders:
            inner.chmod(0o555)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        for inner in folders:
            inner.chmod(0o755)


@pytest.mark.parametrize(("name", "method"), (MODELS | WEIGHTS).items())
def test_a_folder_without_write_permission_keeps_the_old_model(public_folder, vae, name, method):
    getattr(vae, method)(public_folder / name)
    old = tree(public_folder)
    denied = pytest.raises(PermissionError, match=f"to '.*{name}', got .*denied.*is whole")
    with denied, unprivileged(public_folder):
        getattr(changed(vae), method)(public_folder / name)
    assert tree(public_folder) == old


def test_a_file_does_not_replace_a_folder_nor_a_folder_a_file(tmp_path, vae):
    (tmp_path / "a.keras").mkdir()
    with pytest.raises(IsADirectoryError, match=r"to '.*a\.keras', got .*s a directory"):
        vae.save(tmp_path / "a.keras")
    (tmp_path / "model").write_text("a file")
    with pytest.raises(NotADirectoryError, match="to '.*model', got .*ot a directory"):
        vae.save(tmp_path / "model")
    assert tree(tmp_path) == {"model": b"a file"}


@pytest.mark.parametrize(("name", "method"), (MODELS | WEIGHTS).items())
def test_weights_that_are_not_finite_are_not_saved(tmp_path, vae, name, method):
    getattr(vae, method)(tmp_path / name)
    old, last_saved = tree(tmp_path), vae.last_saved
    vae.weights[2].assign(vae.weights[2] * np.nan)
    with pytest.raises(ValueError, match="weights: wanted finite numbers to save, got weight 'po"):
        getattr(vae, method)(tmp_path / name)
    assert tree(tmp_path) == old and vae.last_saved == last_saved


def test_keras_refuses_to_save_a_model_as_h5(tmp_path, vae):
    (tmp_path / "a.h5").write_text("before")
    with (
        pytest.warns(UserWarning, match="HDF5"),
        pytest.raises(NotImplementedError, match="HDF5 format requires"),
    ):
        vae.save(tmp_path / "a.h5")
    assert tree(tmp_path) == {"a.h5": b"before"}


# Paths.


def test_without_overwrite_keras_asks(tmp_path, vae, monkeypatch):
    path, questions = tmp_path / "a.weights.h5", []
    replies = iter(["what?", "n", "y"])
    monkeypatch.setattr("builtins.input", lambda text: (questions.append(text), next(replies))[1])
    vae.save_weights(path, overwrite=False)
    assert questions == []
    old = tree(path)
    changed(vae).save_weights(path, overwrite=False)
    assert len(questions) == 2 and tree(path) == old
    vae.save_weights(path, overwrite=False)
    assert len(questions) == 3 and tree(path) != old


def write(folder, **files):
    Path(folder).mkdir()
    for name, text in files.items():
        Path(folder, name).write_text(text)


def write_model(folder, text):
    write(folder, **{"saved_model.pb": text, "keras_metadata.pb": text})


@pytest.fixture(params=["one step", "two steps"])
def steps(request, monkeypatch):
    """Exchanges folders in one step, or in two, as on systems that cannot."""
    if request.param == "two steps":
        monkeypatch.setattr(atomic, "_exchange", lambda *paths: False)


def test_other_files_of_a_folder_are_kept(tmp_path, steps):
    write_model(tmp_path / "model", "old")
    write(tmp_path / "model" / "notes", a="mine")
    (tmp_path / "model" / "assets").mkdir()
    (tmp_path / "model" / "link").symlink_to("notes")
    os.utime(tmp_path / "model", (0, 0))
    with atomic.replacing(tmp_path / "model") as path:
        write_model(path, "new")
    assert tree(tmp_path / "model") == {
        "saved_model.pb": b"new",
        "keras_metadata.pb": b"new",
        "notes/a": b"mine",
    }
    assert os.readlink(tmp_path / "model" / "link") == "notes"
    assert (tmp_path / "model").stat().st_mtime > 0
    assert os.listdir(tmp_path) == ["model"]


def test_an_open_log_in_the_folder_can_be_written_while_a_model_is_saved(tmp_path, steps):
    write_model(tmp_path / "model", "old")
    with open(tmp_path / "model" / "log.csv", "w") as log:
        log.write("before, ")
        with atomic.replacing(tmp_path / "model") as path:
            write_model(path, "new")
        log.write("after")
    assert (tmp_path / "model" / "log.csv").read_text() == "before, after"


def test_other_files_are_copied_where_there_are_no_links(tmp_path, monkeypatch):
    def link(*paths):
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    write(tmp_path / "model", notes="mine")
    with atomic.replacing(tmp_path / "model") as path:
        write_model(path, "new")
    assert (tmp_path / "model" / "notes").read_text() == "mine"


def test_linux_exchanges_two_folders_in_one_step(tmp_path):
    write(tmp_path / "a", x="a")
    write(tmp_path / "b", x="b")
    assert atomic._exchange(str(tmp_path / "a"), str(tmp_path / "b")) == (sys.platform == "linux")
    assert not atomic._exchange(str(tmp_path / "a"), str(tmp_path / "nowhere"))
    assert (tmp_path / "a" / "x").read_text() == "b"


def test_if_the_second_of_two_steps_fails_the_old_model_is_restored(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchange", lambda *paths: False)
    write_model(tmp_path / "model", "old")
    rename = os.rename

    def failing_rename(old, new):
        if new == str(tmp_path / "model") and "-previous" not in old:
            raise OSError(errno.EIO, "disk error")
        rename(old, new)

    monkeypatch.setattr(os, "rename", failing_rename)
    with (
        pytest.raises(OSError, match="disk error.*before is whole") as caught,
        atomic.replacing(tmp_path / "model") as path,
    ):
        write_model(path, "new")
    assert caught.value.errno == errno.EIO
    assert tree(tmp_path) == {"model/saved_model.pb": b"old", "model/keras_metadata.pb": b"old"}


@contextmanager
def killed_process(monkeypatch):
    """Ends a save as if the process were killed: its partial folder stays."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(atomic, "_remove", lambda *paths: None)
        yield patch


def test_after_a_kill_between_two_steps_the_next_save_restores_the_old_model(tmp_path, monkeypatch):
    write_model(tmp_path / "model", "old")
    rename = os.rename

    def killed_rename(old, new):
        if new == str(tmp_path / "model"):
            raise KeyboardInterrupt
        rename(old, new)

    with killed_process(monkeypatch) as patch:
        patch.setattr(atomic, "_exchange", lambda *paths: False)
        patch.setattr(os, "rename", killed_rename)
        with atomic.replacing(tmp_path / "model") as path:
            write_model(path, "new")
    assert not (tmp_path / "model").exists()
    with pytest.raises(OSError, match="before is whole"), atomic.replacing(tmp_path / "model"):
        assert tree(tmp_path / "model") == {"saved_model.pb": b"old", "keras_metadata.pb": b"old"}
        raise OSError
    assert os.listdir(tmp_path) == ["model"]


def test_a_save_removes_the_leftovers_of_its_own_path_only(tmp_path, monkeypatch):
    names = ["model.keras", "model", "model-b", "x" * 100 + "1", "x" * 100 + "2"]
    partial = {}
    for name in names:
        with killed_process(monkeypatch), atomic.replacing(tmp_path / name) as path:
            partial[name] = Path(path).parent.name
            raise KeyboardInterrupt
    for name in names:
        assert sorted(leftovers(tmp_path)) == sorted(partial.values())
        with atomic.replacing(tmp_path / name) as path:
            Path(path).write_text("saved")
        del partial[name]
    assert sorted(os.listdir(tmp_path)) == sorted(names)


@pytest.mark.parametrize("is_recreated", [False, True])
@pytest.mark.parametrize("is_folder", [False, True])
def test_of_two_concurrent_saves_the_later_one_wins_and_the_earlier_one_fails(
    tmp_path, is_folder, is_recreated
):
    save = write_model if is_folder else lambda path, text: Path(path).write_text(text)
    with (
        pytest.raises(FileNotFoundError, match="before is whole"),
        atomic.replacing(tmp_path / "model") as earlier,
    ):
        save(earlier, "earlier")
        with atomic.replacing(tmp_path / "model") as later:
            save(later, "later")
        if is_recreated:  # TensorFlow recreates a missing folder and writes the rest to it
            Path(earlier).parent.mkdir()
            save(earlier, "partial")
    files = {"saved_model.pb": b"later", "keras_metadata.pb": b"later"}
    assert tree(tmp_path / "model") == (files if is_folder else b"later")
    assert os.listdir(tmp_path) == ["model"]


def test_a_save_cannot_finish_while_another_one_removes_its_folder(tmp_path, monkeypatch):
    earlier = atomic.replacing(tmp_path / "model")
    write_model(earlier.__enter__(), "earlier")

    def remove(folder):
        Path(folder, "model", "saved_model.pb").unlink()
        monkeypatch.undo()
        with pytest.raises(FileNotFoundError, match="nothing is there"):
            earlier.__exit__(None, None, None)
        shutil.rmtree(folder)

    monkeypatch.setattr(shutil, "rmtree", remove)
    with atomic.replacing(tmp_path / "model") as later:
        write_model(later, "later")
    assert tree(tmp_path) == {"model/saved_model.pb": b"later", "model/keras_metadata.pb": b"later"}
    assert os.listdir(tmp_path) == ["model"]


def test_files_are_on_the_disk_before_they_are_renamed(tmp_path, monkeypatch):
    synced, move = set(), atomic._move
    monkeypatch.setattr(os, "fsync", lambda file: synced.add(os.fstat(file).st_ino))

    def check_and_move(partial, path):
        inner = [Path(partial), *Path(partial).rglob("*")]
        assert len(inner) > 3 and {item.stat().st_ino for item in inner} <= synced
        move(partial, path)

    monkeypatch.setattr(atomic, "_move", check_and_move)
    with atomic.replacing(tmp_path / "model") as path:
        write_model(path, "new")
    assert tmp_path.stat().st_ino in synced


@pytest.mark.parametrize("name", ["x" * 250, "a b[1]*?", "ä.keras", "-", "..."])
def test_odd_names_are_saved(tmp_path, name):
    for text in ("old", "new"):
        with atomic.replacing(tmp_path / name) as path:
            Path(path).write_text(text)
    assert tree(tmp_path) == {name: b"new"}


def test_saving_to_a_link_creates_the_folder_of_its_target(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a.txt")
    with atomic.replacing(tmp_path / "link") as path:
        Path(path).write_text("text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "a.txt").read_text() == "text"


def test_the_working_folder_and_remote_paths_are_written_in_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (".", "..", "gs://bucket/model"):
        with atomic.replacing(name) as path:
            assert path == name


def test_a_file_system_of_tensorflow_is_written(vae):
    """The one in memory: like those of clouds, Python cannot access it."""
    old = vae.get_weights()
    vae.save_weights("ram://folder/weights")
    changed(vae).save("ram://folder/model")
    loaded = tf_keras.models.load_model("ram://folder/model")
    assert all(map(np.array_equal, loaded.get_weights(), vae.get_weights()))
    vae.load_weights("ram://folder/weights")
    assert all(map(np.array_equal, vae.get_weights(), old))


def test_errors_of_other_kinds_are_passed_on(tmp_path):
    with pytest.raises(KeyError), atomic.replacing(tmp_path / "a") as path:
        Path(path).write_text("half")
        raise KeyError
    assert os.listdir(tmp_path) == []
    assert isinstance(tfpvae.VAE.last_saved, type(None))
