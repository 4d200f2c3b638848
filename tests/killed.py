"""Processes that are killed as they save a model, for `tests.test_atomic`.

`python -m tests.killed FOLDER` forks one for each case, so that TensorFlow is imported once. Each
saves a model, keeps its weights in FOLDER/KIND-MOMENT/old.npz and those it has next in new.npz, and
is killed while it saves that next one in the place of the first.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import tf_keras

import tfpvae
from tfpvae import atomic

SHAPE = (4, 4, 1)
NAMES = {"keras": "model.keras", "folder": "model", "weights": "model.weights.h5"}
# Before the old one is touched; right after; and by a timer, after so much of the time of a save.
CASES = [("keras", "written"), ("folder", "written"), ("folder", "put")]
CASES += [("keras", 0.7), ("folder", 0.3), ("weights", 0.5)]


def build() -> tfpvae.VAE:
    vae = tfpvae.build_vae("dense", image_shape=SHAPE)
    vae.compile(run_eagerly=True)
    return vae


def save(vae: tfpvae.VAE, kind: str, folder: Path) -> None:
    (vae.save_weights if kind == "weights" else vae.save)(folder / NAMES[kind])


def kill(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def be_killed(kind: str, moment: str | float, folder: Path) -> None:
    tf_keras.utils.set_random_seed(0)
    vae = build()
    start = time.perf_counter()
    save(vae, kind, folder)
    took = time.perf_counter() - start
    np.savez(folder / "old.npz", *vae.get_weights())
    vae.set_weights([weight + 1 for weight in vae.get_weights()])
    np.savez(folder / "new.npz", *vae.get_weights())
    if moment == "written":
        atomic._put = kill
    elif moment == "put":
        put = atomic._put
        atomic._put = lambda *arguments: (put(*arguments), kill())
    else:
        # Nobody handles it: the process ends at once, in the middle of C++ too.
        signal.setitimer(signal.ITIMER_REAL, moment * took)
    while True:  # a save may be quicker than the one that was timed
        save(vae, kind, folder)


def main() -> None:
    for kind, moment in CASES:
        folder = Path(sys.argv[1], f"{kind}-{moment}")
        folder.mkdir()
        child = os.fork()
        if child == 0:
            be_killed(kind, moment, folder)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGALRM), (folder, status)


if __name__ == "__main__":
    main()
