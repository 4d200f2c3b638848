"""Files and folders that are replaced whole or not at all, whatever ends the writing of them."""

import contextlib
import ctypes
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import tensorflow as tf

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

# What a save that was killed leaves has this name: no model, but a folder with a part of one in it.
_PREFIX = ".partial-"
_PREVIOUS = "-previous"
_SAVED_MODEL = {"assets", "fingerprint.pb", "keras_metadata.pb", "saved_model.pb", "variables"}
_AT_WORKING_FOLDER, _EXCHANGE = -100, 2  # of Linux' renameat2


@contextlib.contextmanager
def replacing(filepath: str | os.PathLike[str]) -> Iterator[str]:
    """Yields where to write what is to be at a path; it is put there once it is whole.

    What is written lies beside its place, on the same disk, in a folder `.partial-NAME-...` that no
    loader takes for a model. It goes to its place by a rename, after it was synced to the disk: a
    file takes the place of the old one, a folder is exchanged with it (on Linux in one step,
    elsewhere in two). Other files of such a folder are kept. What stands for the old until then is
    the old itself, untouched. A folder that a killed process left is removed by the next save to
    the same path.

    A remote path, and a folder that is a mount, the working folder, or inside of one that cannot be
    written, are written in their place, since there is no renaming them.

    Args:
      filepath: of a file, of a folder, or the prefix of a checkpoint of TensorFlow.

    Raises:
      OSError: if it cannot be written; it says why, and what is still there. Its errno is that of
        the cause.

    >>> folder = tempfile.mkdtemp()
    >>> with replacing(os.path.join(folder, "a.txt")) as path:
    ...     _ = Path(path).write_text("whole")
    ...     os.listdir(folder) == ["a.txt"]
    False
    >>> os.listdir(folder)
    ['a.txt']
    """
    path = os.path.realpath(filepath)  # the file itself, if this is a link
    if _stays_in_place(filepath, path):
        yield os.fspath(filepath)
        return
    folder, name = os.path.split(path)
    was_there = _is_there(path)
    try:
        os.makedirs(folder, exist_ok=True)
        _sweep(folder, name)
        with _partial(folder, name) as partial:
            yield os.path.join(partial, name)
            _sync(partial)
            _put(partial, folder, name)
        _sync_one(folder)
    except NotImplementedError:  # a RuntimeError, of a model that cannot be saved
        raise
    except (OSError, RuntimeError, tf.errors.OpError) as error:  # Python's, h5py's, TensorFlow's
        still = "the one that was there before is whole" if was_there else "nothing is there"
        message = f"filepath: wanted to save to '{path}', got {error}; {still}."
        number = getattr(error, "errno", None)
        raise (OSError(message) if number is None else OSError(number, message)) from error


def reserve(path: str, variables: list[tf.Variable]) -> None:
    """Raises OSError unless the disk has room for variables at a path, where nothing is yet.

    To be asked before HDF5 writes them, which ends the process where it finds none.
    """
    if not hasattr(os, "posix_fallocate"):  # on Windows and macOS
        return
    size = sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)
    with open(path, "wb") as file:  # HDF5 adds some 3 KiB to each
        os.posix_fallocate(file.fileno(), 0, size + 2**14 * (1 + len(variables)))
    os.remove(path)


def may_replace(filepath: str | os.PathLike[str]) -> bool:
    """Returns whether a path is free or the user, who is asked, lets what is there be replaced."""
    answer = "" if _is_there(filepath) else "y"
    while answer not in ("y", "n"):
        answer = input(f"'{os.fspath(filepath)}' is there already. Replace it? [y/n] ").strip()
    return answer == "y"


def _is_there(path: str | os.PathLike[str]) -> bool:
    return os.path.lexists(path) or os.path.lexists(f"{os.fspath(path)}.index")


def _stays_in_place(filepath: str | os.PathLike[str], path: str) -> bool:
    if "://" in os.fspath(filepath):
        return True
    if not os.path.isdir(path):
        return False
    is_held = not os.access(os.path.dirname(path), os.W_OK) and os.access(path, os.W_OK)
    return is_held or os.path.ismount(path) or Path(path) in (Path.cwd(), *Path.cwd().parents)


@contextlib.contextmanager
def _partial(folder: str, name: str) -> Iterator[str]:
    """Yields a new folder, locked as long as this process lives, and removes it."""
    partial = tempfile.mkdtemp(prefix=_prefix(name), dir=folder)
    lock = _lock(partial)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _prefix(name: str) -> str:
    return f"{_PREFIX}{name[:64]}-"  # a name may be as long as a file system takes


def _sweep(folder: str, name: str) -> None:
    """Removes what killed saves to that path left; those under way hold a lock."""
    for left in glob.glob(os.path.join(glob.escape(folder), glob.escape(_prefix(name)) + "*")):
        lock = _lock(left)
        if lock is None:
            continue
        path, previous = os.path.join(folder, name), os.path.join(left, name + _PREVIOUS)
        if os.path.exists(previous) and not os.path.lexists(path):
            os.rename(previous, path)  # killed between two renames
        shutil.rmtree(left, ignore_errors=True)
        os.close(lock)


def _lock(folder: str) -> int | None:
    """Returns a descriptor that holds the lock of a folder; None where it cannot be had."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _sync(folder: str) -> None:
    """Waits until all in a folder is on the disk: a rename may reach it before what it names."""
    for inner, _, names in os.walk(folder):
        for name in names:
            _sync_one(os.path.join(inner, name))
        _sync_one(inner)


def _sync_one(path: str) -> None:
    if fcntl is None:
        return  # Windows syncs nothing that is open for reading
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(partial: str, folder: str, name: str) -> None:
    """Renames what was written into its place."""
    new, path = os.path.join(partial, name), os.path.join(folder, name)
    if not os.path.isdir(new):
        # A checkpoint of TensorFlow is NAME.data-*, then NAME.index, and last `checkpoint`.
        parts = sorted(os.listdir(partial), key=lambda part: (part == "checkpoint", part))
        for part in parts:
            os.replace(os.path.join(partial, part), os.path.join(folder, part))
    elif os.path.lexists(path):
        for other in set(os.listdir(path)) - _SAVED_MODEL - set(os.listdir(new)):
            _link(os.path.join(path, other), os.path.join(new, other))
        _exchange(new, path)
    else:
        os.rename(new, path)


def _link(old: str, new: str) -> None:
    """Gives a file, or all files of a folder, another name."""
    if os.path.isdir(old) and not os.path.islink(old):
        shutil.copytree(old, new, symlinks=True, copy_function=_link_or_copy)
    else:
        _link_or_copy(old, new)


def _link_or_copy(old: str, new: str) -> None:
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:  # a file system without links
        shutil.copy2(old, new, follow_symlinks=False)


def _exchange(new: str, old: str) -> None:
    """Exchanges two folders in one step where the system can, else in two."""
    if _exchanged(new, old):
        return
    os.rename(old, new + _PREVIOUS)
    try:
        os.rename(new, old)
    except OSError:
        os.rename(new + _PREVIOUS, old)
        raise


def _exchanged(one: str, other: str) -> bool:
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)  # the C library's, since 2018
    here, names = _AT_WORKING_FOLDER, (os.fsencode(one), os.fsencode(other))
    return rename is not None and rename(here, names[0], here, names[1], _EXCHANGE) == 0
