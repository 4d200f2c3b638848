"""Normal and Beta likelihoods against SciPy's."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from tests import reference
from tfpvae import layers
from tfpvae.layers.likelihoods.normal import SCALE_FLOOR

SHAPE = (2, 2, 3)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(500)
START = np.log(np.expm1(0.1))  # softplus(START) = 0.1


def pixels_and_params(values: int):
    rng = np.random.default_rng(0)
    return rng.uniform(size=(5, *SHAPE)), rng.normal(size=(5, *SHAPE[:2], values))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["fixed", "learned", "per pixel"])
def test_normal_is_scipys(kind, dtype):
    x, params = pixels_and_params(6 if kind == "per pixel" else 3)
    mean = special.expit(params[..., :3])
    if kind == "fixed":
        head, scale = layers.NormalLikelihood(SHAPE, scale=0.3, dtype=dtype), 0.3
    elif kind == "learned":
        head = layers.NormalLikelihood(SHAPE, scale_floor=0.02, dtype=dtype)
        assert [weight.shape for weight in head.trainable_weights] == [[]]
        head.set_weights([np.array(0.7)])
        scale = reference.softplus(START + 0.7) + 0.02
    else:
        head = layers.NormalLikelihood(SHAPE, scale="per_pixel", dtype=dtype)
        scale = reference.softplus(START + params[..., 3:]) + SCALE_FLOOR
    likelihood = head(params.reshape(5, -1).astype(dtype))
    expected = stats.norm.logpdf(x, mean, scale).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(
        likelihood.log_prob(x.astype(dtype)), expected, rtol=1e-4 if dtype == "float32" else 1e-10
    )
    np.testing.assert_allclose(likelihood.mean(), mean, rtol=1e-6)
    np.testing.assert_allclose(likelihood.stddev(), np.broadcast_to(scale, x.shape), rtol=1e-6)


def test_the_scale_has_a_floor_when_the_network_is_sure():
    params = np.full([1, 2 * np.prod(SHAPE)], -1000, "float32")
    stddev = layers.NormalLikelihood(SHAPE, scale="per_pixel", scale_floor=0.05)(params).stddev()
    np.testing.assert_allclose(stddev, np.full([1, *SHAPE], 0.05), rtol=1e-6)


def test_a_learned_scale_becomes_the_root_of_the_mean_squared_error():
    """Where the likelihood is greatest: Rybkin, Daniilidis and Levine 2021, section 3."""
    x, params = (part.astype("float32") for part in pixels_and_params(3))
    head = layers.NormalLikelihood(SHAPE)
    optimizer = tf_keras.optimizers.Adam(0.05)
    optimizer.build(head.trainable_weights)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(head(params.reshape(5, -1)).log_prob(x))
        optimizer.minimize(loss, head.trainable_weights, tape=tape)

    for _ in range(300):
        step()
    error = np.sqrt(np.mean((x - special.expit(params)) ** 2))
    np.testing.assert_allclose(head(params.reshape(5, -1)).stddev()[0, 0, 0, 0], error, rtol=1e-3)


def beta(location, raw, dtype="float64", **options):
    params = np.array([[location, raw]], dtype)
    return layers.BetaLikelihood(1, dtype=dtype, **options)(params)


def concentrations(location, raw, floor=1.0):
    total = 20 * reference.softplus(raw) / np.log(2) + floor
    return total * special.expit(location), total * special.expit(-location)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_beta_is_scipys(dtype):
    x, params = pixels_and_params(6)
    x = np.clip(x, 0.01, 0.99)
    expected = stats.beta.logpdf(x, *concentrations(params[..., :3], params[..., 3:], 2.0))
    likelihood = layers.BetaLikelihood(SHAPE, concentration_floor=2, dtype=dtype)(
        params.reshape(5, -1).astype(dtype)
    )
    tolerance = {"rtol": 1e-4, "atol": 1e-3} if dtype == "float32" else {"rtol": 1e-9}
    np.testing.assert_allclose(
        likelihood.log_prob(x.astype(dtype)), expected.sum(axis=(1, 2, 3)), **tolerance
    )
    np.testing.assert_allclose(likelihood.mean(), special.expit(params[..., :3]), rtol=1e-5)


def test_beta_starts_at_a_standard_deviation_of_a_tenth():
    np.testing.assert_allclose(beta(0.0, 0.0).distribution.stddev(), [[0.1]], rtol=0.1)


@settings(max_examples=30)
@given(st.floats(-6, 6), st.floats(-10, 30))
def test_beta_integrates_to_what_scipy_says_and_takes_black_and_white(location, raw):
    likelihood = beta(location, raw)
    a, b = concentrations(location, raw)
    low, high = 1 / 512, 511 / 512
    x = low + (high - low) * (NODES + 1) / 2
    density = likelihood.distribution.prob(x[:, np.newaxis, np.newaxis]).numpy()[:, 0, 0]
    expected = stats.beta.cdf(high, a, b) - stats.beta.cdf(low, a, b)
    np.testing.assert_allclose(density @ WEIGHTS * (high - low) / 2, expected, atol=1e-6)
    for end, inside in ((0.0, low), (1.0, high)):
        result = likelihood.log_prob(np.array([end]))
        np.testing.assert_allclose(result, [stats.beta.logpdf(inside, a, b)], rtol=1e-9, atol=1e-9)
