"""Every batch of fit, evaluate and predict is checked; the error names the batch."""

import functools
import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.small_vae import BYTES, IMAGES, RUNS, SHAPE, batches_of, small_vae, with_bad_pixel
from tfpvae._checks import DataSpec
from tfpvae.training import batch_checks

MANY, EACH, KERAS = RUNS
# Checks run inside the XLA program of many steps, or in a graph around each step.
both_checks = pytest.mark.parametrize("run", [MANY, KERAS])
every_run = pytest.mark.parametrize("run", RUNS)
# One per way for all tests: compiling takes far longer than the steps.
shared_vae = functools.cache(small_vae)


def test_each_run_takes_its_own_way():
    executions = [shared_vae(run).execution for run in (MANY, EACH, KERAS)]
    assert [(e.in_loops, e.each_by_xla) for e in executions] == [
        (True, False),
        (False, True),
        (False, False),
    ]


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("run", "value"), [(MANY, -0.5), (MANY, np.nan), (EACH, -0.5), (KERAS, -0.5)]
)
def test_a_later_batch_with_bad_pixels_is_named_and_changes_no_weight(run, value):
    vae = shared_vae(run)
    start = vae.get_weights()

    def fit(images):
        vae.set_weights(start)
        vae.optimizer.iterations.assign(0)
        tf_keras.utils.set_random_seed(0)
        vae.fit(batches_of(images), verbose=0)

    message = r"^x: wanted pixels in \[0, 1\], got values from .* This is batch 3; the weights are "
    with pytest.raises(ValueError, match=message):
        fit(with_bad_pixel(value))
    assert int(vae.optimizer.iterations) == 2
    weights = vae.get_weights()
    fit(IMAGES[:8])
    for weight, expected in zip(weights, vae.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("run", "call", "argument"),
    [
        (MANY, lambda vae, bad: vae.evaluate(batches_of(bad), verbose=0), "x"),
        (KERAS, lambda vae, bad: vae.evaluate(batches_of(bad), verbose=0), "x"),
        (KERAS, lambda vae, bad: vae.predict(batches_of(bad), verbose=0), "x"),
        (MANY, lambda vae, bad: vae.fit(IMAGES, validation_data=batches_of(bad), verbose=0),
         "validation_data"),
    ],
    ids=["evaluate, many steps", "evaluate", "predict", "validation"],
)  # fmt: skip
def test_every_method_names_the_bad_batch(run, call, argument):
    with pytest.raises(ValueError, match=rf"^{argument}: wanted pixels .* to 9\.0\..* batch 3;"):
        call(shared_vae(run), with_bad_pixel(9.0))


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch", "predict_on_batch"])
def test_a_single_batch_is_checked(method):
    with pytest.raises(ValueError, match=r"^x: wanted pixels in \[0, 1\], got values from"):
        getattr(shared_vae(), method)(with_bad_pixel(9.0))


@pytest.mark.spread(1)
@pytest.mark.parametrize("run", [KERAS, MANY])
def test_targets_labels_and_weights_are_checked_too(run):
    labels = np.arange(24) % 3
    bad_labels = np.where(np.arange(24) == 9, 3, labels)
    weights = np.where(np.arange(24) == 9, np.inf, 1.0).astype("float32")
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, with_bad_pixel(2.0))).batch(4)
    with pytest.raises(ValueError, match="^x: wanted pixels"):
        shared_vae(run).fit(pairs, verbose=0)
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, bad_labels)).batch(4)
    with pytest.raises(
        ValueError, match="^labels: wanted whole numbers from 0 to 2, got .* batch 3"
    ):
        small_vae(run, num_classes=3).fit(pairs, verbose=0)
    triples = tf.data.Dataset.from_tensor_slices((IMAGES, IMAGES, weights)).batch(4)
    with pytest.raises(ValueError, match="^sample_weight: wanted finite numbers, .* batch 3"):
        shared_vae(run).fit(triples, verbose=0)


@both_checks
def test_a_generator_is_checked_from_its_first_batch_on(run):
    def generator(images):
        yield from np.split(images, 6)

    vae = shared_vae(run)
    with pytest.raises(
        ValueError, match=r"^x: wanted pixels .* to 25\d\.\d+\. Divide by 255, or pass"
    ):
        vae.fit(generator(255 * IMAGES / IMAGES.max()), verbose=0)
    with pytest.raises(ValueError, match="^x: wanted at least one batch"):
        vae.fit(iter(()), verbose=0)
    with pytest.raises(ValueError, match="^x: wanted pixels .* This is batch 3;"):
        vae.fit(generator(with_bad_pixel(7.0)), steps_per_epoch=6, verbose=0)

    def other_shapes():
        yield IMAGES[:4]
        yield IMAGES[:4, :5]

    with pytest.raises(
        ValueError, match=r"^x: wanted shape \[B, 6, 5, 1\], got \[4 5 5 1\]\. .* 2;"
    ):
        vae.fit(other_shapes(), steps_per_epoch=2, verbose=0)


@pytest.mark.spread(1)
@every_run
def test_datasets_of_unknown_rank_train(run):
    def read(i):
        return BYTES[4 * int(i) : 4 * int(i) + 4]

    data = tf.data.Dataset.range(6).map(lambda i: tf.py_function(read, [i], tf.uint8))
    vae = small_vae(run)
    history = vae.fit(data, epochs=2, validation_data=data, verbose=0)
    assert int(vae.optimizer.iterations) == 12
    assert np.isfinite(history.history["val_loss"]).all()


def test_a_fault_has_the_text_that_errors_are_made_from():
    batch = tf.constant(with_bad_pixel(9.0)), None, None, None
    text = batch_checks.fault(batch, DataSpec(SHAPE), None).numpy().decode()
    assert re.fullmatch(r"images: wanted pixels in \[0, 1\], got values from \S+ to 9\.", text)
    assert batch_checks.fault((tf.constant(BYTES), None, None, None), DataSpec(SHAPE), None) == ""
