"""Bounds against probabilistic PCA's closed form, errors against the spread over seeds."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from tests.evaluation import linear
from tests.models.test_vae import pictures, small_vae
from tfpvae import evaluation
from tfpvae.evaluation import importance_sampling
from tfpvae.models import estimators


def test_with_the_exact_posterior_every_bound_is_the_log_likelihood():
    x = linear.images(20)
    result = evaluation.importance_bounds(linear.vae(), x, 100, ks=[1, 5, 50], seed=1)
    expected = linear.log_likelihood(x)
    for values in (result.log_likelihood, *result.curve.values()):
        np.testing.assert_allclose(values, expected, rtol=1e-4)  # float32, as everywhere
    np.testing.assert_allclose(result.standard_error, 0, atol=1e-4)  # all weights are alike
    np.testing.assert_allclose(result.effective_samples, 100, rtol=1e-4)


def test_with_a_wrong_posterior_the_bound_rises_with_the_draws():
    x = linear.images(100)
    vae, truth = linear.vae(scale=1.5), linear.log_likelihood(x)
    result = [evaluation.importance_bounds(vae, x, 500, [1, 5, 50], seed=s) for s in range(10)]
    gaps = {k: np.stack([each.curve[k] for each in result]) - truth for k in (1, 5, 50)}
    means = {k: gap.mean() for k, gap in gaps.items()}
    errors = {k: 3 * gap.mean(axis=1).std(ddof=1) / np.sqrt(len(gap)) for k, gap in gaps.items()}
    assert means[1] <= means[5] + errors[1] + errors[5]
    assert means[5] <= means[50] + errors[5] + errors[50]
    assert means[50] <= errors[50]
    assert means[1] < -0.1  # so that there is something to rise over


def test_the_standard_error_is_the_spread_over_seeds():
    x = linear.images(50)
    vae = linear.vae(scale=1.3)
    result = [evaluation.importance_bounds(vae, x, 200, seed=seed) for seed in range(30)]
    spread = np.var([each.log_likelihood for each in result], axis=0, ddof=1).mean()
    said = np.mean([each.standard_error**2 for each in result])
    # 30 values a variance, 50 variances: 4%; the delta method's next term is of order 1/200.
    assert said == pytest.approx(spread, rel=0.15)


def test_its_draws_are_those_of_the_vae():
    vae, x = small_vae(), pictures()
    result = evaluation.importance_bounds(vae, x, 40, seed=3)
    np.testing.assert_allclose(result.log_likelihood, vae.log_likelihood(x, 40, seed=3), rtol=1e-5)
    one = evaluation.importance_bounds(vae, x, 1, [1], seed=3)
    np.testing.assert_allclose(one.curve[1], vae.log_likelihood(x, 1, seed=3), rtol=1e-5)
    assert np.isinf(one.standard_error).all()  # of one draw there is no telling


@pytest.mark.parametrize("num_samples", [20, 23])
def test_an_image_that_fills_passes_has_draws_of_its_own(monkeypatch, num_samples):
    monkeypatch.setattr(estimators, "_PIXELS_PER_PASS", 7 * 30)  # 7 rows at a time
    vae, x = small_vae(), pictures(4)
    together = evaluation.importance_bounds(vae, x, num_samples, [5], seed=3)
    alone = evaluation.importance_bounds(vae, x[:2], num_samples, [5], seed=3)
    np.testing.assert_array_equal(alone.log_likelihood, together.log_likelihood[:2])
    np.testing.assert_array_equal(alone.curve[5], together.curve[5][:2])
    same = evaluation.importance_bounds(vae, np.repeat(x[:1], 2, axis=0), num_samples, seed=3)
    assert same.log_likelihood[0] != same.log_likelihood[1]


@pytest.mark.spread(3)
@pytest.mark.parametrize("rows", [1, 7, 12, 1000])
@pytest.mark.parametrize("count", [1, 3])
def test_slices_of_a_pass_are_the_pass(monkeypatch, rows, count):
    vae, x, draws = small_vae(prior="mixture"), tf.constant(pictures(count)), tf.constant(23)
    at_once = estimators.log_weights(vae, x, draws, tf.constant([1, 2]))
    monkeypatch.setattr(estimators, "_PIXELS_PER_SLICE", rows * 30)
    in_slices = estimators.log_weights(vae, x, draws, tf.constant([1, 2]))
    np.testing.assert_allclose(in_slices, at_once, rtol=1e-5)
    posterior = vae.encoder(x)
    latents = posterior.sample(draws, seed=tf.constant([1, 2]))
    for z, result in zip(latents, at_once, strict=True):  # draw by draw, by the definition
        expected = vae.decoder(z).log_prob(x) + vae.prior.log_prob(z) - posterior.log_prob(z)
        np.testing.assert_allclose(result, expected, rtol=1e-4)


@settings(max_examples=50)
@given(st.lists(st.floats(-800, 800), min_size=2, max_size=30), st.integers(1, 30))
def test_mean_error_and_groups_are_those_of_the_definitions(values, k):
    log_weights = np.array(values)
    value, error, effective = importance_sampling.log_mean(log_weights)
    assert value == pytest.approx(special.logsumexp(log_weights) - np.log(len(values)))
    weights = np.exp(log_weights - log_weights.max())
    expected = weights.std(ddof=1) / np.sqrt(len(weights)) / weights.mean()
    assert error == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert 1 - 1e-9 <= effective <= len(values) + 1e-9
    k = min(k, len(values))
    groups = [log_weights[i : i + k] for i in range(0, len(values) - k + 1, k)]
    means = [special.logsumexp(group) - np.log(k) for group in groups]
    assert importance_sampling.bound(log_weights, k) == pytest.approx(np.mean(means))
    assert importance_sampling.bound(log_weights, k) <= value + np.log(len(values))


def test_more_draws_than_there_are_are_refused():
    with pytest.raises(ValueError, match="ks: wanted at most num_samples=5, got 6"):
        evaluation.importance_bounds(small_vae(), pictures(), 5, [6])
    with pytest.raises(ValueError, match="ks: wanted a whole number, at least 1, got 0"):
        evaluation.importance_bounds(small_vae(), pictures(), 5, [0])
    with pytest.raises(ValueError, match="importance_bounds: wanted a VAE with a prior"):
        evaluation.importance_bounds(small_vae(posterior="deterministic"), pictures())
