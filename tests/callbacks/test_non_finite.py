"""Training stops at NaN or infinity, and the last good weights come back."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.callbacks.fitting import IMAGES, fit, names, small_vae


class _Spoil(tf_keras.callbacks.Callback):
    """Makes a weight NaN at the beginning of an epoch, as a bad step would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.weights[0].assign(self.model.weights[0] * np.nan)


@pytest.mark.spread(2)
@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("images", [None, IMAGES])
def test_it_stops_and_puts_the_last_good_weights_back(epoch, images):
    vae, kept = small_vae(run_eagerly=True), {}
    kept[-1] = vae.get_weights()
    keep = tf_keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.__setitem__(epoch, vae.get_weights())
    )
    stop = tfpvae.callbacks.StopOnNonFinite(images)
    steps = epoch * len(IMAGES) // 10
    of = f"the end of epoch {epoch}" if epoch else "the beginning of training"
    name = vae.weights[0].name
    cause = f"weight '{name}': nan in 7680 of 7680" if images is not None else "loss: nan"
    message = (
        f"loss: wanted a finite number, got nan in epoch {epoch + 1}. The first bad quantity is "
        f"{cause}. The model has again the weights of {of}; none was saved."
    )
    with pytest.raises(FloatingPointError, match=re.escape(message)):
        fit(vae, stop, keep, _Spoil(epoch), epochs=5)
    assert list(kept) == list(range(-1, epoch))  # the others do not see the bad epoch
    for result, expected in zip(vae.get_weights(), kept[epoch - 1], strict=True):
        np.testing.assert_array_equal(result, expected)
    optimizer = [variable.numpy() for variable in vae.optimizer.variables]
    assert optimizer[0] == steps
    assert all(np.isfinite(value).all() for value in optimizer)
    assert epoch > 0 or all((value == 0).all() for value in optimizer[2:])
    history = fit(vae, epochs=1).history  # and so training can go on
    assert np.isfinite(history["loss"]).all()


def test_it_names_what_the_good_weights_show_and_the_last_one_saved(tmp_path):
    """NaN weights are the end of it; that a pixel was NaN is the beginning."""
    images = IMAGES.copy()
    vae = small_vae(run_eagerly=True)
    stop = tfpvae.callbacks.StopOnNonFinite(images)
    checkpoint = tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "best.weights.h5"))
    checkpoint.save_weights_only = True
    data = tf.data.Dataset.from_tensor_slices(images.copy()).batch(10)
    vae.fit(data, verbose=0, callbacks=[stop, checkpoint])
    images[images > 0.99] = np.nan
    saved = (tmp_path / "best.weights.h5").read_bytes()
    message = r"quantity is images: nan in .*; the last one saved is '.*best\.weights\.h5'"
    with pytest.raises(FloatingPointError, match=message):
        vae.fit(data, verbose=0, callbacks=[_Spoil(0), stop, checkpoint])
    assert (tmp_path / "best.weights.h5").read_bytes() == saved


def test_a_checkpoint_before_it_saves_no_bad_weights_either(tmp_path):
    vae = small_vae(run_eagerly=True)
    checkpoint = tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"))
    with pytest.raises(ValueError, match="weights: wanted finite numbers to save, got weight"):
        fit(vae, _Spoil(1), checkpoint, tfpvae.callbacks.StopOnNonFinite(), epochs=3)
    assert names(tmp_path) == ["1.keras"]


def test_good_training_goes_as_without_it():
    weights = []
    for callbacks in ([], [tfpvae.callbacks.StopOnNonFinite(IMAGES)]):
        vae = small_vae(run_eagerly=True)
        fit(vae, *callbacks, epochs=2, shuffle=False)
        weights.append(vae.get_weights())
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_infinite_validation_loss_is_no_reason_and_another_model_is():
    vae = small_vae(run_eagerly=True)
    stop = tfpvae.callbacks.StopOnNonFinite()
    stop.set_model(vae)
    stop.on_train_begin()
    stop.on_epoch_end(0, {"loss": 1.0, "val_loss": np.inf})
    with pytest.raises(FloatingPointError, match=r"got 1\.0 in epoch 2\. .* is kl: inf"):
        stop.on_epoch_end(1, {"loss": 1.0, "kl": np.inf})
    stop.set_model(tf_keras.Sequential([tf_keras.layers.Dense(1)]))
    with pytest.raises(TypeError, match=r"StopOnNonFinite: wanted a tfpvae\.VAE"):
        stop.on_train_begin()
