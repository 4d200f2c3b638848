"""Interrupted trainings end as uninterrupted ones do, bit for bit."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.processes import run_module

pytestmark = pytest.mark.by_xla
SHAPE = (6, 5, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (10, *SHAPE), dtype=np.uint8)
LABELS = np.arange(10) % 3
WEIGHTS = np.linspace(0.5, 1.5, 10)
SPLIT = {"y": LABELS, "validation_split": 0.2, "validation_data": None}
WARMUP = {"kl_weight": tfpvae.schedules.LinearWarmup(7)}


class Interruption(Exception):
    """Stands for a power failure."""


class InterruptEpoch(tf_keras.callbacks.Callback):
    """Ends training in an epoch before it is backed up."""

    def __init__(self, epoch=None):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Interruption


class InterruptStep(tf_keras.callbacks.Callback):
    """Ends training after a step of the optimizer."""

    def __init__(self, step=None):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == self.step:
            raise Interruption


def with_dropout(tensor):
    tensor = tf_keras.layers.Flatten()(tensor)
    return tf_keras.layers.Dropout(0.5, rng_type="stateful")(tensor)


def shuffled():
    batches = tf.data.Dataset.from_tensor_slices(IMAGES).shuffle(10, seed=3).batch(4)
    return {"x": batches, "batch_size": None}


def trained(folder, *, options, compiled, inputs, save_freq="epoch", before=(), after=()):
    """Trains as a new process would; returns the variables, the last losses, and the epochs run.

    Args:
      folder: of the backup.
      options: of `build_vae`.
      compiled: of `compile`.
      inputs: of `fit`, or a function that returns them.
      save_freq: of the backup.
      before: callbacks that are called before the backup.
      after: callbacks that are called after it.
    """
    tf_keras.utils.set_random_seed(1)
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, **options)
    vae.compile(tf_keras.optimizers.Adam(0.01), **compiled)
    backup = tf_keras.callbacks.BackupAndRestore(
        str(folder), save_freq=save_freq, delete_checkpoint=False
    )
    callbacks = [*before, backup, *after]
    inputs = inputs() if callable(inputs) else inputs
    inputs = {"x": IMAGES, "batch_size": 4, "validation_data": IMAGES[:3]} | inputs
    fitted = vae.fit(epochs=4, callbacks=callbacks, verbose=0, **inputs)
    last = {name: values[-1] for name, values in fitted.history.items()}
    return [*vae.get_weights(), *(v.numpy() for v in vae.optimizer.variables)], last, fitted.epoch


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("options", "compiled", "inputs"),
    [
        ({}, {}, {}),
        (WARMUP, {"run_eagerly": True}, {"y": IMAGES[::-1], "sample_weight": WEIGHTS}),
        ({"num_classes": 3}, {"run_eagerly": True}, SPLIT),
        ({"encoder_backbone": with_dropout}, {"jit_compile": False}, {}),
        ({"objective": "iwae", "num_samples": 2}, {"run_eagerly": True}, shuffled),
    ],
    ids=["xla", "weighted", "conditional", "dropout", "dataset"],
)
def test_an_interrupted_training_ends_as_an_uninterrupted_one(options, compiled, inputs, tmp_path):
    arguments = {"options": options, "compiled": compiled, "inputs": inputs}
    expected, last, _ = trained(tmp_path / "whole", **arguments)
    with pytest.raises(Interruption):
        trained(tmp_path / "backup", before=[InterruptEpoch(2)], **arguments)
    resumed, resumed_last, run = trained(tmp_path / "backup", **arguments)
    assert run == [2, 3]
    assert resumed_last == last
    for one, other in zip(resumed, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_resumes_in_the_middle_of_an_epoch(tmp_path):
    arguments = {"options": WARMUP, "compiled": {"run_eagerly": True}, "inputs": {}, "save_freq": 2}
    expected, _, _ = trained(tmp_path / "whole", **arguments)
    for step in (4, 7, 9):  # 3 per epoch; backups at steps 4, 6 and 8
        with pytest.raises(Interruption):
            trained(tmp_path / "backup", after=[InterruptStep(step)], **arguments)
    resumed, _, run = trained(tmp_path / "backup", **arguments)
    assert run == [2, 3]
    for one, other in zip(resumed, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.spread(1)
@pytest.mark.parametrize("epoch", [1, 2])
def test_early_stopping_resumes_its_count(epoch, tmp_path):
    def arguments(*more):
        stop = tfpvae.callbacks.EarlyStopping(
            "loss", min_delta=1e6, patience=2, restore_best_weights=True
        )
        return {
            "options": {},
            "compiled": {"run_eagerly": True},
            "inputs": {},
            "before": [stop, *more],
        }

    expected, _, run = trained(tmp_path / "whole", **arguments())
    assert run == [0, 1, 2]  # the first is the best
    with pytest.raises(Interruption):
        trained(tmp_path / "backup", **arguments(InterruptEpoch(epoch)))
    resumed, _, run = trained(tmp_path / "backup", **arguments())
    assert run == [*range(epoch, 3)]
    finished, _, run = trained(tmp_path / "backup", **arguments())  # it had finished
    assert run == []
    for one, two, other in zip(resumed, finished, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(two, other)


def test_fit_without_a_backup_works_after_a_fit_with_one(tmp_path):
    vae = tfpvae.build_vae("dense", image_shape=SHAPE)
    vae.compile(run_eagerly=True)
    backup = tf_keras.callbacks.BackupAndRestore(str(tmp_path))
    vae.fit(IMAGES, callbacks=[backup], verbose=0)
    assert len(vae.fit(IMAGES, epochs=2, verbose=0).epoch) == 2


@pytest.mark.slow
def test_trainings_killed_at_random_moments_resume_exactly(tmp_path):
    """The environment variable TFPVAE_KILLS sets how many."""
    kills = int(os.environ.get("TFPVAE_KILLS", 1))
    lines = run_module("tests.training.killed_training", tmp_path, kills)
    print(lines)
    reports = [json.loads(line) for line in lines.splitlines()]
    assert len(reports) == kills
    assert all(report["same"] for report in reports)
