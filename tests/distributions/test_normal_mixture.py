"""The mixture of normals against SciPy, also where its terms cancel."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from tfpvae.distributions.normal_mixture import NormalMixture, mixture

tfd = tfp.distributions
COMPONENTS, LATENT_DIM = 7, 5


def parameters(dtype, scale=1.0):
    """Returns logits [K], loc and scale [K, D] of a mixture, of scales about `scale`."""
    rng = np.random.default_rng(0)
    shape = [COMPONENTS, LATENT_DIM]
    scales = scale * rng.uniform(0.5, 2.0, shape)
    return [
        part.astype(dtype) for part in (rng.normal(size=shape[0]), rng.normal(size=shape), scales)
    ]


def normals(loc, scale):
    return tfd.Independent(tfd.Normal(loc, scale), 1)


def log_density(values, logits, loc, scale):
    """Computes log p(z) by SciPy in float64."""
    values, logits, loc, scale = (np.float64(part) for part in (values, logits, loc, scale))
    joint = stats.norm.logpdf(values[..., np.newaxis, :], loc, scale).sum(axis=-1)
    return special.logsumexp(joint + special.log_softmax(logits), axis=-1)


# At 1e-5, the floor of the scales, terms of 1e11 have a sum of about 10.
@pytest.mark.parametrize("scale", [1e-5, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("shape", [(), (1,), (30,), (2, 30), (0,)])
def test_log_prob_is_that_of_scipy(shape, scale, floatx):
    logits, loc, scales = parameters(floatx, scale)
    density = mixture(tf.constant(logits), normals(loc, scales))
    assert isinstance(density, NormalMixture)
    rng = np.random.default_rng(1)
    chosen = rng.integers(COMPONENTS, size=shape)
    values = loc[chosen] + scales[chosen] * rng.normal(size=[*shape, LATENT_DIM])
    values = values.astype(floatx)
    result = density.log_prob(values)
    assert (result.dtype, result.shape) == (floatx, shape)
    # In float64 throughout: what is left is the rounding of terms up to (1 / scale)^2 there.
    np.testing.assert_allclose(
        result, log_density(values, logits, loc, scales), rtol=1e-6, atol=1e-14 / scale**2 + 1e-9
    )


def test_a_value_far_from_all_components_has_the_density_of_the_nearest():
    logits, loc, scales = parameters("float32", 1e-3)
    values = np.full([1, LATENT_DIM], 1e4, "float32")
    np.testing.assert_allclose(
        mixture(tf.constant(logits), normals(loc, scales)).log_prob(values),
        log_density(values, logits, loc, scales),
        rtol=1e-6,
    )


@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients_are_those_of_tensorflow_probability(jit_compile, size):
    variables = [tf.Variable(part) for part in parameters("float64")]
    values = size * np.random.default_rng(1).normal(size=[9, LATENT_DIM])

    @tf.function(
        jit_compile=jit_compile, input_signature=[tf.TensorSpec([None, LATENT_DIM], tf.float64)]
    )
    def gradients(values):
        logits, loc, scale = variables
        plain = tfd.MixtureSameFamily(tfd.Categorical(logits=logits), normals(loc, scale))
        results = []
        for density in (mixture(logits, normals(loc, scale)), plain):
            with tf.GradientTape() as tape:
                tape.watch(values)
                log_prob = density.log_prob(values)
            results.append(tape.gradient(log_prob, [values, *variables]))
        return results

    for result, expected in zip(*gradients(values), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shared", ["loc", "scale"])
def test_one_location_or_scale_for_all_components_and_dimensions_is_taken(shared):
    logits, loc, scale = parameters("float64")
    parts = {"loc": loc, "scale": scale, shared: np.float64(2.0)}
    values = loc + 0.5
    np.testing.assert_allclose(
        mixture(tf.constant(logits), normals(**parts)).log_prob(values),
        log_density(values, logits, *np.broadcast_arrays(*parts.values())),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    "components",
    [
        lambda loc, scale: tfd.MultivariateNormalTriL(loc, tf.linalg.diag(scale)),
        lambda loc, scale: tfd.Independent(tfd.Logistic(loc, scale), 1),
        lambda loc, scale: normals(loc[np.newaxis], scale[np.newaxis]),  # a batch of mixtures
    ],
)
def test_other_components_have_the_mixture_of_tensorflow_probability(components):
    logits, loc, scale = parameters("float64")
    density = mixture(tf.constant(logits), components(loc, scale))
    assert not isinstance(density, NormalMixture)
    assert np.isfinite(density.log_prob(loc[0])).all()
