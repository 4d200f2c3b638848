"""Early stopping, that of tf_keras and that of tfpvae, restores the best weights and waits."""

import numpy as np
import pytest
import tf_keras

import tfpvae
from tests.callbacks.fitting import IMAGES, SHAPE, fit


@pytest.mark.spread(1)
@pytest.mark.parametrize("posterior", ["deterministic", "independent_normal"])
def test_early_stopping_restores_the_best_weights(posterior):
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, latent_dim=2, posterior=posterior)
    vae.compile(tf_keras.optimizers.SGD())
    seen = []
    # The rate rises until the loss does.
    rate = tf_keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 if epoch < 4 else 0.5)
    keep = tf_keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(vae.get_weights())
    )
    stop = tf_keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=3, restore_best_weights=True
    )
    losses = fit(vae, rate, keep, stop, epochs=30, validation_data=IMAGES).history["val_loss"]
    best = int(np.argmin(losses))
    assert 0 < best == stop.best_epoch
    assert len(losses) == len(seen) == best + 1 + 3 < 30
    for ours, theirs in zip(vae.get_weights(), seen[best], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if posterior == "deterministic":  # nothing is drawn, so the loss comes out the same again
        restored = vae.evaluate(IMAGES, batch_size=10, verbose=0, return_dict=True)["loss"]
        assert restored == pytest.approx(min(losses), rel=1e-6)
        assert losses[-1] > 1.001 * restored


@pytest.mark.parametrize(("patience", "stopped"), [(1, 7), (3, 9)])
def test_early_stopping_waits_for_the_warm_up(patience, stopped):
    """Nothing improves by so much; an epoch is a step, and six of them are the warm-up."""
    warmup = tfpvae.schedules.LinearWarmup(6)
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, kl_weight=warmup)
    vae.compile()
    stop = tfpvae.callbacks.EarlyStopping(monitor="loss", min_delta=1e6, patience=patience)
    history = vae.fit(IMAGES, batch_size=len(IMAGES), epochs=20, verbose=0, callbacks=[stop])
    assert len(history.epoch) == stopped
