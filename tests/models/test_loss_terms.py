"""The losses of a call and the terms of `loss_terms` are those that `fit` trains on."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.small_vae import IMAGES, SHAPE, small_vae

shared_vae = functools.cache(small_vae)


@pytest.mark.spread(2)
@pytest.mark.parametrize("prior", ["standard_normal", "vampprior", "given to the VAE"])
def test_the_losses_of_a_call_are_the_kl_that_fit_trains_on(prior):
    if prior == "given to the VAE":
        vae = small_vae()
        term = tfpvae.layers.KLDivergenceRegularizer(
            tfpvae.build_prior("normal", latent_dim=2), use_exact_kl=True, weight=0.5
        )
        term.distribution_b.trainable_variables[0].assign([3.0, 3.0])
        vae = tfpvae.VAE(vae.encoder, vae.decoder, prior=term)
    else:
        vae = small_vae(prior=prior)
    vae(IMAGES)
    tf_keras.utils.set_random_seed(0)
    kl = tf.reduce_mean(tf.stack([vae.kl_divergence(vae.encoder(IMAGES)) for _ in range(50)]))
    sums = []
    for _ in range(50 if prior == "vampprior" else 1):
        vae(IMAGES)
        sums.append(float(sum(vae.losses)))
    assert np.mean(sums) == pytest.approx(float(vae.kl_weight * kl), rel=0.05, abs=0.05)


OPTIONS = {
    "vampprior": {"prior": "vampprior"},
    "warm-up": {"kl_weight": tfpvae.schedules.LinearWarmup(2)},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_vae_that_is_a_layer_of_another_model_trains_by_itself(name):
    vae, images = small_vae(**OPTIONS[name]), tf_keras.Input(SHAPE)
    tf_keras.Model(images, vae(images))
    scores = vae.evaluate(IMAGES, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(scores["nll"] + float(vae.kl_weight) * scores["kl"])


def test_a_pass_of_the_encoder_removes_the_losses_of_an_earlier_call():
    vae = small_vae(prior="vampprior")
    vae(IMAGES)
    assert len(vae.losses) == 1
    vae.encoder(IMAGES)
    assert vae.losses == []


@pytest.mark.parametrize(
    "options", [{}, {"objective": "iwae", "num_samples": 3}, {"free_bits": 1.0}]
)
def test_loss_terms_are_those_of_a_step(options):
    vae = small_vae(compiled={"run_eagerly": True}, **options)
    vae.training_state.seed.assign([1, 2])
    seed = vae._seed(training=True)
    loss, reported, _ = vae._objective(IMAGES, training=True)
    terms = vae.loss_terms(IMAGES, seed=seed)
    np.testing.assert_allclose(tf.reduce_mean(terms.loss) + terms.regularization, loss, rtol=1e-5)
    np.testing.assert_allclose(terms.nll, reported["nll"], rtol=1e-5)
    np.testing.assert_allclose(terms.kl, reported["kl"], rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        tf_keras.losses.binary_crossentropy,
        tf_keras.losses.BinaryCrossentropy(reduction="none"),
        tf_keras.losses.MeanSquaredError(),
    ],
)
def test_a_loss_per_pixel_or_per_batch_is_refused(loss):
    with pytest.raises(ValueError, match="^loss: wanted a function .* one number per image"):
        shared_vae().compile(loss=loss)
