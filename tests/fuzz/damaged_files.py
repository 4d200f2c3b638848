"""Reads damaged files, each kind in its own process, for `test_damaged_files`.

`python -m tests.fuzz.damaged_files FOLDER KIND=COUNT ...` forks a process for each kind, so that
TensorFlow is imported once, and a new one when a process dies. Each reads damaged files under a
limit of memory and of time. One line of JSON per kind says how many files were read, refused, read
with the same values or with others, and how many ended the process, and lists the failures:

- the process ended, by a fault in C or by the clock, except in HDF5, where ends are counted only;
- an error has no message, or an error of tfpvae is no `ValueError` or does not name the file;
- the values differ although the format has checksums;
- an error changed the weights of a model.
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

SECONDS, CPU_SECONDS = 120, 10  # per file
MEMORY = 2 * 2**30  # for all files, beyond what the process has before the first
GOLDEN = make.GOLDEN / tfpvae.__version__


class Kind(NamedTuple):
    """A kind of file: how it is written and read, and what its format guarantees."""

    write: Callable[[Path], list[Path]]  # intact files, of which one at a time is damaged
    read: Callable[[Path], list[np.ndarray]]
    is_own: bool = False  # read by tfpvae, whose errors name the file
    has_checksums: bool = True
    by_hdf5: bool = False  # HDF5 crashes or hangs on some damaged files
    inner: bool = False  # damaged before it is packed, so that checksums are right


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
    return list(make.outputs(tf_keras.models.load_model(folder / "model.keras")).values())


def write_savedmodel(folder: Path) -> list[Path]:
    shutil.unpack_archive(GOLDEN / "plain.zip", folder / "model")
    return sorted(path for path in (folder / "model").rglob("*") if path.is_file())


def read_savedmodel(folder: Path) -> list[np.ndarray]:
    vae = tf_keras.models.load_model(folder / "model")
    if not isinstance(vae, tfpvae.VAE):
        raise ValueError(f"no VAE, but {type(vae)}")  # a user would see that
    return list(make.outputs(vae).values())


class Weights:
    """Weights of a model in a file, which are loaded into a model with other weights."""

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
            assert all(same), "weights: only some of them are loaded"
            raise
        return self.vae.get_weights()


def weights(name: str, **options: bool) -> Kind:
    files = Weights(name)
    return Kind(files.write, files.read, **options)


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


def damage(path: Path, whole: bytes, kind: Kind, rng) -> str:
    """Replaces an intact file by a damaged one; returns the name of the damaged part."""
    if not kind.inner:
        path.write_bytes(damaged(whole, rng))
        return path.name
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    part = rng.choice(sorted(set(parts) - {"metadata.json"}))  # which only says when it was written
    parts[part] = damaged(parts[part], rng)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return part


def outcome_of(kind: Kind, folder: Path, expected: list[np.ndarray]) -> str:
    """Reads the files; returns "refused", "same", "other", or "failed: " and the reason."""
    try:
        actual = kind.read(folder)
    except AssertionError as error:
        return f"failed: {error}"
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if not str(error):
            return f"failed: {text}"
        if kind.is_own and not (isinstance(error, ValueError) and str(folder) in str(error)):
            return f"failed: {text}"
        return "refused"
    if len(actual) == len(expected) and all(map(np.array_equal, actual, expected)):
        return "same"
    return "failed: other values" if kind.has_checksums else "other"


def read_all(name: str, first: int, last: int, folder: Path, pipe: int) -> None:
    """Writes the outcome of each file to a pipe, as lines of JSON."""
    warnings.simplefilter("ignore")
    kind = KINDS[name]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [(path, path.read_bytes()) for path in kind.write(folder)]
    expected = kind.read(folder)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    for number in range(first, last):
        rng = numbered(name, number)
        path, whole = rng.choice(files)
        part = damage(path, whole, kind, rng)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)  # without a handler, ends the process
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        outcome = outcome_of(kind, folder, expected)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        path.write_bytes(whole)
        os.write(pipe, (json.dumps([number, part, outcome]) + "\n").encode())


# All of one kind.


def forked(name: str, first: int, last: int, folder: Path) -> tuple[list, int]:
    """Reads files in a new process; returns their outcomes and the exit code."""
    reading_end, writing_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            read_all(name, first, last, folder, writing_end)
            os._exit(0)
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    os.close(writing_end)
    with open(reading_end) as lines:
        outcomes = [json.loads(line) for line in lines]
    return outcomes, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def report(name: str, count: int, folder: Path) -> dict:
    """Reads `count` files of a kind; returns how many had which outcome."""
    outcomes: list = []
    while len(outcomes) < count:
        more, exit_code = forked(name, len(outcomes), count, folder)
        outcomes += more
        if exit_code:
            if not more and exit_code > 0:
                raise SystemExit(f"{name}: it fails before the first file")
            may_end = KINDS[name].by_hdf5
            outcome = "ended" if may_end else f"failed: the process ended, {exit_code}"
            outcomes.append([len(outcomes), "", outcome])
    failures = [line for line in outcomes if line[2].startswith("failed")]
    counts = collections.Counter(line[2] for line in outcomes if line not in failures)
    others = collections.Counter(part for _, part, outcome in outcomes if outcome == "other")
    numbers = {outcome: counts[outcome] for outcome in ("refused", "same", "other", "ended")}
    return {"kind": name, "read": count, **numbers, "others": others, "failures": failures}


def main(folder: str, *kinds: str) -> None:
    for kind in kinds:
        name, _, count = kind.rpartition("=")
        print(json.dumps(report(name, int(count), Path(folder, name))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
