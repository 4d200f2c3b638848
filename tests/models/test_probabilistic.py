"""The methods of a trained VAE, against closed forms and its own networks."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests import reference
from tests.models.test_vae import BAD_IMAGES, SHAPE, _batches, pictures, small_vae
from tests.pairs import once

tfkl = tf_keras.layers


def _raw(scale):
    return np.log(np.expm1(scale))  # the inverse of softplus


def _tril_parameters(covariance):
    scale = np.linalg.cholesky(covariance)
    raw = scale - np.diag(np.diag(scale)) + np.diag(_raw(np.diag(scale)))
    return tfp.math.fill_triangular_inverse(raw).numpy()


def _low_rank_parameters(covariance):
    variance = np.linalg.eigvalsh(covariance)[0] / 2  # so that the rest has full rank
    factors = np.linalg.cholesky(covariance - variance * np.eye(len(covariance)))
    factors = 300 * np.arctanh(factors / np.sqrt(variance) / 30)
    return np.concatenate([np.full(len(covariance), _raw(np.sqrt(variance))), factors.ravel()])


# Posterior layers, and the parameters after the means for a covariance. "independent" is the best
# approximation without correlations: its variances are those of the precision matrix.
HEADS = {
    "tril": (tfpvae.layers.MultivariateNormalTriL, {}, _tril_parameters),
    "low_rank": (tfpvae.layers.MultivariateNormalLowRank, {"rank": 3}, _low_rank_parameters),
    "independent": (
        tfpvae.layers.IndependentNormal,
        {},
        lambda covariance: _raw(np.diag(np.linalg.inv(covariance)) ** -0.5),
    ),
}
ROTATION = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]


def linear_gaussian(data, head="tril", *, rotation=ROTATION, scale=1.0):
    """Returns probabilistic PCA as a VAE, and the mean and covariance of its p(x).

    The covariance of q(z|x) is the exact one times scale^2.
    """
    latent_dim = len(rotation)
    mean, weights, variance = reference.probabilistic_pca(data, latent_dim)
    weights = weights @ rotation
    pixels = len(mean)
    shape = (pixels, 1, 1)
    decoder = tf_keras.Sequential(
        [
            tf_keras.Input((latent_dim,)),
            tfkl.Dense(2 * pixels),
            tfpvae.layers.IndependentNormal(shape, "mean", scale_floor=0.0),
        ]
    )
    kernel = np.concatenate([weights.T, np.zeros((latent_dim, pixels))], axis=1)
    decoder.set_weights([kernel, np.concatenate([mean, np.full(pixels, _raw(variance**0.5))])])
    cls, options, parameters = HEADS[head]
    kl = tfpvae.layers.KLDivergenceRegularizer(tfpvae.build_prior(latent_dim=latent_dim))
    posterior = cls(latent_dim, scale_floor=0.0, activity_regularizer=kl, **options)
    encoder = tf_keras.Sequential(
        [tf_keras.Input(shape), tfkl.Flatten(), tfkl.Dense(posterior.num_params), posterior]
    )
    projection, covariance = reference.probabilistic_pca_posterior(weights, variance)
    kernel = np.zeros((pixels, posterior.num_params))
    kernel[:, :latent_dim] = projection.T
    raw = parameters(scale**2 * covariance)
    encoder.set_weights([kernel, np.concatenate([-projection @ mean, raw])])
    return tfpvae.VAE(encoder, decoder), mean, weights @ weights.T + variance * np.eye(pixels)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 8)) * 0.15
    return 0.5 + rng.normal(size=(400, 3)) @ mixing + 0.05 * rng.normal(size=(400, 8))


def as_images(data):
    return np.clip(data, 0, 1).reshape(-1, 8, 1, 1).astype(tf_keras.backend.floatx())


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("head", "num_samples"), once(["tril", "low_rank", "independent"], [5, 50, 1])
)
def test_with_the_exact_posterior_every_bound_equals_the_log_likelihood(
    data, head, num_samples, tolerance
):
    # Without a rotation the true posterior has no correlations.
    rotation = np.eye(3) if head == "independent" else ROTATION
    vae, mean, covariance = linear_gaussian(data, head, rotation=rotation)
    x = as_images(data[:20])
    expected = reference.gaussian_log_density(x.reshape(20, 8), mean, covariance)
    result = vae.log_likelihood(x, num_samples, seed=1)
    np.testing.assert_allclose(result, expected, rtol=tolerance)
    np.testing.assert_allclose(vae.elbo(x, num_samples, seed=2), expected, rtol=tolerance)


@pytest.mark.parametrize("head", ["tril", "independent"])
def test_log_joint_minus_log_posterior_is_the_log_likelihood_at_every_z(data, head, tolerance):
    """log p(x, z) - log q(z|x) = log p(x), also at latents that q hardly ever draws."""
    rotation = ROTATION if head == "tril" else np.eye(3)
    vae, mean, covariance = linear_gaussian(data, head, rotation=rotation)
    x = as_images(data[:20])
    expected = reference.gaussian_log_density(x.reshape(20, 8), mean, covariance)
    posterior = vae.encoder(x)
    for shift in (-4.0, 0.0, 1.0):
        z = posterior.mean() + shift * posterior.stddev()
        joint = vae.decoder(z).log_prob(x) + vae.prior.log_prob(z)
        # The two terms are larger than their difference, and so are their rounding errors.
        size = np.abs(joint).max()
        result = joint - posterior.log_prob(z)
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance / 10 * size)


def test_the_gap_of_a_diagonal_posterior_is_its_kl_to_the_true_posterior(data, floatx):
    vae, mean, covariance = linear_gaussian(data, "independent")
    x = as_images(data[:5])
    expected = reference.gaussian_log_density(x.reshape(5, 8), mean, covariance)
    _, weights, variance = reference.probabilistic_pca(data, 3)
    _, true = reference.probabilistic_pca_posterior(weights @ ROTATION, variance)
    zeros, best = np.zeros(3), np.diag(1 / np.diag(np.linalg.inv(true)))
    gap = reference.gaussian_kl(zeros, best, zeros, true)  # the means are exact
    assert gap > 0.1
    elbos = np.stack([vae.elbo(x, 500, seed=seed) for seed in range(20)])
    errors = elbos.std(axis=0) / np.sqrt(len(elbos))
    assert (np.abs(elbos.mean(axis=0) - (expected - gap)) < 4 * errors).all()


def test_with_an_inexact_posterior_the_bound_rises_with_the_number_of_samples(data, floatx):
    vae, mean, covariance = linear_gaussian(data, scale=1.5)
    x = as_images(data[:100])
    truth = reference.gaussian_log_density(x.reshape(100, 8), mean, covariance)
    bounds = {}
    for k in (1, 5, 50):
        gaps = np.stack([vae.log_likelihood(x, k, seed=s) - truth for s in range(10)])
        bounds[k] = gaps.mean(), gaps.std() / np.sqrt(gaps.size)
    errors = 3 * max(error for _, error in bounds.values())
    means = [bounds[k][0] for k in (1, 5, 50)]
    assert means[0] < means[1] + errors < means[2] + 2 * errors < 3 * errors
    assert means[0] < -0.1  # so that there is a gap to close


def test_the_bound_of_one_sample_is_the_elbo_of_the_same_noise(data, tolerance):
    vae, _, _ = linear_gaussian(data, scale=1.5)
    x = as_images(data[:6])
    np.testing.assert_allclose(
        vae.log_likelihood(x, 1, seed=4), vae.elbo(x, 1, seed=4), rtol=tolerance, atol=tolerance
    )


NORMALS = ["independent_normal", "multivariate_normal_tril"]


def _normal_prior(floatx):
    scale = np.array([[0.8, 0.0], [-0.4, 1.1]], floatx)
    return tfp.distributions.MultivariateNormalTriL(np.array([0.3, -1.2], floatx), scale)


@pytest.mark.spread(4)
@pytest.mark.parametrize("posterior", NORMALS)
@pytest.mark.parametrize("prior", ["standard_normal", "tril"])
def test_the_kl_of_each_image_agrees_with_the_textbook_formula(posterior, prior, floatx):
    vae_prior = _normal_prior(floatx) if prior == "tril" else prior
    vae = small_vae(posterior=posterior, prior=vae_prior)
    q, p = vae.encoder(pictures(dtype=floatx)), vae.prior
    covariances = q.covariance() if posterior == NORMALS[1] else tf.linalg.diag(q.variance())
    covariance = p.covariance() if prior == "tril" else np.eye(2)
    expected = [
        reference.gaussian_kl(m, c, np.asarray(p.mean()), np.asarray(covariance))
        for m, c in zip(np.asarray(q.mean()), np.asarray(covariances), strict=True)
    ]
    tolerance = {"float32": 1e-5, "float64": 1e-10}[floatx]
    assert vae.kl_method == "exact"
    np.testing.assert_allclose(vae.kl_divergence(q), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("posterior", NORMALS)
def test_the_kl_of_a_posterior_equal_to_the_prior_is_zero(posterior, floatx):
    vae = small_vae(posterior=posterior)
    layer = vae.encoder.get_layer("posterior_parameters")
    kernel, bias = layer.get_weights()
    bias[:2], bias[2:] = 0, vae.encoder.get_layer("posterior").start_params(1 - 1e-5)
    layer.set_weights([0 * kernel, bias])
    tolerance = {"float32": 1e-6, "float64": 1e-9}[floatx]  # start_params are computed in float32
    result = vae.kl_divergence(vae.encoder(pictures(dtype=floatx)))
    np.testing.assert_allclose(result, np.zeros(12), atol=tolerance)


@pytest.mark.parametrize("posterior", NORMALS)
def test_the_monte_carlo_kl_is_within_four_standard_errors_of_the_exact_one(posterior, floatx):
    vae = small_vae(posterior=posterior, prior=_normal_prior(floatx), use_exact_kl=False)
    q = vae.encoder(pictures(4, dtype=floatx))
    z = q.sample(20_000, seed=(1, 2))
    estimates = q.log_prob(z) - vae.prior.log_prob(z)
    error = np.std(estimates, axis=0) / np.sqrt(len(z))
    exact = tfpvae.layers.KLDivergenceRegularizer(vae.prior, use_exact_kl=True).kl_divergence(q)
    assert vae.kl_method == "monte_carlo"
    assert (np.abs(vae.kl_divergence(q, z) - exact) < 4 * error).all()


def test_scores_in_several_passes_agree_with_one_pass(monkeypatch):
    from tfpvae.models import estimators

    vae = small_vae()
    x = pictures(10)
    at_once = np.mean(vae.log_likelihood(x, 4000, seed=0))
    monkeypatch.setattr(estimators, "_PIXELS_PER_PASS", 7 * 30)  # 7 rows at a time
    np.testing.assert_array_equal(vae.sample(20, seed=3).shape, (20, *SHAPE))
    in_passes = np.mean(vae.log_likelihood(x[:2], 100, seed=0))
    assert in_passes == pytest.approx(np.mean(vae.log_likelihood(x[:2], 4000, seed=1)), abs=0.1)
    elbo = np.mean(vae.elbo(x[:2], 100, seed=0))
    assert elbo < in_passes < at_once + 5
    np.testing.assert_array_equal(vae.elbo(x, 3, seed=0), vae.elbo(x, 3, seed=0))


def test_log_likelihood_survives_weights_that_underflow():
    """exp(-9,000) is 0 in any dtype, as would be the mean of such weights."""
    vae = small_vae()
    *weights, bias = vae.decoder.get_weights()
    vae.decoder.set_weights([*weights, bias + 600])  # certainly white
    black = np.zeros([2, *SHAPE], "float32")
    bound, elbo = (score(black, 20, seed=0) for score in (vae.log_likelihood, vae.elbo))
    assert np.isfinite(bound).all() and np.max(bound) < -9_000
    assert (np.asarray(bound) > np.asarray(elbo)).all()


def test_sample_decodes_draws_of_the_prior():
    vae = small_vae()
    latents = vae.prior.sample(7, seed=(5, 0))
    np.testing.assert_allclose(vae.sample(7, seed=(5, 0)), vae.decoder(latents).mean(), rtol=1e-5)
    np.testing.assert_array_equal(vae.sample(3, seed=5), vae.sample(3, seed=(5, 0)))
    assert not np.array_equal(vae.sample(3), vae.sample(3))


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros([3, 5]), r"wanted shape \[N, 2\], got \(3, 5\)"),
        (np.zeros([1, 3, 2]), r"wanted shape \[N, 2\], got \(1, 3, 2\)"),
        # A rectifier makes 0 of NaN, and so a picture.
        ([[0.0, np.nan], [0.0, 0.0]], "wanted finite numbers"),
        ([np.inf, 0.0], "wanted finite numbers"),
    ],
)
def test_invalid_latents_are_refused(latents, message):
    with pytest.raises(ValueError, match=f"^latents: {message}"):
        small_vae().decode(latents)


def test_reconstruct_decodes_the_posterior_mean():
    vae = small_vae()
    expected = vae.decoder(vae.encoder(pictures()).mean()).mean()
    np.testing.assert_allclose(vae.reconstruct(pictures()), expected, rtol=1e-5)
    np.testing.assert_allclose(vae.predict(pictures(), verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(vae.reconstruct(_batches(pictures())), expected, rtol=1e-5)


def test_a_plain_autoencoder_without_a_prior_refuses_to_sample_and_score():
    vae = small_vae(posterior="deterministic")
    assert vae.prior is None
    for call in (
        lambda: vae.sample(1),
        lambda: vae.elbo(pictures()),
        lambda: vae.log_likelihood(pictures()),
    ):
        with pytest.raises(ValueError, match="wanted a VAE with a prior"):
            call()


def test_bits_per_dim_of_a_mass_and_of_a_dequantized_density():
    x = pictures(3, "uint8")
    mass = small_vae(likelihood="discretized_logistic")
    bits = -mass.log_likelihood(x, 5, seed=0) / (30 * np.log(2))
    np.testing.assert_allclose(mass.bits_per_dim(x, 5, seed=0), bits, rtol=1e-6)
    density = small_vae(likelihood="normal", dequantize=True)
    bits = 8 - density.log_likelihood(x, 5, seed=0) / (30 * np.log(2))
    np.testing.assert_allclose(density.bits_per_dim(x, 5, seed=0), bits, rtol=1e-6)


def test_a_uniform_density_takes_eight_bits_per_pixel():
    """A continuous Bernoulli of logit 0 is uniform."""
    vae = small_vae(likelihood="continuous_bernoulli", dequantize=True)
    vae.decoder.set_weights([0 * weight for weight in vae.decoder.get_weights()])
    vae.encoder.set_weights([0 * weight for weight in vae.encoder.get_weights()])
    excess = vae.bits_per_dim(pictures(3), 500, seed=0) - 8
    np.testing.assert_allclose(excess, 0, atol=0.01)  # the noise of 500 weights


@pytest.mark.parametrize(
    "options",
    [{}, {"likelihood": "normal"}, {"likelihood": "continuous_bernoulli"}],
    ids=str,
)
def test_bits_per_dim_is_refused_for_likelihoods_without_bits(options):
    with pytest.raises(ValueError, match="bits_per_dim: wanted a probability mass of 8-bit pixels"):
        small_vae(**options).bits_per_dim(pictures())


@pytest.mark.parametrize("method", ["elbo", "log_likelihood"])
def test_bad_images_are_refused_by_the_scores(method):
    score = getattr(small_vae(), method)
    for kind in ("wrong rank", "above 1", "NaN", "empty", "whole numbers"):
        bad, error, message = BAD_IMAGES[kind]
        with pytest.raises(error, match=f"images: .*{message}"):
            score(bad)
    with pytest.raises(ValueError, match="num_samples: .*0"):
        score(pictures(), 0)
    with pytest.raises(ValueError, match=r"seed: .*\(1, 2, 3\)"):
        score(pictures(), seed=(1, 2, 3))


def test_a_vae_trains_after_it_has_scored():
    vae, images = small_vae(), pictures(4)
    vae.compile()
    vae.elbo(images, seed=0), vae.log_likelihood(images, 2, seed=0), vae.encode(images)
    assert vae.encoder in vae.submodules
    vae.fit(images, verbose=0)
