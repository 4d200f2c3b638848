import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests import reference
from tests.priors.test_build import stir
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer

tfd = tfp.distributions


def parts(prior):
    """Weights, means and scales of a mixture, in NumPy."""
    logits = prior.mixture_distribution.logits.numpy().astype("float64")
    normals = prior.components_distribution.distribution
    weights = np.exp(logits) / np.exp(logits).sum()
    return weights, normals.loc.numpy(), tf.convert_to_tensor(normals.scale).numpy()


def test_a_normal_starts_as_the_standard_one_and_learns_the_moments_of_what_it_sees():
    prior = tfpvae.build_prior("normal", latent_dim=2)
    z = np.random.default_rng(0).normal(size=(2000, 2)).astype("float32")
    standard = tfpvae.build_prior(latent_dim=2)
    np.testing.assert_allclose(prior.log_prob(z), standard.log_prob(z), rtol=1e-5)
    z = (z * [0.5, 2.0] + [1.0, -2.0]).astype("float32")
    optimizer = tf_keras.optimizers.Adam(0.05)
    for _ in range(200):
        optimizer.minimize(lambda: -tf.reduce_mean(prior.log_prob(z)), prior.trainable_variables)
    np.testing.assert_allclose(prior.mean(), z.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(prior.stddev(), z.std(axis=0), rtol=0.02)


def test_the_kl_against_a_learned_normal_is_the_textbook_formula():
    prior = tfpvae.build_prior("normal", latent_dim=3)
    stir(prior)
    posterior = tfd.MultivariateNormalDiag([0.3, -1.2, 0.5], [0.5, 1.5, 0.9])
    result = KLDivergenceRegularizer(prior, use_exact_kl=True).kl_divergence(posterior)
    expected = reference.gaussian_kl(
        posterior.mean().numpy(),
        posterior.covariance().numpy(),
        prior.mean().numpy(),
        np.diag(prior.variance().numpy()),
    )
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("num_components", [1, 2, 10])
def test_the_density_of_a_mixture_is_the_reference(num_components):
    prior = tfpvae.build_prior("mixture", latent_dim=3, num_components=num_components)
    stir(prior)
    z = np.random.default_rng(1).normal(scale=3, size=(50, 3)).astype("float32")
    expected = reference.normal_mixture_log_density(z, *parts(prior))
    np.testing.assert_allclose(prior.log_prob(z), expected, rtol=1e-5)


def test_one_component_is_that_normal():
    prior = tfpvae.build_prior("mixture", latent_dim=3, num_components=1)
    z = np.random.default_rng(1).normal(size=(50, 3)).astype("float32")
    weights, means, scales = parts(prior)
    expected = tfd.MultivariateNormalDiag(means[0], scales[0]).log_prob(z)
    np.testing.assert_allclose(weights, [1.0])
    np.testing.assert_allclose(prior.log_prob(z), expected, rtol=1e-5)


@pytest.mark.parametrize("latent_dim", [2, 10, 128])
def test_a_mixture_starts_apart_and_within_a_nat_of_the_standard_normal(latent_dim):
    prior = tfpvae.build_prior("mixture", latent_dim=latent_dim)
    weights, means, scales = parts(prior)
    np.testing.assert_allclose(weights, 0.1)
    np.testing.assert_allclose(scales, 1.0, rtol=1e-6)
    apart = np.linalg.norm(means[:, np.newaxis] - means, axis=-1) + 9 * np.eye(10)
    assert apart.min() > 0.05
    z = np.random.default_rng(0).normal(size=(2000, latent_dim)).astype("float32")
    standard = tfpvae.build_prior(latent_dim=latent_dim)
    kl = np.mean(standard.log_prob(z) - prior.log_prob(z))
    assert -0.1 < kl < 1  # KL(N(0, I) || mixture), on 2000 draws


def test_the_monte_carlo_kl_of_a_mixture_is_that_of_quadrature():
    """KL(q || p) = integral of q (log q - log p), on a grid that holds all of q."""
    prior = tfpvae.build_prior("mixture", latent_dim=2, num_components=3)
    stir(prior, scale=1.0)
    mean, scale = np.array([0.5, -0.3]), np.array([0.6, 1.1])
    axis = np.linspace(-10, 10, 801)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log_q = reference.gaussian_log_density(grid, mean, np.diag(scale**2))
    log_p = reference.normal_mixture_log_density(grid, *parts(prior))
    expected = np.sum(np.exp(log_q) * (log_q - log_p)) * (axis[1] - axis[0]) ** 2
    posterior = tfd.MultivariateNormalDiag(mean.astype("float32"), scale.astype("float32"))
    draws = posterior.sample([4000, 1], seed=(1, 2))[:, 0]
    estimates = (posterior.log_prob(draws) - prior.log_prob(draws)).numpy()
    error = estimates.std() / np.sqrt(len(estimates))
    term = KLDivergenceRegularizer(prior)
    result = term.kl_divergence(posterior, draws)
    np.testing.assert_allclose(result, estimates.mean(), rtol=1e-4)
    assert abs(result - expected) < 4 * error
    assert error < 0.1 * expected  # or nothing would be tested


def test_samples_of_a_mixture_have_its_moments():
    prior = tfpvae.build_prior("mixture", latent_dim=2, num_components=3)
    stir(prior, scale=1.0)
    draws = prior.sample(20_000, seed=(1, 2)).numpy()
    weights, means, scales = parts(prior)
    mean = weights @ means
    variance = weights @ (scales**2 + means**2) - mean**2
    assert (np.abs(draws.mean(axis=0) - mean) < 4 * np.sqrt(variance / 20_000)).all()
    np.testing.assert_allclose(prior.mean(), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.05)


def test_a_scale_that_collapses_stays_above_its_floor():
    prior = tfpvae.build_prior("normal", latent_dim=2)
    raw = next(v for v in prior.variables if "scale" in v.name)
    raw.assign([-1000.0, -1000.0])
    np.testing.assert_allclose(prior.stddev(), 1e-5, rtol=1e-4)
    assert np.isfinite(prior.log_prob([0.0, 0.0]))
