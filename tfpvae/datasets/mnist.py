"""MNIST and the two sets in its format: found on disk, or downloaded once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfpvae import _checks
from tfpvae.datasets.download import download
from tfpvae.datasets.idx import read_idx
from tfpvae.datasets.npz import read_npz
from tfpvae.datasets.pictures import Pictures


class _Set(NamedTuple):
    class_names: tuple[str, ...]
    folder: str  # in Keras' cache
    url: str
    md5s: tuple[str, ...]  # of the gzipped files, in the order of _IDX_NAMES


_Parts = tuple[Pictures, Pictures]  # training and test

_SIDES = (28, 28)
_RANKS = (3, 1, 3, 1)  # of training images and labels, test images and labels
_IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_NPZ_NAME = "mnist.npz"
_NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_KMNIST_NAMES = (
    "kmnist-train-imgs.npz",
    "kmnist-train-labels.npz",
    "kmnist-test-imgs.npz",
    "kmnist-test-labels.npz",
)
_KMNIST_ARRAY = "arr_0"
_SETS = {
    "mnist": _Set(
        tuple("0123456789"),
        "mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    "fashion_mnist": _Set(
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        "fashion-mnist",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "kuzushiji_mnist": _Set(
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        "kuzushiji-mnist",
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
}


def load_mnist(
    name: str = "mnist", *, source: str | os.PathLike[str] | None = None
) -> tuple[Pictures, Pictures]:
    """The training and the test pictures of MNIST or of a set in its format.

    Without a source they come from Keras' cache, `$KERAS_HOME/datasets` or else
    `~/.keras/datasets`, where they are downloaded to if they are not there.

    Args:
        name: "mnist", "fashion_mnist" or "kuzushiji_mnist".
        source: where the files are: a folder of the four IDX files, gzipped or not
            (`train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` and so on, also with
            a dot before idx); a folder with `mnist.npz`, or with the four files
            `kmnist-train-imgs.npz` and so on; or an .npz with the arrays x_train,
            y_train, x_test and y_test. Which set they hold is not looked at: the
            name gives the class names only.

    Returns:
        Two `Pictures`, training and test: uint8 images [N, 28, 28, 1], int32 labels
        from 0 to 9, the set's class names and no paths.

    Raises:
        FileNotFoundError: if the source has no such files; it says what was looked for.
        ValueError: if the name is not known, or a file is not what it should be; the
            message names the file.
        ConnectionError: if a download fails; it says what to do without one.

    >>> import tempfile
    >>> images, labels = np.zeros((3, 28, 28), np.uint8), np.array([7, 2, 1], np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "mnist.npz")
    ...     np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    ...     training, test = load_mnist("fashion_mnist", source=path)
    >>> training.images.shape, training.labels.dtype.name
    ((3, 28, 28, 1), 'int32')
    >>> [test.class_names[label] for label in test.labels]
    ['Sneaker', 'Pullover', 'Trouser']
    """
    _checks.one_of("name", name, _SETS)
    if source is None:
        return _from_cache(_SETS[name])
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"source: wanted a folder or an .npz file, got {source!r}.")
    source = os.fspath(source)
    if os.path.isfile(source):
        return _from_npz(source, _SETS[name])
    return _from_folder(source, _SETS[name])


def _from_cache(known: _Set) -> _Parts:
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    cache = os.path.join(home, "datasets")
    npz, folder = os.path.join(cache, _NPZ_NAME), os.path.join(cache, known.folder)
    try:
        if known is _SETS["mnist"] and os.path.isfile(npz):
            return _from_npz(npz, known)
        _complete(folder, known)
        return _from_folder(folder, known)
    except ValueError as error:
        raise ValueError(f"{error} Once it is deleted, it will be downloaded again.") from error


def _complete(folder: str, known: _Set) -> None:
    """Downloads those of the four files that the folder lacks, unless it has other ones."""
    if _all_in(folder, _KMNIST_NAMES):
        return
    for name, md5 in zip(_IDX_NAMES, known.md5s, strict=True):
        if _find_idx(folder, name):
            continue
        try:
            download(f"{known.url}{name}.gz", md5, os.path.join(folder, f"{name}.gz"))
        except OSError as error:
            raise type(error)(
                f"source: wanted the files in '{folder}', but {error} Without the web, put "
                f"{', '.join(f'{name}.gz' for name in _IDX_NAMES)} there, from {known.url}, or "
                "pass source=, the folder that has them."
            ) from error


def _from_folder(folder: str, known: _Set) -> _Parts:
    found = [_find_idx(folder, name) for name in _IDX_NAMES]
    if all(found):
        arrays = [read_idx(path, rank=rank) for path, rank in zip(found, _RANKS, strict=True)]
        return _pictures(arrays, found, known)
    npz = os.path.join(folder, _NPZ_NAME)
    if not any(found) and os.path.isfile(npz):
        return _from_npz(npz, known)
    if not any(found) and _all_in(folder, _KMNIST_NAMES):
        paths = [os.path.join(folder, name) for name in _KMNIST_NAMES]
        return _from_arrays(paths, [_KMNIST_ARRAY] * 4, known)
    got = ", ".join(os.path.basename(path) for path in found if path) or "none of them"
    raise FileNotFoundError(
        f"source: wanted {', '.join(_IDX_NAMES)} (.gz or not), or {_NPZ_NAME}, or "
        f"{', '.join(_KMNIST_NAMES)} in '{folder}', got "
        f"{got if os.path.isdir(folder) else 'no such folder'}."
    )


def _from_npz(path: str, known: _Set) -> _Parts:
    return _from_arrays([path] * 4, _NPZ_ARRAYS, known)


def _from_arrays(paths: list[str], names: Sequence[str], known: _Set) -> _Parts:
    wanted = zip(paths, names, _RANKS, strict=True)
    arrays = [read_npz(path, name, rank=rank) for path, name, rank in wanted]
    return _pictures(arrays, paths, known)


def _find_idx(folder: str, name: str) -> str:
    """The path of an IDX file, or "" if the folder has none."""
    names = (name, name.replace("-idx", ".idx"))
    paths = (os.path.join(folder, name + suffix) for name in names for suffix in ("", ".gz"))
    return next(filter(os.path.isfile, paths), "")


def _all_in(folder: str, names: tuple[str, ...]) -> bool:
    return all(os.path.isfile(os.path.join(folder, name)) for name in names)


def _pictures(arrays: list[np.ndarray], paths: list[str], known: _Set) -> _Parts:
    training = _part(arrays[0], arrays[1], paths[:2], known)
    return training, _part(arrays[2], arrays[3], paths[2:], known)


def _part(images: np.ndarray, labels: np.ndarray, paths: list[str], known: _Set) -> Pictures:
    if images.dtype != np.uint8 or images.shape[1:] != _SIDES:
        sides = "x".join(map(str, images.shape[1:]))
        raise ValueError(
            f"source: wanted uint8 images of 28x28 pixels in '{paths[0]}', got {images.dtype} "
            f"ones of {sides}."
        )
    if len(images) != len(labels):
        raise ValueError(
            f"source: wanted as many labels as images, got {len(labels)} in '{paths[1]}' for "
            f"{len(images)} in '{paths[0]}'."
        )
    if labels.min() < 0 or labels.max() > 9:
        raise ValueError(
            f"source: wanted labels from 0 to 9 in '{paths[1]}', got some from {labels.min()} "
            f"to {labels.max()}."
        )
    return Pictures(images[..., None], labels.astype(np.int32), known.class_names, ())
