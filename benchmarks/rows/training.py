"""Training that goes on where it was stopped."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras

import tfpvae


class Task(NamedTuple):
    """What one run is given: where its files are, and how much it is to do."""

    folder: Path
    data: Path
    seed: int
    epochs: int
    test_samples: int
    test_images: int
    smoke: bool


class Log(tf_keras.callbacks.Callback):
    """Prints a line an epoch and keeps it, with its seconds and more, in log.json."""

    def __init__(self, folder: Path, score: Callable[[int], dict] | None = None):
        super().__init__()
        self.path = folder / "log.json"
        self.epochs = json.loads(self.path.read_text()) if self.path.exists() else []
        self.score = score

    def on_epoch_begin(self, epoch, logs=None):
        """Forgets an epoch that was not saved, and so is done again."""
        self.epochs = self.epochs[:epoch]
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Writes what Keras reports of the epoch, and its seconds."""
        seconds = time.perf_counter() - self.start
        scores = {"seconds": seconds, **(logs or {})}
        scores |= self.score(epoch + 1) if self.score else {}
        line = {"epoch": epoch + 1}
        line |= {name: round(float(value), 6) for name, value in scores.items()}
        self.epochs.append(line)
        self.path.write_text(json.dumps(self.epochs) + "\n")
        print("  ", "  ".join(f"{name} {value:.6g}" for name, value in line.items()), flush=True)


def train(
    vae: tfpvae.VAE,
    optimizer: tf_keras.optimizers.Optimizer,
    batches: Callable[[int], tf.data.Dataset],
    task: Task,
    score: Callable[[int], dict] | None = None,
    callbacks: list[tf_keras.callbacks.Callback] = (),
    **options: Any,
) -> dict:
    """Trains up to `task.epochs`, from the last epoch that is in `task.folder`.

    Args:
      vae: to train.
      optimizer: new; its state is restored with the weights.
      batches: seed -> the training batches. A run that is resumed gets a seed of its own, and so
        goes on with other draws than one that was never stopped.
      task: what to do.
      score: epoch -> scores to be written with it.
      callbacks: more of them.
      **options: of `VAE.fit`.

    Returns:
      How long it took: epochs, their seconds (and their median), steps; and the log.
    """
    log = Log(task.folder, score)
    vae.compile(optimizer, jit_compile=False if task.smoke else None)
    backup = tf_keras.callbacks.BackupAndRestore(task.folder / "backup", delete_checkpoint=False)
    # Keras saves after all others have seen the epoch, so that none misses it.
    callbacks = [*callbacks, log, backup]
    seed = task.seed + 1000 * len(log.epochs)
    vae.fit(batches(seed), epochs=task.epochs, callbacks=callbacks, verbose=0, **options)
    seconds = [line["seconds"] for line in log.epochs]
    return {
        "epochs": len(log.epochs),
        "steps": int(vae.optimizer.iterations.numpy()),
        "training_seconds": sum(seconds),
        "seconds_an_epoch": sorted(seconds)[len(seconds) // 2],
        "log": log.epochs,
    }


def best_weights(task: Task, monitor: str = "val_elbo") -> tf_keras.callbacks.ModelCheckpoint:
    """Returns what keeps the weights of the best epoch on validation images."""
    path = task.folder / "log.json"
    past = [line[monitor] for line in json.loads(path.read_text())] if path.exists() else []
    return tf_keras.callbacks.ModelCheckpoint(
        task.folder / "best",
        monitor=monitor,
        mode="max",
        save_best_only=True,
        save_weights_only=True,
        initial_value_threshold=max(past) if past else None,
    )
