"""Training that can be interrupted and resumed, and its rate."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras

import tfpvae


class Task(NamedTuple):
    """Folder, data and length of one run."""

    folder: Path
    data: Path
    seed: int
    epochs: int
    test_samples: int
    test_images: int
    smoke: bool


class Log(tf_keras.callbacks.Callback):
    """Callback that prints a line per epoch, with its seconds, and writes it to log.json."""

    def __init__(self, folder: Path, score: Callable[[int], dict] | None = None):
        super().__init__()
        self.path = folder / "log.json"
        self.epochs = json.loads(self.path.read_text()) if self.path.exists() else []
        self.score = score

    def on_epoch_begin(self, epoch, logs=None):
        """Removes an epoch that was not backed up, and so is repeated."""
        self.epochs = self.epochs[:epoch]
        self.start = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        """Writes the metrics and the seconds of the epoch."""
        now = time.perf_counter(), time.process_time()
        seconds, cpu_seconds = np.subtract(now, self.start)
        scores = {"seconds": seconds, "cpu_seconds": cpu_seconds, **(logs or {})}
        scores |= self.score(epoch + 1) if self.score else {}
        line = {"epoch": epoch + 1}
        line |= {name: round(float(value), 6) for name, value in scores.items()}
        self.epochs.append(line)
        self.path.write_text(json.dumps(self.epochs) + "\n")
        print("  ", "  ".join(f"{name} {value:.6g}" for name, value in line.items()), flush=True)


@tf_keras.saving.register_keras_serializable("benchmarks")
class WarmCosine(tf_keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises over the first steps and falls as a cosine to a tenth of the highest."""

    def __init__(self, rate: float, steps: int, rising: int = 500):
        self.rate, self.steps, self.rising = rate, steps, rising

    def __call__(self, step):
        """Returns the rate of a step."""
        step = tf.cast(step, tf.float32)
        done = tf.minimum(step / self.steps, 1.0)
        falling = 0.55 + 0.45 * tf.cos(np.pi * done)
        return self.rate * falling * tf.minimum(1.0, (step + 1) / self.rising)

    def get_config(self) -> dict:
        """Returns the arguments."""
        return {"rate": self.rate, "steps": self.steps, "rising": self.rising}


def train(
    vae: tfpvae.VAE,
    optimizer: tf_keras.optimizers.Optimizer,
    batches: Callable[[int], tf.data.Dataset],
    task: Task,
    score: Callable[[int], dict] | None = None,
    callbacks: list[tf_keras.callbacks.Callback] = (),
    **options: Any,
) -> dict:
    """Trains up to `task.epochs`, from the last epoch in `task.folder`.

    Args:
      vae: the model.
      optimizer: a new one; its state is restored with the weights.
      batches: seed -> training batches. A resumed run has another seed, and so other draws than an
        uninterrupted one.
      task: the folder and the number of epochs.
      score: epoch -> scores to log with it.
      callbacks: more callbacks.
      **options: of `VAE.fit`.

    Returns:
      Epochs, steps, seconds of all calls, the median of the seconds per epoch, and the log.
    """
    log = Log(task.folder, score)
    vae.compile(optimizer, jit_compile=False if task.smoke else None)
    backup = tf_keras.callbacks.BackupAndRestore(task.folder / "backup", delete_checkpoint=False)
    # A backup is of good weights, and the last, so that no other callback misses the epoch.
    callbacks = [tfpvae.callbacks.StopOnNonFinite(), *callbacks, log, backup]
    seed = task.seed + 1000 * len(log.epochs)
    vae.fit(batches(seed), epochs=task.epochs, callbacks=callbacks, verbose=0, **options)
    seconds = [line["seconds"] for line in log.epochs]
    return {
        "epochs": len(log.epochs),
        "steps": int(vae.optimizer.iterations.numpy()),
        "training_seconds": sum(seconds),
        "training_cpu_seconds": sum(line.get("cpu_seconds", 0) for line in log.epochs),
        "seconds_an_epoch": sorted(seconds)[len(seconds) // 2],
        "log": log.epochs,
    }


def best_weights(task: Task, monitor: str = "val_elbo") -> tf_keras.callbacks.ModelCheckpoint:
    """Returns a callback that saves the weights of the best epoch on validation images."""
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
