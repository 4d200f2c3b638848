"""Discretized logistics and their mixtures against sums over all 256 levels."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import tfpvae
from tests import reference
from tfpvae import layers
from tfpvae.distributions.discretized_logistic import SCALE_FLOOR, DiscretizedLogistic

LEVELS = np.arange(256.0)
# In levels: on a level, between two, in the first and the last, and beyond.
LOCATIONS = np.array([-2.55, 0.0, 0.14, 0.5, 100.0, 100.25, 100.5, 254.9, 255.0, 257.55])
SCALES = np.array([0.3, 0.5, 1.0, 3.0, 25.0, 400.0])


def masses_and_distribution(dtype, scales=SCALES):
    m, s = (part.ravel() for part in np.meshgrid(LOCATIONS, scales))
    distribution = DiscretizedLogistic(tf.constant(m / 255, dtype), tf.constant(s / 255, dtype))
    return reference.discretized_logistic_mass(LEVELS[:, np.newaxis], m, s), distribution


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_mass_of_every_level(dtype):
    expected, distribution = masses_and_distribution(dtype)
    x = (LEVELS / 255).astype(dtype)[:, np.newaxis]
    log_mass = distribution.log_prob(x).numpy()
    # Over a scale of 0.3 levels float32 rounds a location of 257 to 1e-4 of a scale.
    tolerance = {"rtol": 1e-4, "atol": 5e-4} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-9}
    seen = expected > 1e-290  # below, the reference has no digits left
    np.testing.assert_allclose(log_mass[seen], np.log(expected[seen]), **tolerance)
    assert np.isfinite(log_mass).all()
    np.testing.assert_allclose(
        special.logsumexp(log_mass, axis=0), 0, atol=3e-4 if dtype == "float32" else 1e-10
    )


@settings(max_examples=50)
@given(st.floats(-3, 258), st.floats(-1.2, 9))
def test_the_masses_sum_to_one(m, log_scale):
    scale = np.exp(log_scale) / 255
    distribution = DiscretizedLogistic(np.float64(m / 255), np.float64(scale))
    np.testing.assert_allclose(np.sum(distribution.prob(LEVELS / 255)), 1, rtol=1e-9)


@settings(max_examples=50)
@given(st.floats(-1e6, 1e6), st.floats(-4, 12), st.integers(0, 255))
def test_gradients_are_finite_at_any_location_and_scale(loc, log10_scale, level):
    loc, scale = tf.constant(loc), tf.constant(10.0**log10_scale)
    with tf.GradientTape() as tape:
        tape.watch([loc, scale])
        log_mass = DiscretizedLogistic(loc, scale).log_prob(level / 255)
    assert np.isfinite([log_mass, *tape.gradient(log_mass, [loc, scale])]).all()


def test_the_mean_is_that_of_the_256_levels():
    masses, distribution = masses_and_distribution("float64")
    off = np.abs(255 * distribution.mean() - LEVELS @ masses)
    assert off.max() < 0.0121  # levels; what the docstring says
    assert off[np.repeat(SCALES, len(LOCATIONS)) >= 1].max() < 3e-4
    # Finer than the locations above, at the floor: between 0 and 1 level below and above black.
    m = np.linspace(-2.55, 3, 1000)
    distribution = DiscretizedLogistic(m / 255, np.full(1000, SCALE_FLOOR))
    exact = LEVELS @ reference.discretized_logistic_mass(LEVELS[:, np.newaxis], m, 0.3)
    assert 0.01 < np.abs(255 * distribution.mean() - exact).max() < 0.0121


def test_draws_have_the_masses():
    scales = np.array([0.3, 3.0])
    masses, distribution = masses_and_distribution("float32", scales)
    draws = distribution.sample(20_000, seed=(1, 2)).numpy()
    levels = np.round(255 * draws)
    np.testing.assert_allclose(draws, levels / 255, rtol=1e-6)
    for column, mass in zip(levels.T, masses.T, strict=True):
        counts = np.bincount(column.astype(int), minlength=256)
        error = np.sqrt(20_000 * mass * (1 - mass))
        assert (np.abs(counts - 20_000 * mass) < 5 * error + 3).all()


def test_gray_pixels_are_scored_as_the_nearest_level():
    distribution = DiscretizedLogistic(0.5, 0.02)
    x = np.array([0.0, 10.4, 10.6, 99.51, 254.4, 254.6], "float32")
    result, expected = (distribution.log_prob(part / 255) for part in (x, np.round(x)))
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    assert result[1] != result[2]


def test_the_layer_reads_locations_then_scales():
    rng = np.random.default_rng(0)
    params, levels = rng.normal(size=(5, 2, 2, 6)), rng.integers(0, 256, (5, 2, 2, 3))
    m = 255 * (1.02 * special.expit(params[..., :3]) - 0.01)
    start = np.log(np.expm1(0.05))
    s = 255 * reference.softplus(start + params[..., 3:]) + 0.3
    expected = np.log(reference.discretized_logistic_mass(levels, m, s)).sum(axis=(1, 2, 3))
    head = layers.DiscretizedLogisticLikelihood((2, 2, 3), dtype="float64")
    np.testing.assert_allclose(
        head(params.reshape(5, -1)).log_prob(levels / 255), expected, rtol=1e-9
    )


@pytest.mark.parametrize("location", [-1000, 1000])
def test_black_and_white_can_have_all_of_the_mass(location):
    head = layers.DiscretizedLogisticLikelihood(1)
    likelihood = head(np.array([[location, -1000]], "float32"))
    assert likelihood.log_prob([float(location > 0)]) > -1e-4


def mixture(params, shape, components):
    """The weights, locations and scales that a pixel's parameters mean, in levels."""
    size = components * shape[-1]
    logits, raw, weights = np.split(params, [size, 2 * size], axis=-1)
    logits, raw = (part.reshape(*part.shape[:-1], components, shape[-1]) for part in (logits, raw))
    m = 255 * (1.02 * special.expit(logits) - 0.01)
    s = 255 * reference.softplus(np.log(np.expm1(0.05)) + raw) + 0.3
    return special.softmax(weights, axis=-1), m, s


