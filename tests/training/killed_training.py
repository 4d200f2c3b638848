"""Kills trainings at random moments and resumes them, for `tests.training.test_resume`.

`python -m tests.training.killed_training FOLDER KILLS` trains once without interruption, and then
KILLS times with one, in forked processes so that TensorFlow is imported once. It prints one line of
JSON per killed training: how many backups it had started, whether it was killed during one, the
epoch at which it resumed, and whether its weights agree with those of the first training.
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
from tests.pairs import EVERY

EPOCHS = 6


def train(folder: Path, pipe: int) -> None:
    """Trains, writes "(" and ")" to a pipe around each backup, and saves the weights."""
    tf_keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (64, 6, 5, 1), dtype=np.uint8)
    prior = tfpvae.build_prior("mixture", latent_dim=2, num_components=3)
    schedule = tfpvae.schedules.LinearWarmup(30)
    vae = tfpvae.build_vae("dense", image_shape=(6, 5, 1), prior=prior, kl_weight=schedule)
    rate = tf_keras.optimizers.schedules.CosineDecay(0.01, 100)
    # By default eagerly: a graph would take each process seconds to make, and XLA more.
    vae.compile(tf_keras.optimizers.Adam(rate), jit_compile=False, run_eagerly=not EVERY)
    save = tf.train.CheckpointManager.save

    def reporting_save(self, *args, **kwargs):
        os.write(pipe, b"(")
        path = save(self, *args, **kwargs)
        os.write(pipe, b")")
        return path

    tf.train.CheckpointManager.save = reporting_save
    backup = tf_keras.callbacks.BackupAndRestore(str(folder / "backup"))
    fitted = vae.fit(images, batch_size=10, epochs=EPOCHS, callbacks=[backup], verbose=0)
    np.savez(folder / "whole.npz", *vae.get_weights(), *vae.optimizer.variables)
    (folder / "first_epoch.json").write_text(json.dumps(fitted.epoch[:1]))


def run(folder: Path, backups: int | None = None, delay: float = 0.0) -> str:
    """Runs a training, and kills it after a backup begins; returns what it wrote to the pipe.

    Args:
      folder: of its backups and results.
      backups: the number of the backup after whose start it is killed; None to let it finish.
      delay: seconds from that start to the kill.
    """
    folder.mkdir(exist_ok=True)
    reading_end, writing_end = os.pipe()
    child = os.fork()
    if child == 0:
        train(folder, writing_end)
        os._exit(0)
    os.close(writing_end)
    events = ""
    while part := os.read(reading_end, 1).decode():
        events += part
        if events.count("(") == backups:
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
            break
    while part := os.read(reading_end, 4096).decode():
        events += part
    os.close(reading_end)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return events


def main(folder: Path, kills: int) -> None:
    run(folder / "uninterrupted")
    expected = np.load(folder / "uninterrupted" / "whole.npz")
    rng = random.Random(0)
    for number in range(kills):
        place = folder / f"killed_{number}"
        events = run(place, rng.randint(1, EPOCHS), rng.uniform(0, 0.1))
        if not (place / "whole.npz").exists():
            run(place)
        actual = np.load(place / "whole.npz")
        same = [np.array_equal(actual[name], expected[name]) for name in expected.files]
        first_epoch = json.loads((place / "first_epoch.json").read_text())
        report = {"backups": events.count("("), "in_backup": events.endswith("(")}
        print(json.dumps(report | {"resumed_at": first_epoch, "same": all(same)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
