"""Trainings that are killed at random moments and begun again, for `tests.training.test_resume`.

`python -m tests.training.killed_training FOLDER KILLS` trains once without interruption, and then
KILLS times with one, each in processes of its own, forked so that TensorFlow is imported once. It
prints a JSON line for each: how many backups it had begun when it was killed, whether it was killed
during one, the epoch at which it resumed, and whether its weights are those of the first training.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

import tfpvae

EPOCHS = 25


def train(folder: Path, tell: int) -> None:
    """Trains, tells of each backup's beginning and end, and leaves the weights."""
    tf_keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (64, 6, 5, 1), dtype=np.uint8)
    prior = tfpvae.build_prior("mixture", latent_dim=2, num_components=3)
    schedule = tfpvae.schedules.LinearWarmup(60)
    vae = tfpvae.build_vae("dense", image_shape=(6, 5, 1), prior=prior, kl_weight=schedule)
    vae.compile(tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(0.01, 100)))
    save = tf.train.CheckpointManager.save

    def told(self, *args, **kwargs):
        os.write(tell, b"(")
        saved = save(self, *args, **kwargs)
        os.write(tell, b")")
        return saved

    tf.train.CheckpointManager.save = told
    backup = tf_keras.callbacks.BackupAndRestore(str(folder / "backup"))
    fitted = vae.fit(images, batch_size=10, epochs=EPOCHS, callbacks=[backup], verbose=0)
    np.savez(folder / "whole.npz", *vae.get_weights(), *vae.optimizer.variables)
    (folder / "begun.json").write_text(json.dumps(fitted.epoch[:1]))


def run(folder: Path, backups: int | None = None, delay: float = 0.0) -> str:
    """Runs a training, killed so many seconds after it began a backup; returns what it told."""
    folder.mkdir(exist_ok=True)
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        train(folder, mouth)
        os._exit(0)
    os.close(mouth)
    told = ""
    while part := os.read(ear, 1).decode():
        told += part
        if told.count("(") == backups:
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
            break
    while part := os.read(ear, 4096).decode():
        told += part
    os.close(ear)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return told


def main(folder: Path, kills: int) -> None:
    run(folder / "uninterrupted")
    expected = np.load(folder / "uninterrupted" / "whole.npz")
    chance = random.Random(0)
    for number in range(kills):
        here = folder / f"killed_{number}"
        told = run(here, chance.randint(1, EPOCHS), chance.uniform(0, 0.1))
        if not (here / "whole.npz").exists():
            run(here)
        result = np.load(here / "whole.npz")
        same = [np.array_equal(result[name], expected[name]) for name in expected.files]
        begun = json.loads((here / "begun.json").read_text())
        report = {"backups": told.count("("), "in_backup": told.endswith("(")}
        print(json.dumps(report | {"went_on_at": begun, "same": all(same)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