@pytest.mark.parametrize("shape", [(2, 2, 1), (2, 2, 3)])
@pytest.mark.parametrize("components", [1, 4])
def test_a_mixture_is_the_weighted_sum_of_products_over_channels(shape, components):
    rng = np.random.default_rng(0)
    params = rng.normal(size=(5, *shape[:2], components * (2 * shape[-1] + 1)))
    levels = rng.integers(0, 256, (5, *shape))
    weights, m, s = mixture(params, shape, components)
    masses = reference.discretized_logistic_mass(levels[..., np.newaxis, :], m, s).prod(axis=-1)
    head = layers.LogisticMixtureLikelihood(shape, components=components, dtype="float64")
    likelihood = head(params.reshape(5, -1))
    expected = np.log((weights * masses).sum(axis=-1)).sum(axis=(1, 2))
    np.testing.assert_allclose(likelihood.log_prob(levels / 255), expected, rtol=1e-9)
    every = reference.discretized_logistic_mass(LEVELS.reshape(-1, 1, 1, 1, 1, 1), m, s)
    means = (LEVELS.reshape(-1, 1, 1, 1, 1, 1) * every).sum(axis=0)
    mean = (weights[..., np.newaxis] * means).sum(axis=-2)
    np.testing.assert_allclose(255 * likelihood.mean(), mean, atol=1e-3)  # of scales near 13


def test_a_mixture_of_two_channels_sums_to_one_and_its_channels_hang_together():
    # Both channels dark, or both light, with scales of 1.3 levels.
    params = np.array([[-1, -1, 1, 1, -2.5, -2.5, -2.5, -2.5, 0.0, 0.5]])
    likelihood = layers.LogisticMixtureLikelihood(2, components=2, dtype="float64")(params)
    pairs = np.stack(np.meshgrid(LEVELS, LEVELS), axis=-1).reshape(-1, 1, 2) / 255
    np.testing.assert_allclose(np.exp(likelihood.log_prob(pairs)).sum(), 1, rtol=1e-9)
    draws = likelihood.sample(1000, seed=(1, 2)).numpy()[:, 0]
    assert np.corrcoef(draws.T)[0, 1] > 0.95


def test_the_mean_of_a_mixture_is_never_beyond_white():
    """The weights sum to 1 but for rounding."""
    rng = np.random.default_rng(0)
    params = np.full([1000, 100, 15], 1000.0, "float32")
    params[..., 10:] = rng.normal(size=(1000, 100, 5))
    params[..., 5:10] = -1000
    likelihood = layers.LogisticMixtureLikelihood((10, 10, 1))(params.reshape(1000, -1))
    assert np.max(likelihood.mean()) <= 1


def test_a_mixture_learns_two_modes_from_components_that_start_alike():
    rng = np.random.default_rng(0)
    levels = np.where(rng.uniform(size=(256, 2, 2, 1)) < 0.5, 51, 204)
    latents = rng.normal(size=(256, 2)).astype("float32")
    nll = {}
    for name in ("discretized_logistic", "mixture_of_logistics"):
        decoder = tfpvae.build_decoder(
            image_shape=(2, 2, 1), latent_dim=2, backbone="dense", likelihood=name, pixel_mean=0.5
        )
        decoder.compile(tf_keras.optimizers.Adam(0.01), lambda x, p: -p.log_prob(x))
        x = (levels / 255).astype("float32")
        decoder.fit(latents, x, batch_size=256, epochs=200, verbose=0)
        nll[name] = decoder.evaluate(latents, x, batch_size=256, verbose=0) / 4
    # The data are worth log 2 a pixel; one logistic needs some 5 to cover both modes.
    assert nll["mixture_of_logistics"] < 2 < 4 < nll["discretized_logistic"]
