"""Kills processes while they save a model, for `tests.saving.test_atomic`.

`python -m tests.killed FOLDER` forks a process for each case, so that TensorFlow is imported once.
Each process saves a model and writes its weights to FOLDER/KIND-MOMENT/old.npz. It then changes the
weights, writes them to new.npz, and is killed while it saves the model to the same path again.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import tf_keras

import tfpvae
from tests.pairs import EVERY
from tfpvae.saving import atomic

SHAPE = (4, 4, 1)
NAMES = {"keras": "model.keras", "folder": "model", "weights": "model.weights.h5"}
# Just before the old model is replaced, just after, or after a fraction of the time of a save.
CASES = [("keras", "written"), ("folder", "written"), ("folder", "moved")]
CASES += [("weights", 0.5)]
CASES += [("keras", 0.7), ("folder", 0.3)] if EVERY else []


def build() -> tfpvae.VAE:
    """Returns a small VAE; processes differ only in its weights."""
    vae = tfpvae.build_vae("dense", image_shape=SHAPE)
    vae.compile(run_eagerly=True)
    return vae


def save(vae: tfpvae.VAE, kind: str, folder: Path) -> None:
    (vae.save_weights if kind == "weights" else vae.save)(folder / NAMES[kind])


def kill(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def save_and_be_killed(kind: str, moment: str | float, folder: Path) -> None:
    tf_keras.utils.set_random_seed(0)
    vae = build()
    start = time.perf_counter()
    save(vae, kind, folder)
    duration = time.perf_counter() - start
    np.savez(folder / "old.npz", *vae.get_weights())
    vae.set_weights([weight + 1 for weight in vae.get_weights()])
    np.savez(folder / "new.npz", *vae.get_weights())
    if moment == "written":
        atomic._move = kill
    elif moment == "moved":
        move = atomic._move
        atomic._move = lambda *arguments: (move(*arguments), kill())
    else:
        # Nothing handles the signal: the process ends at once, even inside C++.
        signal.setitimer(signal.ITIMER_REAL, moment * duration)
    while True:  # a save may be faster than the timed one
        save(vae, kind, folder)


def main() -> None:
    for kind, moment in CASES:
        folder = Path(sys.argv[1], f"{kind}-{moment}")
        folder.mkdir()
        child = os.fork()
        if child == 0:
            save_and_be_killed(kind, moment, folder)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGALRM), (folder, status)


if __name__ == "__main__":
    main()
