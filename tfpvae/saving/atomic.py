"""Files and folders that are replaced as a whole or not at all."""

import contextlib
import ctypes
import glob
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import tensorflow as tf
from tf_keras.src.utils import io_utils

_SAVED_MODEL = {"assets", "fingerprint.pb", "keras_metadata.pb", "saved_model.pb", "variables"}
_IN_USE = ".in-use"  # a folder that another save removed lacks it, should TensorFlow recreate it


@contextlib.contextmanager
def replacing(filepath: str | os.PathLike[str]) -> Iterator[str]:
    """Yields a path to write to, and moves the result to `filepath` once it is complete.

    The result is written in a folder `.partial-NAME-...` beside `filepath`, which no loader takes
    for a model, and synced to the disk. A file then replaces the old file. A folder changes places
    with the old folder, in one step where Linux and the file system can, else in two; other files
    of the old folder are kept. The next save to the same path removes what a killed save has left,
    and makes a save fail that is still under way.

    A remote path is written in place, as is a folder that cannot be renamed: a mount, the working
    folder or a parent of it, or a folder in one that is read-only.

    Args:
      filepath: a file, a folder, or the prefix of a TensorFlow checkpoint.

    Raises:
      OSError: if the result cannot be written. The errno is that of the cause.

    >>> folder = tempfile.mkdtemp()
    >>> with replacing(os.path.join(folder, "a.txt")) as path:
    ...     _ = Path(path).write_text("complete")
    ...     os.listdir(folder) == ["a.txt"]
    False
    >>> os.listdir(folder)
    ['a.txt']
    """
    path = os.path.realpath(filepath)  # the target of a link, which stays a link
    if _is_remote(filepath) or _cannot_be_renamed(path):
        yield os.fspath(filepath)
        return
    folder, name = os.path.split(path)
    # The name is cut, as it may be as long as the file system allows; the checksum tells it apart.
    prefix = f".partial-{name[:32]}-{zlib.crc32(os.fsencode(name)):08x}-"
    try:
        os.makedirs(folder, exist_ok=True)
        for leftover in glob.glob(os.path.join(glob.escape(folder), glob.escape(prefix) + "*")):
            _remove(leftover, path)
        partial = tempfile.mkdtemp(prefix=prefix, dir=folder)
        try:
            Path(partial, _IN_USE).touch()
            yield os.path.join(partial, name)
            _sync([*Path(partial).rglob("*"), partial])
            _move(partial, path)
        finally:
            _remove(partial, path)
        _sync([folder])
    except NotImplementedError:  # a RuntimeError, of a model that cannot be saved
        raise
    except (OSError, RuntimeError, tf.errors.OpError) as error:  # Python's, h5py's, TensorFlow's
        state = "the one that was there before is whole" if _exists(path) else "nothing is there"
        message = f"filepath: wanted to save to '{path}', got {error}; {state}."
        number = getattr(error, "errno", None)
        raise (OSError(message) if number is None else OSError(number, message)) from error


def reserve(path: str, variables: list[tf.Variable]) -> None:
    """Checks that the disk has room for variables, since HDF5 ends the process if it has not.

    Windows, macOS and remote file systems cannot tell; nothing is checked there.

    Args:
      path: a path that is free.
      variables: the variables that are to be written there.

    Raises:
      OSError: if there is too little room.

    >>> reserve(os.path.join(tempfile.mkdtemp(), "a.h5"), [tf.Variable(1.0)])
    """
    if _is_remote(path) or not hasattr(os, "posix_fallocate"):
        return
    size = sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)
    with open(path, "wb") as file:  # HDF5 adds about 3 KiB to each variable
        os.posix_fallocate(file.fileno(), 0, size + 2**14 * (1 + len(variables)))
    os.remove(path)


def may_replace(filepath: str | os.PathLike[str]) -> bool:
    """Returns whether a path is free, or else whether the user allows Keras to overwrite it.

    >>> may_replace("no_such_model.keras")
    True
    """
    return not _exists(filepath) or io_utils.ask_to_proceed_with_overwrite(os.fspath(filepath))


def _exists(path: str | os.PathLike[str]) -> bool:
    return os.path.lexists(path) or os.path.lexists(f"{os.fspath(path)}.index")


def _is_remote(path: str | os.PathLike[str]) -> bool:
    return "://" in os.fspath(path)


def _cannot_be_renamed(path: str) -> bool:
    if not os.path.isdir(path):
        return False
    is_fixed = not os.access(os.path.dirname(path), os.W_OK) and os.access(path, os.W_OK)
    return is_fixed or os.path.ismount(path) or Path.cwd().is_relative_to(path)


def _remove(partial: str, path: str) -> None:
    """Removes a partial folder, after moving an old model in it back to a path that is free."""
    previous = os.path.join(partial, os.path.basename(path) + "-previous")
    with contextlib.suppress(OSError):  # another save removes it too
        if os.path.isdir(previous) and not os.path.lexists(path):
            os.rename(previous, path)  # killed between the two renames of `_move`
        # If another process still writes there, the rename makes it fail before anything is lost.
        os.rename(partial, f"{partial}-removed")
        shutil.rmtree(f"{partial}-removed")


def _sync(paths: Iterable[str | Path]) -> None:
    """Waits until files and folders are on the disk: a rename may arrive before its content."""
    for path in paths if os.name == "posix" else ():  # Windows cannot sync what is open to read
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _move(partial: str, path: str) -> None:
    os.remove(os.path.join(partial, _IN_USE))  # fails if another save has removed the folder
    folder, name = os.path.split(path)
    new = os.path.join(partial, name)
    if not os.path.isdir(new):
        # A checkpoint is written in this order: NAME.data-*, NAME.index, `checkpoint`.
        for part in sorted(os.listdir(partial), key=lambda part: (part == "checkpoint", part)):
            os.replace(os.path.join(partial, part), os.path.join(folder, part))
        return
    if os.path.lexists(path):
        _keep_other_files(path, new)
        if _exchange(new, path):
            return
        os.rename(path, f"{new}-previous")
    os.rename(new, path)


def _keep_other_files(old: str, new: str) -> None:
    skipped = _SAVED_MODEL | set(os.listdir(new))
    shutil.copytree(
        *(old, new),
        symlinks=True,
        ignore=lambda folder, _: skipped if folder == old else (),
        copy_function=_link,
        dirs_exist_ok=True,
    )
    os.utime(new)  # copytree copies the time of the folder, too


def _link(old: str, new: str) -> None:
    """Gives a file a second name, so that a log open in another program stays in use."""
    try:
        os.link(old, new)
    except OSError:  # a file system without links
        shutil.copy2(old, new)


def _exchange(one: str, other: str) -> bool:
    """Exchanges two folders in one step; returns False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    at, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    return rename is not None and not rename(at, os.fsencode(one), at, os.fsencode(other), exchange)
