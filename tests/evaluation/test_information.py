"""Rate, units and the aggregate posterior against closed forms and integrals."""

import numpy as np
import pytest
from scipy import integrate, special, stats

import tfpvae
from tests import reference
from tests.evaluation import linear
from tests.models.test_probabilistic import as_images, linear_gaussian
from tests.models.test_vae import pictures, small_vae
from tfpvae import _checks, evaluation
from tfpvae.distributions import divergences
from tfpvae.models import estimators


def one_dimensional(count, noise=0.1):
    """A linear Gaussian VAE of one latent, with its images and its posteriors' mean and scale."""
    rng = np.random.default_rng(3)
    data = 0.5 + 0.1 * rng.normal(size=(count, 1)) + noise * rng.normal(size=(count, 8)) * 0.7
    vae, mean, _ = linear_gaussian(data, "independent", rotation=np.eye(1))
    _, weights, variance = reference.probabilistic_pca(data, 1)
    projection, covariance = reference.probabilistic_pca_posterior(weights, variance)
    x = as_images(data)
    means = (x.reshape(count, 8) - mean) @ projection.T
    return vae, x, means[:, 0], float(covariance[0, 0] ** 0.5)


@pytest.mark.parametrize("dequantize", [False, True])
def test_rate_and_distortion_are_the_terms_of_the_elbo(dequantize):
    vae, x = small_vae(likelihood="continuous_bernoulli", dequantize=dequantize), pictures()
    terms = evaluation.rate_distortion(vae, x, 400, seed=0)
    pixels = estimators.preprocess(vae, x, _checks.seed(0))
    np.testing.assert_allclose(terms.rate, vae.kl_divergence(vae.encoder(pixels)), rtol=1e-5)
    elbos = vae.elbo(x, 4000, seed=0).numpy()
    # The draws differ; each image's spread over them is below a nat, 0.05 on 400.
    np.testing.assert_allclose(-terms.rate - terms.distortion, elbos, atol=0.3)


@pytest.mark.parametrize("head", ["tril", "low_rank", "independent"])
def test_kl_per_dimension_is_that_of_the_marginals(head):
    vae, x = linear.vae(head=head, scale=1.2), linear.images(10)
    posterior = vae.encoder(x)
    means, scales = posterior.mean().numpy(), posterior.stddev().numpy()
    expected = 0.5 * (means**2 + scales**2 - 1) - np.log(scales)
    result = evaluation.kl_per_dimension(vae, x)
    np.testing.assert_allclose(result, expected.mean(axis=0), rtol=1e-4)
    rate = np.mean(divergences.exact_kl(posterior, vae.prior))
    assert (
        result.sum() == pytest.approx(rate, rel=1e-4)
        if head == "independent"
        else (result.sum() < rate)
    )


@pytest.mark.parametrize("options", [{"prior": "mixture"}, {"posterior": "iaf"}], ids=str)
def test_without_independent_normals_a_dimension_has_no_kl(options):
    assert evaluation.kl_per_dimension(small_vae(**options), pictures()) is None


def test_unit_variances_are_those_of_the_posterior_means():
    vae, x = linear.vae(), linear.images(50)
    means = evaluation.posterior_means(vae, x)
    np.testing.assert_allclose(means, vae.encoder(x).mean(), rtol=1e-5, atol=1e-6)
    expected = np.mean((means - means.mean(axis=0)) ** 2, axis=0)
    np.testing.assert_allclose(evaluation.unit_variances(means), expected)


def test_of_few_images_the_parts_of_the_rate_are_integrals():
    vae, x, means, scale = one_dimensional(40)
    x, means = x[:4], means[:4]
    z = np.linspace(-8, 8, 20_001)
    each = stats.norm.logpdf(z, means[:, None], scale)
    mixture = special.logsumexp(each, axis=0) - np.log(4)
    density = np.exp(mixture)
    marginal = integrate.trapezoid(density * (mixture - stats.norm.logpdf(z)), z)
    information = integrate.trapezoid(np.exp(each) * (each - mixture), z, axis=1).mean()
    result = evaluation.aggregate_posterior(vae, x, 40_000, seed=0)
    # 10,000 draws an image; the error that is said is that between images, which are not drawn.
    assert result.mutual_information[0] == pytest.approx(information, abs=0.03)
    assert result.marginal_kl[0] == pytest.approx(marginal, abs=0.03)
    assert result.most_information == pytest.approx(np.log(4))
    rate = np.mean(divergences.exact_kl(vae.encoder(x), vae.prior))
    total = result.mutual_information[0] + result.marginal_kl[0]
    assert total == pytest.approx(rate, abs=0.03)


def test_of_many_images_of_the_model_the_aggregate_posterior_is_the_prior():
    vae, x, _, scale = one_dimensional(2000)
    result = evaluation.aggregate_posterior(vae, x, 2000, seed=0)
    expected = -np.log(scale)  # 1/2 log of the variance of p(z) over that of p(z|x)
    assert 0.5 < expected < 3
    error = 4 * result.mutual_information[1]
    # 2000 posteriors make up the normal but for about (1 / scale) / 2 / 2000 nats.
    assert result.mutual_information[0] == pytest.approx(expected, abs=error + 0.02)
    assert result.marginal_kl[0] == pytest.approx(0, abs=4 * result.marginal_kl[1] + 0.02)


def test_images_that_are_told_apart_carry_the_log_of_their_number():
    vae, x = linear.vae(scale=1e-3), linear.images(50)
    result = evaluation.aggregate_posterior(vae, x, 20, seed=0)
    assert result.mutual_information[0] == pytest.approx(np.log(50), abs=1e-3)


def test_standard_errors_are_the_spread_over_seeds():
    vae, x = linear.vae(scale=2.0), linear.images(200)
    result = [evaluation.aggregate_posterior(vae, x, 20, seed=seed) for seed in range(40)]
    for part in ("mutual_information", "marginal_kl"):
        values, errors = np.transpose([getattr(each, part) for each in result])
        # 40 values say a spread to 11%; 20 of 200 images without replacement take off 5%.
        assert np.mean(errors**2) ** 0.5 == pytest.approx(values.std(ddof=1), rel=0.45)


@pytest.mark.spread(3)
@pytest.mark.parametrize("posterior", ["multivariate_normal_tril", "low_rank", "iaf"])
@pytest.mark.parametrize("prior", ["standard_normal", "vampprior"])
def test_every_posterior_has_an_aggregate_in_pieces(monkeypatch, posterior, prior):
    if prior == "vampprior":
        prior = tfpvae.build_prior(prior, latent_dim=2, image_shape=(6, 5, 1), num_components=3)
    vae, x = small_vae(posterior=posterior, prior=prior), pictures()
    at_once = evaluation.aggregate_posterior(vae, x, 24, seed=0)
    monkeypatch.setattr(evaluation.information, "_NUMBERS_A_BLOCK", 24 * 2 * 5)
    in_pieces = evaluation.aggregate_posterior(vae, x, 24, seed=0)
    np.testing.assert_allclose(at_once[0], in_pieces[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(at_once[1], in_pieces[1], rtol=1e-4, atol=1e-5)
