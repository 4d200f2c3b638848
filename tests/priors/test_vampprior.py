import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests import reference
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.priors import VampPrior

tfd, tfkl = tfp.distributions, tf_keras.layers

SHAPE = (6, 5, 1)
POSTERIORS = ["independent_normal", "multivariate_normal_tril"]


def pictures(count=12):
    return np.random.default_rng(0).uniform(size=(count, *SHAPE)).astype("float32")


def latents(*shape):
    return np.random.default_rng(1).normal(size=(*shape, 2)).astype(tf_keras.backend.floatx())


def build(num_components=4, posterior="independent_normal", **overrides) -> tfpvae.VAE:
    prior = VampPrior(2, SHAPE, num_components)
    return tfpvae.build_vae(
        "dense", image_shape=SHAPE, posterior=posterior, prior=prior, **overrides
    )


@pytest.mark.spread(2)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_one_pseudo_input_is_its_posterior(posterior, floatx):
    vae = build(1, posterior)
    q = vae.encoder(vae.prior.pseudo_inputs)
    z = latents(3, 5)
    near = {"float32": 1e-5, "float64": 1e-12}[floatx]
    np.testing.assert_allclose(vae.prior.log_prob(z), q.log_prob(z[:, :, np.newaxis])[..., 0], near)
    np.testing.assert_allclose(vae.prior.mean(), q.mean()[0], rtol=near)
    np.testing.assert_allclose(vae.prior.variance(), q.variance()[0], rtol=10 * near)
    np.testing.assert_allclose(vae.kl_divergence(q, q.sample(20)), [0.0], atol=near)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_density_is_the_mean_of_the_posteriors(posterior):
    vae = build(4, posterior)
    means = vae.encoder(vae.prior.pseudo_inputs).mean().numpy()
    covariances = np.array(
        tf.linalg.diag(vae.encoder(vae.prior.pseudo_inputs).variance())
        if posterior == "independent_normal"
        else vae.encoder(vae.prior.pseudo_inputs).covariance()
    )
    z = latents(20)
    each = [
        np.exp(reference.gaussian_log_density(z, m, c))
        for m, c in zip(means, covariances, strict=True)
    ]
    np.testing.assert_allclose(vae.prior.log_prob(z), np.log(np.mean(each, axis=0)), rtol=1e-4)


def test_pseudo_inputs_that_come_twice_change_nothing(floatx):
    once, twice = build(3), build(6)
    twice.encoder.set_weights(once.encoder.get_weights())
    twice.prior.pseudo_inputs.assign(np.repeat(once.prior.pseudo_inputs, 2, axis=0))
    z = latents(3, 7)
    near = {"float32": 1e-6, "float64": 1e-12}[floatx]
    np.testing.assert_allclose(
        twice.prior.log_prob(z), once.prior.log_prob(z), rtol=near, atol=near
    )


def test_samples_have_the_moments_of_the_mixture():
    vae = build(3)
    vae.prior.pseudo_inputs.assign(np.stack([np.full(SHAPE, v) for v in (0.0, 0.5, 1.0)]))
    posteriors = vae.encoder(vae.prior.pseudo_inputs)
    mean = posteriors.mean().numpy().mean(axis=0)
    second = (posteriors.variance() + posteriors.mean() ** 2).numpy().mean(axis=0)
    draws = vae.prior.sample(20_000, seed=(1, 2)).numpy()
    assert (np.abs(draws.mean(axis=0) - mean) < 4 * np.sqrt((second - mean**2) / 20_000)).all()
    np.testing.assert_allclose(draws.var(axis=0), second - mean**2, rtol=0.06)


def test_gradients_reach_the_pseudo_inputs_and_the_encoder():
    vae = build()
    with tf.GradientTape() as tape:
        density = vae.prior.log_prob(latents(5))
    at_inputs, *at_encoder = tape.gradient(
        density, [vae.prior.pseudo_inputs, *vae.encoder.trainable_variables]
    )
    for gradient in (at_inputs, *at_encoder):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_its_variables_are_the_pseudo_inputs_alone_and_train_within_the_range_of_pixels():
    vae = build()
    assert [v is vae.prior.pseudo_inputs for v in vae.prior.variables] == [True]
    weights = [*vae.encoder.weights, *vae.decoder.weights, vae.prior.pseudo_inputs]
    assert {id(w) for w in vae.weights} == {id(w) for w in weights}
    assert len(vae.weights) == len(weights)
    before = vae.prior.pseudo_inputs.numpy()
    vae.compile(tf_keras.optimizers.Adam(0.5))  # steps that leave the range at once
    vae.fit(pictures(), epochs=2, verbose=0)
    after = vae.prior.pseudo_inputs.numpy()
    assert np.abs(after - before).max() > 0.1
    assert after.min() == 0 and after.max() == 1


