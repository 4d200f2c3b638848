"""Epochs and validation end where the data end, with a warning where that is known before."""

import functools
import warnings

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.small_vae import IMAGES, RUNS, batches_of, small_vae

MANY, _, KERAS = RUNS
# The XLA program of many steps meets the end itself; every other way leaves it to Keras.
both_loops = pytest.mark.parametrize("run", [MANY, KERAS])
shared_vae = functools.cache(small_vae)


@pytest.mark.spread(1)
@both_loops
def test_a_short_epoch_reports_the_mean_of_its_batches(run):
    vae = shared_vae(run)
    start = int(vae.optimizer.iterations)
    with pytest.warns(UserWarning, match="steps_per_epoch: wanted 4 batches in each of 3 epochs"):
        history = vae.fit(batches_of(), steps_per_epoch=4, epochs=3, verbose=0)
    assert int(vae.optimizer.iterations) - start == 6
    losses = history.history["loss"]
    assert len(losses) == 2 and 0.5 < losses[1] / losses[0] < 1.5


@both_loops
def test_training_ends_when_a_generator_ends(run):
    def generator():
        yield from np.split(IMAGES, 6)

    vae = shared_vae(run)
    start = int(vae.optimizer.iterations)
    history = vae.fit(generator(), steps_per_epoch=3, epochs=4, verbose=0)
    assert int(vae.optimizer.iterations) - start == 6
    assert len(history.history["loss"]) == len(history.epoch) == 2
    assert np.isfinite(history.history["loss"]).all()
    history = vae.fit(generator(), steps_per_epoch=4, epochs=2, verbose=0)
    assert int(vae.optimizer.iterations) - start == 12
    assert len(history.history["loss"]) == 2


@pytest.mark.spread(1)
@pytest.mark.parametrize(
    ("run", "has_length"), [(MANY, True), (MANY, False), (KERAS, False)], ids=str
)
def test_validation_uses_the_batches_that_there_are(run, has_length):
    vae = small_vae(run, compiled={"optimizer": tf_keras.optimizers.SGD(0.0)})
    unseen = batches_of(IMAGES[:12])
    unseen = unseen if has_length else unseen.filter(lambda _: True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = vae.fit(
            IMAGES, epochs=2, validation_data=unseen, validation_steps=9, verbose=0
        ).history["val_loss"]
        loss = vae.evaluate(unseen, steps=9, verbose=0)[0]
    texts = [str(warning.message) for warning in caught]
    own = [text for text in texts if "wanted 9 batches, got a dataset of 3" in text]
    assert len(own) == (2 if has_length else 0)  # without a length Keras logs it
    expected = -float(tf.reduce_mean(vae.elbo(IMAGES[:12], 200, seed=0)))
    np.testing.assert_allclose([*history, loss], expected, rtol=0.05)
