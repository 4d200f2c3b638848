"""Files that are damaged and read, each kind in a process of its own, for `test_damaged_files`.

`python -m tests.fuzz.damaged_files FOLDER KIND=COUNT ...` forks a process for each kind, so that
TensorFlow is imported once, and another one where that process dies. Each reads so many damaged
files, under a limit of memory and one of time. Of each kind a JSON line is printed: how many were
tried, refused, read with the same answers and with others, and how many ended the process; and the
failures, which are

- an end of the process, by a fault in C or by the clock, but for those of HDF5, which are counted;
- an error that says nothing, or, of tfpvae's own readers, that is no `ValueError` or names no file;
- other answers, where the format has checksums;
- other weights of a model after an error than before.
"""

import collections
import gzip
import json
import os
import resource
import shutil
import signal
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tf_keras
from PIL import Image

import tfpvae
from tests.fuzz import numbered
from tests.fuzz.damage import damaged
from tests.golden import make
from tfpvae import datasets

SECONDS, OF_THE_PROCESSOR = 120, 10  # for one file
MEMORY = 2 * 2**30  # for all beyond what is taken before the first
GOLDEN = make.GOLDEN / tfpvae.__version__


class Kind(NamedTuple):
    """One kind of file: how it is written and read, and what is expected of its format."""

    write: Callable[[Path], list[Path]]  # the whole files; one of them is damaged at a time
    read: Callable[[Path], list[np.ndarray]]
    is_own: bool = False  # read by tfpvae itself, whose errors name the file
    has_checksums: bool = True
    by_hdf5: bool = False  # which does not come back from some damaged files
    inner: bool = False  # damaged inside of the archive, whose checksums are then right


# Arrays.


def write_idx(folder: Path, opened: Callable = open, suffix: str = "") -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        shape = (3, 28, 28) if "images" in name else (3,)
        content = rng.integers(0, 10, shape, dtype=np.uint8).tobytes()
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        paths.append(folder / f"{name}-ubyte{suffix}")
        with opened(paths[-1], "wb") as file:
            file.write(header + content)
    return paths


def write_gzipped_idx(folder: Path) -> list[Path]:
    return write_idx(folder, gzip.open, ".gz")


def write_npz(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (3, 28, 28), dtype=np.uint8), np.arange(3)
    arrays = {"x_train": images, "y_train": labels, "x_test": images[:2], "y_test": labels[:2]}
    np.savez(folder / "mnist.npz", **arrays)
    return [folder / "mnist.npz"]


def read_digits(folder: Path) -> list[np.ndarray]:
    parts = datasets.load_mnist(source=folder)
    return [array for part in parts for array in (part.images, part.labels)]


# Pictures.


def write_pictures(suffix: str) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"a.{suffix}")
        return [folder / f"a.{suffix}"]

    return write


def read_pictures(folder: Path) -> list[np.ndarray]:
    return [datasets.load_pictures(folder, image_shape=(8, 8, 3)).images]


# Models.


def write_keras(folder: Path) -> list[Path]:
    shutil.copy(GOLDEN / "learned_prior.keras", folder / "model.keras")
    return [folder / "model.keras"]


def read_keras(folder: Path) -> list[np.ndarray]:
    return list(make.answers(tf_keras.models.load_model(folder / "model.keras")).values())


def write_savedmodel(folder: Path) -> list[Path]:
    shutil.unpack_archive(GOLDEN / "plain.zip", folder / "model")
    return sorted(path for path in (folder / "model").rglob("*") if path.is_file())


def read_savedmodel(folder: Path) -> list[np.ndarray]:
    result = tf_keras.models.load_model(folder / "model")
    if not isinstance(result, tfpvae.VAE):
        raise ValueError(f"no VAE, but {type(result)}")  # that is seen by who uses it
    return list(make.answers(result).values())


class Weights:
    """Weights of a model under one name, which are loaded into one that has others."""

    def __init__(self, name: str):
        self.name = name

    def write(self, folder: Path) -> list[Path]:
        tf_keras.utils.set_random_seed(0)
        vae = make.build()
        vae.save_weights(folder / self.name)
        self.vae, self.before = vae, [weight + 1 for weight in vae.get_weights()]
        return sorted(folder.glob(f"{self.name}*"))

    def read(self, folder: Path) -> list[np.ndarray]:
        self.vae.set_weights(self.before)
        try:
            self.vae.load_weights(folder / self.name)
        except Exception:
            same = map(np.array_equal, self.vae.get_weights(), self.before)
            assert all(same), "weights: half of them are loaded"
            raise
        return self.vae.get_weights()


