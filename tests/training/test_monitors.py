"""Callbacks that monitor the ELBO take the largest for the best."""

import numpy as np
import pytest
import tf_keras

import tfpvae
from tests.small_vae import IMAGES, small_vae

BLACK = np.zeros_like(IMAGES)  # on which the ELBO rises in each epoch


def adam_vae() -> tfpvae.VAE:
    return small_vae(compiled={"optimizer": tf_keras.optimizers.Adam(0.01)})


@pytest.mark.parametrize("callbacks", [tfpvae.callbacks, tf_keras.callbacks], ids=["own", "Keras"])
def test_early_stopping_takes_a_rising_elbo_for_better(callbacks):
    vae = adam_vae()
    stopping = callbacks.EarlyStopping(monitor="val_elbo", patience=1, min_delta=0.1)
    history = vae.fit(BLACK, validation_data=BLACK, epochs=4, verbose=0, callbacks=[stopping])
    assert len(history.epoch) == 4
    assert stopping.best == max(history.history["val_elbo"])


def test_checkpoints_and_plateaus_follow_the_elbo(tmp_path):
    vae = adam_vae()
    path = str(tmp_path / "best.keras")
    best = tf_keras.callbacks.ModelCheckpoint(path, "elbo", save_best_only=True)
    plateau = tf_keras.callbacks.ReduceLROnPlateau("elbo", patience=1, min_delta=0.0)
    history = vae.fit(BLACK, epochs=4, verbose=0, callbacks=[best, plateau]).history["elbo"]
    assert best.best == max(history)
    assert float(vae.optimizer.learning_rate) == pytest.approx(0.01)
