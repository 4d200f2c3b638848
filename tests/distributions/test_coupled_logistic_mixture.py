"""Coupled mixtures of logistics against NumPy, and against sums over all 256 levels."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from scipy import special

from tests import reference
from tfpvae import layers
from tfpvae.distributions.coupled_logistic_mixture import CoupledLogisticMixture

LEVELS = np.arange(256.0)
PAIRS = np.stack(np.meshgrid(LEVELS, LEVELS, indexing="ij"), axis=-1).reshape(-1, 2)


def parameters(channels, components, batch=(), *, low=0.2, high=0.8):
    """Logits, locations, scales and coefficients; locations between low and high."""
    rng = np.random.default_rng(channels + 10 * components)
    shape = (*batch, components, channels)
    pairs = channels * (channels - 1) // 2
    return (
        rng.normal(size=shape[:-1]),
        rng.uniform(low, high, shape),
        rng.uniform(0.002, 0.04, shape),
        rng.uniform(-1.5, 1.5, (*shape[:-1], pairs)),
    )


def mass(levels, logits, loc, scale, coefficients):
    """P(levels) of one pixel, term by term, by loops over components and channels."""
    total = 0.0
    for weight, m, s, a in zip(special.softmax(logits), loc, scale, coefficients, strict=True):
        slopes = np.zeros([len(m), len(m)])
        slopes[np.tril_indices(len(m), -1)] = a
        shifted = 255 * m + slopes @ (levels - 255 * m)
        total += weight * reference.discretized_logistic_mass(levels, shifted, 255 * s).prod()
    return total


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("components", [1, 4])
def test_log_mass_of_random_pixels(channels, components):
    args = parameters(channels, components, batch=(6,))
    levels = np.random.default_rng(0).integers(0, 256, (6, channels))
    expected = [mass(*one) for one in zip(levels, *args, strict=True)]
    distribution = CoupledLogisticMixture(*args)
    seen = np.array(expected) > 1e-290  # below, the reference has no digits left
    actual = distribution.log_prob(levels / 255).numpy()
    np.testing.assert_allclose(actual[seen], np.log(np.array(expected)[seen]), rtol=1e-9)
    assert seen.any() and np.isfinite(actual).all()
    assert distribution.event_shape == (channels,) and distribution.batch_shape == (6,)


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.8), (-0.01, 0.02), (0.97, 1.01)])
def test_the_masses_of_all_pixels_of_two_channels_sum_to_one(low, high):
    distribution = CoupledLogisticMixture(*parameters(2, 3, low=low, high=high))
    np.testing.assert_allclose(np.exp(distribution.log_prob(PAIRS / 255)).sum(), 1, rtol=1e-9)


def test_the_sum_over_the_last_of_three_channels_is_the_mixture_of_the_first_two():
    logits, loc, scale, coefficients = parameters(3, 3)
    whole = CoupledLogisticMixture(logits, loc, scale, coefficients)
    marginal = CoupledLogisticMixture(logits, loc[:, :2], scale[:, :2], coefficients[:, :1])
    first = np.random.default_rng(0).integers(0, 256, (20, 1, 2))
    pixels = np.concatenate([np.tile(first, [1, 256, 1]), np.tile(LEVELS[:, None], [20, 1, 1])], -1)
    summed = tf.reduce_logsumexp(whole.log_prob(pixels / 255), axis=1)
    np.testing.assert_allclose(summed, marginal.log_prob(first[:, 0] / 255), rtol=1e-9)


@pytest.mark.parametrize(
    # In levels. Amid the levels the rule is exact but for the midpoint rule; at the ends it is not.
    ("low", "high", "tolerance"),
    [(0.3, 0.7, 0.02), (0.0, 0.02, 3.0)],
)
def test_the_mean_is_that_of_all_pixels(low, high, tolerance):
    distribution = CoupledLogisticMixture(*parameters(2, 3, low=low, high=high))
    exact = np.exp(distribution.log_prob(PAIRS / 255)) @ PAIRS
    np.testing.assert_allclose(255 * distribution.mean(), exact, atol=tolerance)


def test_draws_have_the_masses_of_both_channels():
    logits, loc, scale, coefficients = parameters(2, 3)
    args = (part.astype("float32") for part in (logits, loc, scale, coefficients))
    distribution = CoupledLogisticMixture(*args)
    draws = distribution.sample(40_000, seed=(1, 2)).numpy()
    levels = np.round(255 * draws).astype(int)
    np.testing.assert_allclose(draws, levels / 255, rtol=1e-6)
    exact = CoupledLogisticMixture(logits, loc, scale, coefficients).log_prob(PAIRS / 255)
    exact = np.exp(exact).reshape(256, 256)
    for joint in (exact, exact.T):  # each channel's own, and in cells of 16 by 16 levels
        expected = 40_000 * joint.sum(axis=1)
        counts = np.bincount(levels[:, 0 if joint is exact else 1], minlength=256)
        assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 3).all()
    cells = 40_000 * exact.reshape(16, 16, 16, 16).sum(axis=(1, 3))
    counts = np.zeros([16, 16])
    np.add.at(counts, tuple(levels.T // 16), 1)
    assert (np.abs(counts - cells) < 5 * np.sqrt(cells) + 3).all()


def test_a_seed_gives_the_same_draws_and_draws_have_the_batch_shape():
    distribution = CoupledLogisticMixture(*parameters(3, 2, batch=(4, 1)))
    first, again = (distribution.sample([5, 2], seed=(3, 4)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (5, 2, 4, 1, 3)
    assert np.isfinite(distribution.log_prob(first)).all()


def test_without_coupling_it_is_the_independent_mixture():
    rng = np.random.default_rng(0)
    params = rng.normal(size=(5, 2, 2, 4 * (2 * 3 + 1)))
    coupled = np.concatenate([params[..., :24], np.zeros([5, 2, 2, 12]), params[..., 24:]], -1)
    levels = rng.integers(0, 256, (5, 2, 2, 3))
    plain = layers.LogisticMixtureLikelihood((2, 2, 3), components=4, dtype="float64")
    layer = layers.CoupledLogisticMixtureLikelihood((2, 2, 3), components=4, dtype="float64")
    one, other = plain(params.reshape(5, -1)), layer(coupled.reshape(5, -1))
    np.testing.assert_allclose(other.log_prob(levels / 255), one.log_prob(levels / 255), rtol=1e-9)
    np.testing.assert_allclose(other.mean(), one.mean(), rtol=1e-9)


def test_the_layer_reads_locations_scales_coefficients_and_weights():
    rng = np.random.default_rng(0)
    params = rng.normal(size=(5, 2, 2, 4 * 10))
    levels = rng.integers(0, 256, (5, 2, 2, 3))
    layer = layers.CoupledLogisticMixtureLikelihood((2, 2, 3), components=4, dtype="float64")
    actual = layer(params.reshape(5, -1)).log_prob(levels / 255)
    locations, scales, slopes, weights = np.split(params, [12, 24, 36], axis=-1)
    loc = 1.02 * special.expit(locations) - 0.01
    scale = reference.softplus(np.log(np.expm1(0.05)) + scales) + 0.3 / 255
    pixels = (
        levels.reshape(-1, 3),
        weights.reshape(-1, 4),
        loc.reshape(-1, 4, 3),
        scale.reshape(-1, 4, 3),
        2 * np.tanh(slopes.reshape(-1, 4, 3) / 2),
    )
    expected = np.log([mass(*one) for one in zip(*pixels, strict=True)])
    np.testing.assert_allclose(actual, expected.reshape(5, 4).sum(axis=1), rtol=1e-9)


def test_gray_pixels_are_scored_as_the_nearest_level_by_every_channel():
    distribution = CoupledLogisticMixture(*parameters(3, 2))
    x = np.array([99.51, 10.4, 200.49])
    np.testing.assert_allclose(
        distribution.log_prob(x / 255), distribution.log_prob(np.round(x) / 255), rtol=1e-12
    )


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("raw", [-1000.0, 1000.0])
def test_gradients_are_finite_however_large_the_parameters(level, raw):
    layer = layers.CoupledLogisticMixtureLikelihood((1, 1, 3))
    params = tf.fill([1, layer.params_size((1, 1, 3))], raw)
    with tf.GradientTape() as tape:
        tape.watch(params)
        log_prob = layer(params).log_prob(np.full([1, 1, 1, 3], level, np.uint8))
    assert np.isfinite(log_prob).all()
    assert np.isfinite(tape.gradient(log_prob, params)).all()


def fitted_bits(layer, params, x):
    """Bits a pixel after 300 steps of Adam on one set of parameters for all pixels."""
    optimizer = tf_keras.optimizers.Adam(0.05)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(layer(params).log_prob(x)) / np.log(2)
        optimizer.minimize(loss, [params], tape=tape)
        return loss

    optimizer.build([params])
    return [float(step()) for _ in range(300)][-1]


def test_channels_that_move_together_cost_less_than_in_the_independent_mixture():
    """Of 4,096 pixels whose three channels are equal up to one level."""
    rng = np.random.default_rng(0)
    base = rng.integers(20, 236, (4096, 1, 1, 1))
    x = (base + rng.integers(-1, 2, (4096, 1, 1, 3))).astype(np.uint8)
    bits = {}
    for name in ("LogisticMixtureLikelihood", "CoupledLogisticMixtureLikelihood"):
        layer = getattr(layers, name)((1, 1, 3), components=2)
        start = rng.normal(0, 0.1, layer.params_size((1, 1, 3)))
        params = tf.Variable(start[np.newaxis].astype("float32"))
        bits[name] = fitted_bits(layer, params, x)
    uniform = np.log2(216) + 2 * np.log2(3)  # bits of a pixel that knows how it was made
    assert bits["CoupledLogisticMixtureLikelihood"] < uniform + 2
    assert bits["LogisticMixtureLikelihood"] > uniform + 6