def weights(name: str, **options: bool) -> Kind:
    made = Weights(name)
    return Kind(made.write, made.read, **options)


KINDS = {
    "IDX": Kind(write_idx, read_digits, is_own=True, has_checksums=False),
    "IDX, gzipped": Kind(write_gzipped_idx, read_digits, is_own=True),
    "NPZ": Kind(write_npz, read_digits, is_own=True),
    "NPZ, inside": Kind(write_npz, read_digits, is_own=True, has_checksums=False, inner=True),
    "PNG": Kind(write_pictures("png"), read_pictures, is_own=True),
    **{
        suffix.upper(): Kind(
            write_pictures(suffix), read_pictures, is_own=True, has_checksums=False
        )
        for suffix in ("jpeg", "gif", "bmp", "webp")
    },
    ".keras": Kind(write_keras, read_keras, by_hdf5=True),
    ".keras, inside": Kind(write_keras, read_keras, has_checksums=False, by_hdf5=True, inner=True),
    "SavedModel": Kind(write_savedmodel, read_savedmodel, has_checksums=False),
    ".weights.h5": weights("a.weights.h5", has_checksums=False, by_hdf5=True),
    ".h5": weights("a.h5", has_checksums=False, by_hdf5=True),
    "checkpoint": weights("prefix"),
}


# One file.


def spoil(path: Path, whole: bytes, kind: Kind, rng) -> str:
    """Writes a damaged file in the place of a whole one; returns which part of it is."""
    if not kind.inner:
        path.write_bytes(damaged(whole, rng))
        return path.name
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    part = rng.choice(sorted(set(parts) - {"metadata.json"}))  # which says when it was written
    parts[part] = damaged(parts[part], rng)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return part


def verdict(kind: Kind, folder: Path, expected: list[np.ndarray]) -> str:
    """Returns what became of reading, in a word; in more if it is a failure."""
    try:
        result = kind.read(folder)
    except AssertionError as error:
        return f"failed: {error}"
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if not str(error):
            return f"failed: {text}"
        if kind.is_own and not (isinstance(error, ValueError) and str(folder) in str(error)):
            return f"failed: {text}"
        return "refused"
    if len(result) == len(expected) and all(map(np.array_equal, result, expected)):
        return "same"
    return "failed: other answers" if kind.has_checksums else "other"


def read_all(name: str, first: int, last: int, folder: Path, tell: int) -> None:
    """Tells the verdict of each file, in a line."""
    warnings.simplefilter("ignore")
    kind = KINDS[name]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [(path, path.read_bytes()) for path in kind.write(folder)]
    expected = kind.read(folder)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))
    for number in range(first, last):
        rng = numbered(name, number)
        path, whole = rng.choice(files)
        part = spoil(path, whole, kind, rng)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)  # nobody handles it: the process ends
        signal.setitimer(signal.ITIMER_PROF, OF_THE_PROCESSOR)
        said = verdict(kind, folder, expected)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        path.write_bytes(whole)
        os.write(tell, (json.dumps([number, part, said]) + "\n").encode())


# All of one kind.


def forked(name: str, first: int, last: int, folder: Path) -> tuple[list, int]:
    """Returns the verdicts that a process came to, and how it ended."""
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            read_all(name, first, last, folder, mouth)
            os._exit(0)
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    os.close(mouth)
    with open(ear) as lines:
        told = [json.loads(line) for line in lines]
    return told, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def tried(name: str, count: int, folder: Path) -> dict:
    """Returns what became of so many files of a kind."""
    told: list = []
    while len(told) < count:
        more, ended = forked(name, len(told), count, folder)
        told += more
        if ended:
            if not more and ended > 0:
                raise SystemExit(f"{name}: it fails before the first file")
            is_known = KINDS[name].by_hdf5
            said = "ended" if is_known else f"failed: the process ended, {ended}"
            told.append([len(told), "", said])
    failures = [line for line in told if line[2].startswith("failed")]
    counts = collections.Counter(said for _, _, said in told if not said.startswith("failed"))
    others = collections.Counter(part for _, part, said in told if said == "other")
    result = {said: counts[said] for said in ("refused", "same", "other", "ended")}
    return {"kind": name, "tried": count, **result, "others": others, "failures": failures}


def main(folder: str, *expected: str) -> None:
    for one in expected:
        name, _, count = one.rpartition("=")
        print(json.dumps(tried(name, int(count), Path(folder, name))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