def test_pseudo_inputs_do_not_affect_batch_normalization_and_dropout():
    backbone = tf_keras.Sequential([tfkl.Flatten(), tfkl.BatchNormalization(), tfkl.Dropout(0.5)])
    vae = build(encoder_backbone=backbone)
    statistics = [w.numpy() for w in vae.encoder.non_trainable_weights]

    class Scores(tf_keras.layers.Layer):
        """Inside a layer that is training, what it calls is training too if nobody says no."""

        def call(self, z, training=None):
            return vae.prior.log_prob(z)

    first, second = (Scores()(latents(5), training=True) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for weight, expected in zip(vae.encoder.non_trainable_weights, statistics, strict=True):
        np.testing.assert_array_equal(weight, expected)
    vae.compile()
    vae._objective(pictures(), training=True)
    moved = vae.encoder.non_trainable_weights[0].numpy() - statistics[0]
    np.testing.assert_allclose(moved, 0.01 * pictures().mean(axis=0).ravel(), rtol=1e-4)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_losses_of_the_encoders_own_layers_are_those_of_the_data(run_eagerly):
    """The prior runs the encoder again, which clears what its layers added on the data."""
    penalty = tfkl.ActivityRegularization(l2=0.1)
    vae = build(encoder_backbone=tf_keras.Sequential([tfkl.Flatten(), penalty]))
    vae.prior.pseudo_inputs.assign(tf.zeros_like(vae.prior.pseudo_inputs))
    vae.compile(run_eagerly=run_eagerly)
    result = vae.evaluate(pictures(), verbose=0, return_dict=True)
    expected = 0.1 * np.sum(pictures() ** 2) / 12  # Keras takes the mean over the batch
    np.testing.assert_allclose(result["loss"] - result["nll"] - result["kl"], expected, rtol=1e-4)


def test_a_regularizer_in_the_encoder_is_left_out_beside_it():
    encoder = tfpvae.build_encoder(image_shape=SHAPE, latent_dim=2, backbone="dense", kl_weight=0.5)
    vae = tfpvae.VAE(encoder, build().decoder, prior=VampPrior(2, SHAPE, 3))
    assert vae.kl_weight == 0.5  # the encoder's term, with another prior
    vae.compile(run_eagerly=True)
    result = vae.evaluate(pictures(), verbose=0, return_dict=True)
    np.testing.assert_allclose(result["loss"], result["nll"] + 0.5 * result["kl"], rtol=1e-5)


# Where it starts


def test_it_starts_from_a_seeded_choice_of_images():
    images = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), dtype=np.uint8)
    prior = VampPrior(2, SHAPE, 30, images)
    result = {image.tobytes() for image in np.round(prior.pseudo_inputs * 255).astype(np.uint8)}
    assert len(result) == 30 and result <= {image.tobytes() for image in images}
    again, other = VampPrior(2, SHAPE, 30, images), VampPrior(2, SHAPE, 30, images, seed=1)
    np.testing.assert_array_equal(again.pseudo_inputs, prior.pseudo_inputs)
    assert not np.array_equal(other.pseudo_inputs, prior.pseudo_inputs)
    floats = VampPrior(2, SHAPE, 30, images.astype("float32") / 255)
    np.testing.assert_allclose(floats.pseudo_inputs, prior.pseudo_inputs, rtol=1e-6)


def test_without_images_it_starts_from_noise():
    pseudo_inputs = VampPrior(2, SHAPE).pseudo_inputs.numpy()
    assert pseudo_inputs.shape == (50, *SHAPE)
    assert 0 <= pseudo_inputs.min() < 0.05 and 0.95 < pseudo_inputs.max() <= 1


def test_build_vae_starts_posterior_and_pseudo_inputs_from_the_same_images():
    images = pictures(60)
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, prior="vampprior", start_images=images)
    start = {image.tobytes() for image in vae.prior.pseudo_inputs.numpy()}
    assert start <= {image.tobytes() for image in images}
    means = vae.encoder(images).mean().numpy()
    np.testing.assert_allclose(means.std(axis=0), 1, rtol=0.01)
    # It starts as the aggregate posterior of some images: p(z) is near q(z) of all.
    np.testing.assert_allclose(vae.prior.stddev(), np.hypot(1, 0.3), rtol=0.2)


# Where it is bound


def test_unbound_it_says_so():
    prior = VampPrior(2, SHAPE)
    assert (prior.batch_shape, prior.event_shape) == ([], [2])
    for ask in (lambda: prior.log_prob([0.0, 0.0]), lambda: prior.sample(2), prior.mean):
        with pytest.raises(ValueError, match=r"prior: wanted a VampPrior that is bound.*VAE\("):
            ask()


@pytest.mark.parametrize("prior", ["vampprior", VampPrior(2, SHAPE)])
def test_an_encoder_alone_cannot_hold_it(prior):
    with pytest.raises(ValueError, match=r"prior: .*made of that very encoder.*build_vae.*VAE"):
        tfpvae.build_encoder(image_shape=SHAPE, latent_dim=2, backbone="dense", prior=prior)


