"""Annealed importance sampling against probabilistic PCA's closed form."""

import numpy as np
import pytest

from tests.evaluation import linear
from tests.models.test_vae import pictures, small_vae
from tfpvae import evaluation
from tfpvae.models import estimators


def test_from_the_exact_posterior_every_chain_has_the_same_weight():
    x = linear.images(4)
    result = evaluation.annealed_log_likelihood(linear.vae(), x, 5, 3, start="posterior", seed=0)
    # Float32, added up over five steps of three chains.
    np.testing.assert_allclose(result.log_likelihood, linear.log_likelihood(x), rtol=1e-3)
    np.testing.assert_allclose(result.standard_error, 0, atol=1e-3)


@pytest.mark.spread(1)
@pytest.mark.parametrize("start", ["prior", "posterior"])
def test_it_agrees_with_the_closed_form_within_its_error(start):
    x = linear.images(30)
    vae = linear.vae(scale=1.3)
    result = evaluation.annealed_log_likelihood(vae, x, 60, 32, start=start, seed=0)
    differences = result.log_likelihood - linear.log_likelihood(x)
    bias = np.mean(result.standard_error**2) / 2  # of a log of a mean, to its first order
    error = np.sqrt(np.mean(result.standard_error**2) / len(x))
    assert 0 < error < 0.1
    assert abs(differences.mean() + bias) < 4 * error + bias
    assert (result.acceptance > 0.5).all() and (result.acceptance <= 1).all()


def test_the_two_bounds_hold_the_entropy_between_them():
    """E log p(x) over the model's own images is minus the entropy of a Gaussian."""
    vae = linear.vae(scale=1.3)
    _, covariance = linear.moments()
    expected = -0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    gaps = {}
    for start, steps in (("posterior", 20), ("prior", 20), ("prior", 4)):
        lower, upper = evaluation.simulated_bounds(vae, 200, steps, 8, start=start, seed=0)
        error = 4 * np.std(upper) / np.sqrt(len(upper))  # by which images were drawn
        assert lower.mean() - error < expected < upper.mean() + error
        gaps[start, steps] = np.mean(upper - lower)
    assert -0.02 < gaps["posterior", 20] < 0.3
    assert gaps["posterior", 20] < gaps["prior", 20] < gaps["prior", 4] / 2


def test_it_is_seeded_and_in_pieces(monkeypatch):
    vae, x = small_vae(), pictures(5)
    monkeypatch.setattr(estimators, "_PIXELS_PER_PASS", 8 * 30)  # two images of four chains
    once, again = (evaluation.annealed_log_likelihood(vae, x, 3, 4, seed=1) for _ in range(2))
    np.testing.assert_array_equal(once.log_likelihood, again.log_likelihood)
    assert once.log_likelihood.shape == once.acceptance.shape == (5,)
    first, second = (evaluation.simulated_bounds(vae, 5, 3, 4, seed=2) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_another_start_is_refused():
    with pytest.raises(ValueError, match="start: wanted one of 'posterior', 'prior', got 'middle'"):
        evaluation.annealed_log_likelihood(small_vae(), pictures(), start="middle")
    for ask in (
        lambda vae: evaluation.annealed_log_likelihood(vae, pictures()),
        lambda vae: evaluation.simulated_bounds(vae, 2),
    ):
        with pytest.raises(ValueError, match="wanted a VAE with a prior"):
            ask(small_vae(posterior="deterministic"))
