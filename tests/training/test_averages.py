"""Moving averages of weights keep to the constraints of the weights."""

import numpy as np
import pytest
import tf_keras

import tfpvae
from tests.small_vae import IMAGES, RUNS, SHAPE


class AtTheEnd(tf_keras.callbacks.Callback):
    """Keeps what a callback sees when training ends."""

    def on_train_end(self, logs=None):
        self.elbo = self.model.elbo(IMAGES, seed=0).numpy()
        self.weights = self.model.get_weights()


def adam() -> tf_keras.optimizers.Optimizer:
    # A large rate, so that steps leave the range of the constraints.
    return tf_keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5)


OPTIMIZERS = {"adam": adam, "scaled": lambda: tf_keras.mixed_precision.LossScaleOptimizer(adam())}


@pytest.mark.parametrize(
    ("optimizer", "run", "as_list"),
    [
        *(("adam", run, False) for run in RUNS),
        *(("scaled", "Keras' loop", False), ("adam", "Keras' loop", True)),
    ],
)
def test_constraints_hold_when_training_ends(optimizer, run, as_list):
    dense = tf_keras.layers.Dense(8, kernel_constraint=tf_keras.constraints.NonNeg())
    backbone = tf_keras.Sequential([tf_keras.Input(SHAPE), tf_keras.layers.Flatten(), dense])
    prior = tfpvae.build_prior("vampprior", latent_dim=2, image_shape=SHAPE, num_components=4)
    vae = tfpvae.build_vae(
        "dense", image_shape=SHAPE, latent_dim=2, prior=prior, encoder_backbone=backbone
    )
    vae.compile(OPTIMIZERS[optimizer](), **RUNS[run])
    end = AtTheEnd()
    callbacks = tf_keras.callbacks.CallbackList([end], model=vae) if as_list else [end]
    vae.fit(IMAGES, batch_size=4, epochs=3, verbose=0, callbacks=callbacks)
    assert dense.kernel.numpy().min() == 0
    pseudo_inputs = vae.prior.pseudo_inputs.numpy()
    assert pseudo_inputs.min() == 0 and pseudo_inputs.max() == 1
    for seen, weight in zip(end.weights, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(seen, weight)
    assert np.isfinite(end.elbo).all()
