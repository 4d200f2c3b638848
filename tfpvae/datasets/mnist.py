"""MNIST, Fashion-MNIST and Kuzushiji-MNIST, from files or downloaded once."""

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


class _Variant(NamedTuple):
    """One data set in the format of MNIST.

    Attributes:
      class_names: name of each class.
      folder: name of its folder in the cache of Keras.
      url: address of its files.
      md5s: MD5 of the gzipped files, in the order of _IDX_NAMES.
    """

    class_names: tuple[str, ...]
    folder: str
    url: str
    md5s: tuple[str, ...]


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
_VARIANTS = {
    "mnist": _Variant(
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
    "fashion_mnist": _Variant(
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
    "kuzushiji_mnist": _Variant(
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
    """Loads the training and test pictures of MNIST or of a data set in its format.

    Without a source, the files are in the cache of Keras, `$KERAS_HOME/datasets` or
    `~/.keras/datasets`. Missing files are downloaded into it.

    Args:
      name: "mnist", "fashion_mnist" or "kuzushiji_mnist". With a source it only sets the class
        names, since the three data sets have the same format.
      source: a folder or an .npz file. A folder has the four IDX files, gzipped or not
        (`train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` and so on, also with a dot before
        idx), or `mnist.npz`, or the four files `kmnist-train-imgs.npz` and so on. An .npz file has
        the arrays x_train, y_train, x_test and y_test.

    Returns:
      Training and test `Pictures` with uint8 images [N, 28, 28, 1], int32 labels from 0 to 9, the
      class names and no paths.

    Raises:
      FileNotFoundError: if the source has no such files; the message lists their names.
      TypeError: if the source is not a path.
      ValueError: if there is no data set of that name, or a file has other content; the message
        names the file.
      ConnectionError: if a download fails; the message says how to work offline.

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
    _checks.one_of("name", name, _VARIANTS)
    if source is None:
        return _from_cache(_VARIANTS[name])
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"source: wanted a folder or an .npz file, got {source!r}.")
    source = os.fspath(source)
    if os.path.isfile(source):
        return _from_npz(source, _VARIANTS[name])
    return _from_folder(source, _VARIANTS[name])


def _from_cache(variant: _Variant) -> _Parts:
    """Loads a data set from the cache of Keras, and downloads missing files into it."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    cache = os.path.join(home, "datasets")
    npz, folder = os.path.join(cache, _NPZ_NAME), os.path.join(cache, variant.folder)
    try:
        if variant is _VARIANTS["mnist"] and os.path.isfile(npz):
            return _from_npz(npz, variant)
        _download_missing(folder, variant)
        return _from_folder(folder, variant)
    except ValueError as error:
        raise ValueError(f"{error} Delete the file to download it again.") from error


def _download_missing(folder: str, variant: _Variant) -> None:
    """Downloads the missing IDX files, unless the folder has those of Kuzushiji-MNIST as .npz."""
    if _has_all(folder, _KMNIST_NAMES):
        return
    for name, md5 in zip(_IDX_NAMES, variant.md5s, strict=True):
        if _find_idx(folder, name):
            continue
        try:
            download(f"{variant.url}{name}.gz", md5, os.path.join(folder, f"{name}.gz"))
        except OSError as error:
            files = ", ".join(f"{name}.gz" for name in _IDX_NAMES)
            raise type(error)(
                f"source: wanted the files in '{folder}', got an error: {str(error).rstrip('.')}. "
                f"To work offline, put {files} from {variant.url} there, or pass their folder as "
                "source."
            ) from error


def _from_folder(folder: str, variant: _Variant) -> _Parts:
    """Loads a data set from the IDX or .npz files of a folder."""
    paths = [_find_idx(folder, name) for name in _IDX_NAMES]
    if all(paths):
        arrays = [read_idx(path, rank=rank) for path, rank in zip(paths, _RANKS, strict=True)]
        return _as_parts(arrays, paths, variant)
    npz = os.path.join(folder, _NPZ_NAME)
    if not any(paths) and os.path.isfile(npz):
        return _from_npz(npz, variant)
    if not any(paths) and _has_all(folder, _KMNIST_NAMES):
        paths = [os.path.join(folder, name) for name in _KMNIST_NAMES]
        return _from_arrays(paths, [_KMNIST_ARRAY] * 4, variant)
    got = ", ".join(os.path.basename(path) for path in paths if path) or "none of them"
    raise FileNotFoundError(
        f"source: wanted {', '.join(_IDX_NAMES)} (.gz or not), or {_NPZ_NAME}, or "
        f"{', '.join(_KMNIST_NAMES)} in '{folder}', got "
        f"{got if os.path.isdir(folder) else 'no such folder'}."
    )


def _from_npz(path: str, variant: _Variant) -> _Parts:
    """Loads a data set from the four arrays of one .npz file."""
    return _from_arrays([path] * 4, _NPZ_ARRAYS, variant)


def _from_arrays(paths: list[str], names: Sequence[str], variant: _Variant) -> _Parts:
    """Loads a data set from four arrays, each of its .npz file and name."""
    members = zip(paths, names, _RANKS, strict=True)
    arrays = [read_npz(path, name, rank=rank) for path, name, rank in members]
    return _as_parts(arrays, paths, variant)


def _find_idx(folder: str, name: str) -> str:
    """Returns the path of an IDX file, or "" if the folder does not have it."""
    names = (name, name.replace("-idx", ".idx"))
    paths = (os.path.join(folder, name + suffix) for name in names for suffix in ("", ".gz"))
    return next(filter(os.path.isfile, paths), "")


def _has_all(folder: str, names: tuple[str, ...]) -> bool:
    """Returns whether the folder has a file of each name."""
    return all(os.path.isfile(os.path.join(folder, name)) for name in names)


def _as_parts(arrays: list[np.ndarray], paths: list[str], variant: _Variant) -> _Parts:
    """Returns the training and test pictures of the four arrays."""
    training = _as_pictures(arrays[0], arrays[1], paths[:2], variant)
    return training, _as_pictures(arrays[2], arrays[3], paths[2:], variant)


def _as_pictures(
    images: np.ndarray, labels: np.ndarray, paths: list[str], variant: _Variant
) -> Pictures:
    """Returns images and labels as pictures, checked."""
    if images.dtype != np.uint8 or images.shape[1:] != _SIDES:
        sides = "x".join(map(str, images.shape[1:]))
        raise ValueError(
            f"source: wanted uint8 images of 28x28 pixels in '{paths[0]}', got {images.dtype} "
            f"images of {sides}."
        )
    if len(images) != len(labels):
        raise ValueError(
            f"source: wanted as many labels as images, got {len(labels)} in '{paths[1]}' for "
            f"{len(images)} in '{paths[0]}'."
        )
    if labels.min() < 0 or labels.max() > 9:
        raise ValueError(
            f"source: wanted labels from 0 to 9 in '{paths[1]}', got labels from {labels.min()} "
            f"to {labels.max()}."
        )
    return Pictures(images[..., None], labels.astype(np.int32), variant.class_names, ())
