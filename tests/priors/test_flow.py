import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests import reference
from tests.priors.test_build import stir
from tfpvae import priors

every_flow = pytest.mark.parametrize("flow", ["maf", "realnvp"])


def build(flow, latent_dim, **options):
    return tfpvae.build_prior(
        "flow", latent_dim=latent_dim, flow=flow, hidden_units=(8,), **options
    )


def grid(half_width, points):
    axis = np.linspace(-half_width, half_width, points)
    step = axis[1] - axis[0]
    return np.stack(np.meshgrid(axis, axis), axis=-1).astype("float32"), step**2


@every_flow
@pytest.mark.parametrize("latent_dim", [2, 3, 10])
def test_it_starts_as_the_standard_normal(flow, latent_dim):
    prior = build(flow, latent_dim)
    z = np.random.default_rng(0).normal(scale=2, size=(20, latent_dim)).astype("float32")
    expected = reference.gaussian_log_density(z, np.zeros(latent_dim), np.eye(latent_dim))
    np.testing.assert_allclose(prior.log_prob(z), expected, rtol=1e-5)


@every_flow
@pytest.mark.parametrize("num_layers", [1, 2, 5])
def test_the_density_integrates_to_one(flow, num_layers):
    prior = build(flow, 2, num_layers=num_layers)
    stir(prior, scale=0.15)  # so that the grid holds all of it
    points, area = grid(15, 601)
    density = np.exp(prior.log_prob(points).numpy().astype("float64"))
    assert abs(density.sum() * area - 1) < 1e-4
    standard = np.exp(-0.5 * (points**2).sum(axis=-1)) / (2 * np.pi)
    assert np.abs(density - standard).sum() * area > 0.1  # it is another density by now


@every_flow
def test_samples_fall_where_the_density_says(flow):
    prior = build(flow, 2)
    stir(prior, scale=0.15)
    points, area = grid(15, 601)
    density = np.exp(prior.log_prob(points).numpy().astype("float64")) * area
    draws = prior.sample(20_000, seed=(1, 2)).numpy()
    for above in np.ndindex(2, 2):
        mass = density[((points > 0) == np.array(above)).all(axis=-1)].sum()
        share = ((draws > 0) == np.array(above)).all(axis=-1).mean()
        # Four standard errors, and the border of a quadrant on the grid.
        assert abs(share - mass) < 4 * np.sqrt(mass * (1 - mass) / 20_000) + 0.01
    # The entropy, on draws and on the grid.
    log_density = prior.log_prob(draws).numpy()
    expected = np.sum(density * np.log(np.maximum(density / area, 1e-300)))
    assert abs(log_density.mean() - expected) < 4 * log_density.std() / np.sqrt(20_000) + 1e-3


@pytest.mark.spread(3)
@every_flow
@pytest.mark.parametrize("latent_dim", [2, 3, 4])
def test_the_density_is_the_base_and_the_determinant_of_the_whole_jacobian(flow, latent_dim):
    """By automatic differentiation of the samples, with no use of a triangle."""
    prior = build(flow, latent_dim)
    stir(prior)
    bijector = prior._delegate().bijector
    u = tf.constant(np.random.default_rng(0).normal(size=(6, latent_dim)), "float32")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(u)
        z = bijector.forward(u)
    jacobian = tape.batch_jacobian(z, u, experimental_use_pfor=False).numpy()
    base = reference.gaussian_log_density(u.numpy(), np.zeros(latent_dim), np.eye(latent_dim))
    expected = base - np.linalg.slogdet(jacobian.astype("float64"))[1]
    np.testing.assert_allclose(prior.log_prob(z.numpy()), expected, rtol=1e-3, atol=1e-3)
    assert (np.abs(jacobian).max(axis=0) > 1e-4).all()  # every number depends on every other


@every_flow
def test_log_scales_are_bounded_however_large_the_weights(flow):
    prior = build(flow, 3, num_layers=1)
    stir(prior, scale=100.0)
    z = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    bijector = prior._delegate().bijector
    assert np.abs(bijector.inverse_log_det_jacobian(z, event_ndims=1)).max() <= 3 * 3 + 1e-4
    assert np.isfinite(prior.log_prob(z)).all()
    assert np.isfinite(prior.sample(20, seed=(1, 2))).all()


@pytest.mark.spread(1)
@every_flow
def test_it_learns_a_density_and_stays_invertible(flow):
    """A bent one, z2 = z1^2 + noise, whose entropy is known."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=1000)
    z = np.stack([first, first**2 - 1 + 0.5 * rng.normal(size=1000)], axis=1).astype("float32")
    prior = tfpvae.build_prior("flow", latent_dim=2, flow=flow, hidden_units=(32,))
    optimizer = tf_keras.optimizers.Adam(0.02)
    variables = prior.trainable_variables

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior.log_prob(z))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    losses = [float(step()) for _ in range(150)]
    entropy = np.log(2 * np.pi * np.e) + np.log(0.5)
    moments = reference.gaussian_log_density(z, z.mean(axis=0), np.cov(z.T, bias=True))
    assert losses[-1] < -moments.mean() - 0.3  # far better than the best normal
    assert losses[-1] > entropy - 0.15  # and no better than the truth, on 1000 draws
    points, area = grid(12, 801)
    assert abs(np.exp(prior.log_prob(points).numpy().astype("float64")).sum() * area - 1) < 0.01


@pytest.mark.parametrize("use_ema", [False, True])
def test_the_masks_of_an_autoregressive_flow_survive_training(use_ema):
    """Each number by the ones before it alone, whatever an optimizer makes of the weights."""
    prior = build("maf", 4, num_layers=1)
    z = np.random.default_rng(0).normal(size=(50, 4)).astype("float32") + 1
    optimizer = tf_keras.optimizers.Adam(0.05, use_ema=use_ema, ema_momentum=0.5)
    for _ in range(5):
        optimizer.minimize(lambda: -tf.reduce_mean(prior.log_prob(z)), prior.trainable_variables)
    optimizer.finalize_variable_values(prior.trainable_variables)
    z = tf.constant(z)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        u = prior._delegate().bijector.inverse(z)
    jacobian = tape.batch_jacobian(u, z, experimental_use_pfor=False).numpy()
    np.testing.assert_array_equal(np.triu(jacobian, 1), np.zeros_like(jacobian))
    assert np.abs(np.tril(jacobian, -1)).max() > 1e-3


@pytest.mark.parametrize("latent_dim", [2, 3, 7])
def test_coupling_keeps_and_changes_every_number(latent_dim):
    prior = build("realnvp", latent_dim, num_layers=3)
    stir(prior)
    z = tf.constant(np.random.default_rng(0).normal(size=(5, latent_dim)), "float32")
    changed = np.abs(prior._delegate().bijector.inverse(z) - z)  # reversed twice
    assert changed.min() > 1e-6


@every_flow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_policy_that_was_never_set_still_follows_floatx(flow, dtype):
    prior = priors.Flow(2, flow=flow, dtype=dtype)
    assert prior.dtype == prior.sample(3).dtype == dtype
    for floatx in ("float64", "float32"):
        tf_keras.backend.set_floatx(floatx)
        assert tf_keras.layers.Dense(1).dtype == floatx
