"""Ladders of two linear groups against the same Gaussians in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfpvae
from tests import linear_ladder, reference
from tests.linear_ladder import SIZE, TOP
from tfpvae.distributions import divergences, ladder, remembered
from tfpvae.models import objectives
from tfpvae.networks.ladder import DensePath

tfd = tfp.distributions


@pytest.fixture(scope="module")
def linear():
    return linear_ladder.build(widened=1.2)


def exact_kls(gaussians) -> np.ndarray:
    return np.array(
        [
            reference.gaussian_kl(mean, gaussians.posterior_covariance, *gaussians.prior)
            for mean in gaussians.posterior_means
        ]
    )


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3)])
def test_densities_are_those_of_the_gaussians(linear, shape):
    vae, gaussians = linear
    posterior = vae.encoder(gaussians.images)
    z = posterior.sample(shape, seed=(1, 2))
    assert z.shape == (*shape, 20, SIZE)
    log_q, log_p = posterior.log_prob(z), vae.prior.log_prob(z)
    assert log_q.shape == log_p.shape == (*shape, 20)
    rows = z.numpy().reshape(-1, SIZE).astype("float64")
    means = np.tile(gaussians.posterior_means, (len(rows) // 20, 1))
    expected = reference.gaussian_log_density(rows - means, 0, gaussians.posterior_covariance)
    # Float32, of sums of five terms of some units.
    np.testing.assert_allclose(np.ravel(log_q), expected, rtol=1e-4, atol=1e-3)
    expected = reference.gaussian_log_density(rows, *gaussians.prior)
    np.testing.assert_allclose(np.ravel(log_p), expected, rtol=1e-4, atol=1e-3)


def test_latents_of_one_image_are_broadcast(linear):
    vae, gaussians = linear
    z = np.random.default_rng(1).normal(size=(4, 1, SIZE)).astype("float32")
    posterior = vae.encoder(gaussians.images)
    pairs = posterior.log_prob(np.broadcast_to(z, (4, 20, SIZE)))
    np.testing.assert_array_equal(posterior.log_prob(z), pairs)
    np.testing.assert_array_equal(posterior.log_prob(z[0, 0]), pairs[0])


def test_draws_have_the_moments_of_the_gaussians(linear):
    vae, gaussians = linear
    draws = vae.encoder(gaussians.images[:1]).sample(100_000, seed=(1, 2)).numpy()[:, 0]
    of_prior = vae.prior.sample(100_000, seed=(1, 2)).numpy()
    expected = {"q": (gaussians.posterior_means[0], gaussians.posterior_covariance)}
    expected["p"] = gaussians.prior
    for name, values in (("q", draws), ("p", of_prior)):
        mean, covariance = expected[name]
        error = np.sqrt(np.diag(covariance) / len(values))
        assert (np.abs(values.mean(axis=0) - mean) < 5 * error).all()
        # An element of the covariance has a variance of at most 2 S_ii S_jj / N.
        error = np.sqrt(2 * np.outer(np.diag(covariance), np.diag(covariance)) / len(values))
        assert (np.abs(np.cov(values.T) - covariance) < 5 * error).all()


def test_the_path_of_means_is_the_mean_where_groups_depend_linearly(linear):
    vae, gaussians = linear
    posterior = vae.encoder(gaussians.images)
    np.testing.assert_allclose(posterior.mean(), gaussians.posterior_means, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(vae.prior.mean(), gaussians.prior[0], rtol=1e-5)
    scales = np.sqrt(np.diag(gaussians.posterior_covariance))
    stddev = posterior.stddev().numpy()
    np.testing.assert_allclose(stddev[:, :TOP], np.tile(scales[:TOP], (20, 1)), rtol=1e-3)
    # Of 16 draws, in pairs of opposite sign.
    np.testing.assert_allclose(stddev, np.tile(scales, (20, 1)), rtol=0.5)


def test_the_kl_is_unbiased_and_has_less_noise_than_log_densities(linear):
    vae, gaussians = linear
    posterior = vae.encoder(gaussians.images)
    z = posterior.sample(4000, seed=(1, 2))
    kls, ratios = (
        function(posterior, vae.prior, z).numpy()
        for function in (divergences.estimated_kl, divergences.sampled_kl)
    )
    expected = exact_kls(gaussians)
    for values in (kls, ratios):
        error = values.std(axis=0) / np.sqrt(len(values))
        assert (np.abs(values.mean(axis=0) - expected) < 4.5 * error + 1e-4 * expected).all()
    assert (kls.std(axis=0) < 0.7 * ratios.std(axis=0)).all()
    groups = divergences.kl_per_group(posterior, vae.prior, z)
    assert groups.shape == (4000, 20, 2)
    np.testing.assert_allclose(tf.reduce_sum(groups, axis=-1), kls, rtol=1e-5)
    assert np.ptp(groups[..., 0].numpy(), axis=0).max() == 0  # of the top, which has none above it
    top = [
        reference.gaussian_kl(
            mean[:TOP], gaussians.posterior_covariance[:TOP, :TOP], np.zeros(TOP), np.eye(TOP)
        )
        for mean in gaussians.posterior_means
    ]
    np.testing.assert_allclose(groups[0, :, 0], top, rtol=1e-3)
    assert vae.kl_method == "monte_carlo"


def test_a_prior_of_another_path_has_the_kl_of_its_densities(linear):
    vae, gaussians = linear
    posterior = vae.encoder(gaussians.images)
    prior = tfpvae.build_prior(latent_dim=SIZE)
    z = posterior.sample(3, seed=(1, 2))
    assert divergences.kl_per_group(posterior, prior, z) is None
    np.testing.assert_allclose(
        divergences.estimated_kl(posterior, prior, z),
        posterior.log_prob(z) - prior.log_prob(z),
        rtol=1e-6,
    )


def test_free_bits_are_of_each_group(linear):
    vae, gaussians = linear
    posterior = vae.encoder(gaussians.images)
    z = posterior.sample(2, seed=(1, 2))
    groups = divergences.kl_per_group(posterior, vae.prior, z).numpy().mean(axis=(0, 1))
    sizes = np.array([TOP, SIZE - TOP])
    for free_bits in (0.01, groups.mean() / 2, 100.0):
        loss = objectives.with_free_bits(posterior, vae.prior, tf.zeros([20]), free_bits, latents=z)
        expected = np.maximum(groups, free_bits * sizes).sum()
        np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_elbo_is_that_of_the_gaussians_and_below_log_p(linear):
    vae, gaussians = linear
    weights, mean, sigma = gaussians.decoder
    x = gaussians.images.reshape(20, -1)
    reconstructed = mean + gaussians.posterior_means @ weights.T
    spread = np.trace(weights @ gaussians.posterior_covariance @ weights.T)
    squares = ((x - reconstructed) ** 2).sum(axis=1) + spread
    nll = squares / (2 * sigma**2) + x.shape[1] * np.log(sigma * np.sqrt(2 * np.pi))
    expected = -nll - exact_kls(gaussians)
    parts = np.stack([vae.elbo(gaussians.images, 500, seed=seed) for seed in range(8)])
    error = parts.std(axis=0, ddof=1) / np.sqrt(len(parts))
    assert (np.abs(parts.mean(axis=0) - expected) < 6 * error + 1e-3).all()
    exact = reference.gaussian_log_density(x, *gaussians.pixels)
    assert (expected < exact).all()
    bound = vae.log_likelihood(gaussians.images, 3000, seed=0).numpy()
    np.testing.assert_allclose(bound, exact, atol=0.1)  # the noise of 3,000 weights
    assert abs((bound - exact).mean()) < 0.02


def test_annealing_agrees_with_the_closed_form(linear):
    vae, gaussians = linear
    x = gaussians.images[:8]
    result = tfpvae.evaluation.annealed_log_likelihood(vae, x, 40, 16, start="posterior", seed=0)
    exact = reference.gaussian_log_density(x.reshape(8, -1), *gaussians.pixels)
    differences = result.log_likelihood - exact
    bias = np.mean(result.standard_error**2) / 2  # of a log of a mean, to its first order
    error = np.sqrt(np.mean(result.standard_error**2) / len(x))
    assert abs(differences.mean() + bias) < 4 * error + bias + 2e-3


# What a draw remembers


@pytest.fixture
def walks(monkeypatch):
    """Returns a list that grows by one with each walk through the groups."""
    counted, descend = [], ladder.descend

    def counting(*args, **kwargs):
        counted.append(1)
        return descend(*args, **kwargs)

    monkeypatch.setattr(ladder, "descend", counting)
    return counted


def test_a_draw_is_walked_through_once_while_it_is_remembered(linear, walks):
    vae, gaussians = linear
    posterior = vae.encoder(gaussians.images)
    for context, expected in ((remembered.remembering(), 1), (None, 3)):
        walks.clear()
        if context:
            with context:
                z = posterior.sample(2, seed=(1, 2))
                densities = posterior.log_prob(z), vae.prior.log_prob(z)
        else:
            z = posterior.sample(2, seed=(1, 2))
            densities = posterior.log_prob(z), vae.prior.log_prob(z)
        assert len(walks) == expected
        for distribution, value in zip((posterior, vae.prior), densities, strict=True):
            again = distribution.log_prob(tf.identity(z))
            np.testing.assert_allclose(value, again, rtol=1e-4, atol=1e-4)
    assert remembered.recall(z) is None


def test_a_draw_of_one_posterior_is_none_of_another(linear):
    vae, gaussians = linear
    first, second = (vae.encoder(part) for part in np.split(gaussians.images, 2))
    with remembered.remembering():
        z = first.sample(seed=(1, 2))
        value = second.log_prob(z)
    np.testing.assert_allclose(value, second.log_prob(tf.identity(z)), rtol=1e-4, atol=1e-4)
    assert np.abs(value - first.log_prob(z)).max() > 1


def test_a_graph_forgets_what_another_remembers(linear):
    vae, gaussians = linear
    posterior = vae.encoder(gaussians.images)
    with remembered.remembering():
        z = posterior.sample(seed=(1, 2))
        inside = tf.function(lambda: vae.prior.log_prob(z))()
        np.testing.assert_allclose(inside, vae.prior.log_prob(z), rtol=1e-4)


def test_gradients_of_a_step_do_not_depend_on_memory(monkeypatch):
    vae = tfpvae.build_vae("dense", image_shape=(6, 5, 1), latent_dim=5, posterior="ladder")
    x = np.random.default_rng(0).uniform(size=(8, 6, 5, 1)).astype("float32")
    rng = np.random.default_rng(1)
    vae.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in vae.get_weights()])

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(vae.loss_terms(x, seed=0).loss)
        return [loss, *tape.gradient(loss, vae.trainable_variables)]

    kept = gradients()
    monkeypatch.setattr(ladder, "recall", lambda tensor: None)
    for one, other in zip(kept, gradients(), strict=True):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


# Errors


def test_a_prior_without_a_path_says_so():
    prior = tfpvae.priors.Ladder(5, tfpvae.build_prior(latent_dim=2))
    for ask in (prior.sample, lambda: prior.log_prob(tf.zeros([5]))):
        with pytest.raises(ValueError, match="prior: wanted a Ladder that is bound"):
            ask()


def test_a_prior_is_of_one_path_of_its_sizes():
    prior = tfpvae.priors.Ladder(5, tfpvae.build_prior(latent_dim=2))
    with pytest.raises(ValueError, match="wanted a Ladder of 5 latents, 1 of them in the top"):
        prior.bind(DensePath([1, 4]))
    prior.bind(DensePath([2, 3]))
    with pytest.raises(ValueError, match="Each encoder needs its own"):
        prior.bind(DensePath([2, 3]))


@pytest.mark.parametrize(
    "top", [tfd.Normal(0.0, 1.0), tfd.MultivariateNormalDiag(tf.zeros([3, 2]))]
)
def test_the_top_is_one_distribution_over_vectors(top):
    with pytest.raises(ValueError, match="top: wanted one distribution over vectors"):
        tfpvae.priors.Ladder(5, top)