def test_the_way_that_the_message_names():
    encoder = tfpvae.build_encoder(image_shape=SHAPE, latent_dim=2, backbone="dense", prior=None)
    prior = tfpvae.build_prior("vampprior", latent_dim=2, image_shape=SHAPE)
    vae = tfpvae.VAE(encoder, build().decoder, prior=prior)
    assert vae.prior is prior and prior.log_prob(latents(3)).shape == [3]
    assert encoder.layers[-1].activity_regularizer is None
    assert tfpvae.VAE(encoder, vae.decoder, prior=prior).prior is prior  # the same encoder again
    with pytest.raises(ValueError, match="prior: .*bound to the encoder of another VAE"):
        tfpvae.VAE(build().encoder, vae.decoder, prior=prior)
    with pytest.raises(ValueError, match="prior: .*got neither"):
        tfpvae.VAE(encoder, vae.decoder)


def test_what_does_not_fit_is_refused():
    vae = build()
    with pytest.raises(ValueError, match=r"prior: .*images \(6, 5, 1\).*got one of \(5, 6, 1\)"):
        tfpvae.VAE(vae.encoder, vae.decoder, prior=VampPrior(2, (5, 6, 1)))
    with pytest.raises(ValueError, match=r"prior: .*event shape \(2,\).*\(3,\)"):
        tfpvae.VAE(vae.encoder, vae.decoder, prior=VampPrior(3, SHAPE))
    with pytest.raises(NotImplementedError, match="VampPrior"):
        build(use_exact_kl=True)
    with pytest.raises(ValueError, match="kl_weight: .*-1"):
        build(kl_weight=-1)
    with pytest.raises(ValueError, match="kl_samples: .*0"):
        build(kl_samples=0)


@pytest.mark.parametrize("prior", ["normal", "vampprior", "flow"])
def test_a_prior_of_a_plain_autoencoder_is_refused(prior):
    with pytest.raises(ValueError, match="prior: wanted .*deterministic"):
        tfpvae.build_vae("deep", image_shape=SHAPE, prior=prior)
    plain = tfpvae.build_vae("deep", image_shape=SHAPE)
    with pytest.raises(ValueError, match="prior: wanted None with a deterministic posterior"):
        tfpvae.VAE(plain.encoder, plain.decoder, prior=tfpvae.build_prior(latent_dim=2))


# The whole term


def test_weight_and_samples_of_the_kl_are_those_asked_for():
    vae = build(kl_weight=0.25, kl_samples=400)
    vae.compile()
    result = vae.evaluate(pictures(), verbose=0, return_dict=True)
    np.testing.assert_allclose(result["loss"], result["nll"] + 0.25 * result["kl"], rtol=1e-5)
    # 400 draws an image differ from 400 others by less than this; two single draws would not.
    posterior = vae.encoder(pictures())
    first, second = (vae.kl_divergence(posterior).numpy() for _ in range(2))
    assert 0 < np.abs(first - second).max() < 0.5


@pytest.mark.spread(1)
@pytest.mark.parametrize("written_as", ["a.keras", "folder"])
def test_the_whole_term_comes_back(tmp_path, written_as):
    vae = build(kl_weight=0.25, kl_samples=7)
    vae.compile(run_eagerly=True)
    vae.fit(pictures(), verbose=0)
    vae.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as)
    assert loaded.kl_weight == 0.25
    assert loaded.kl_regularizer.num_samples == 7 and loaded.kl_regularizer.use_exact_kl is None
    prior_config = loaded.get_config()["kl"]["distribution_b"]
    assert prior_config == vae.get_config()["kl"]["distribution_b"]
    np.testing.assert_array_equal(loaded.prior.pseudo_inputs, vae.prior.pseudo_inputs)
    np.testing.assert_array_equal(loaded.prior.log_prob(latents(9)), vae.prior.log_prob(latents(9)))
    # Bound to the loaded encoder, not to a copy of it.
    loaded.encoder.set_weights([2 * w for w in vae.encoder.get_weights()])
    assert not np.array_equal(loaded.prior.log_prob(latents(9)), vae.prior.log_prob(latents(9)))


def test_a_term_may_be_given_for_any_prior():
    encoder = tfpvae.build_encoder(image_shape=SHAPE, latent_dim=2, backbone="dense", prior=None)
    prior = tfpvae.build_prior("normal", latent_dim=2)
    term = KLDivergenceRegularizer(prior, use_exact_kl=True, weight=0.5)
    vae = tfpvae.VAE(encoder, build().decoder, prior=term)
    assert vae.prior is prior and vae.kl_weight == 0.5
    assert len(vae.weights) == len(encoder.weights) + len(vae.decoder.weights) + 2
    again = tfpvae.VAE.from_config(vae.get_config())
    assert again.kl_weight == 0.5 and again.kl_regularizer.use_exact_kl is True


def test_xla_trains_it():
    vae = build()
    vae.compile(tf_keras.optimizers.Adam(0.01), jit_compile=True)
    history = vae.fit(pictures(40), batch_size=8, epochs=8, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
