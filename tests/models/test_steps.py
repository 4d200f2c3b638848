"""Steps that are called by themselves, and those of a subclass as Keras' guides write them."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.small_vae import IMAGES, SHAPE, small_vae

# The loss of a batch, by each of the two methods of Keras.
LOSSES = {
    "compute_loss": lambda vae, x, likelihood: vae.compute_loss(x, x, likelihood),
    "compiled_loss": lambda vae, x, likelihood: vae.compiled_loss(
        x, likelihood, regularization_losses=vae.losses
    ),
}


class OwnSteps(tfpvae.VAE):
    method = "compute_loss"

    def train_step(self, data):
        (images,) = data
        with tf.GradientTape() as tape:
            loss = LOSSES[self.method](self, images, self(images, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


@pytest.mark.parametrize("method", LOSSES)
def test_the_loss_of_keras_does_not_take_the_place_of_that_of_evaluate(method):
    plain = tfpvae.build_vae("dense", image_shape=SHAPE)
    vae = OwnSteps(plain.encoder, plain.decoder)
    vae.method = method
    vae.compile(tf_keras.optimizers.SGD(1e-3), run_eagerly=True)
    history = vae.fit(IMAGES, batch_size=24, verbose=0, validation_data=IMAGES).history
    # Of other draws of z: those of a step of this model scatter by less than a nat.
    assert history["loss"][0] == pytest.approx(history["val_loss"][0], abs=2)
    np.testing.assert_allclose(history["val_loss"], np.negative(history["val_elbo"]), rtol=1e-6)
    loss, nll, kl, elbo = vae.evaluate(IMAGES, verbose=0)
    assert loss == pytest.approx(nll + kl) == pytest.approx(-elbo)
    (logged,) = vae.fit(IMAGES, batch_size=24, verbose=0).history["loss"]
    assert logged == pytest.approx(loss, abs=2)


@pytest.mark.parametrize("run", ["many steps in one XLA program", "Keras' loop"])
def test_a_loss_that_was_asked_for_changes_no_later_report(run):
    vae = small_vae(run)
    x = tf.constant(IMAGES)
    vae.compute_loss(x, x, vae(x))
    for report in (
        vae.fit(IMAGES, verbose=0).history,
        vae.evaluate(x, verbose=0, return_dict=True),
    ):
        assert np.squeeze(report["loss"]) == pytest.approx(-np.squeeze(report["elbo"]))


@pytest.mark.parametrize("step", ["train_step", "test_step"])
def test_a_step_reports_its_batch(step):
    vae = small_vae()
    report = getattr(vae, step)(tf.constant(IMAGES))
    assert float(report["loss"]) == pytest.approx(float(report["nll"] + report["kl"]))
    assert float(report["kl"]) > 0


class StepsOfAGuide(tfpvae.VAE):
    def train_step(self, data):
        (images,) = data
        likelihood = self(images, training=True)
        for metric in self.metrics:
            metric.update_state(images, likelihood)
        return {}


def test_images_are_no_values_of_the_loss_its_parts_or_the_elbo():
    plain = tfpvae.build_vae("dense", image_shape=SHAPE)
    vae = StepsOfAGuide(plain.encoder, plain.decoder)
    vae.compile(run_eagerly=True)
    message = r"^loss: wanted a number for each image, .* got shape \(24, 6, 5, 1\)"
    with pytest.raises(ValueError, match=message):
        vae.fit(IMAGES, batch_size=24, verbose=0)
