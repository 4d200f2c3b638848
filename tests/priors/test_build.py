"""Every prior by name: its shapes, dtypes, options, and what saves it."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.priors import PRIORS, VampPrior
from tfpvae.saving import serialization

tfd = tfp.distributions

LATENT_DIM = 3
SHAPE = (4, 3, 1)
SMALL = {"num_layers": 2, "hidden_units": (8,)}
# What has options beside its name, or needs them.
KINDS = {
    "standard_normal": ("standard_normal", {}),
    "normal": ("normal", {}),
    "mixture": ("mixture", {"num_components": 4}),
    "maf": ("flow", {"flow": "maf", **SMALL}),
    "realnvp": ("flow", {"flow": "realnvp", **SMALL}),
    "vampprior": ("vampprior", {"image_shape": SHAPE, "num_components": 4}),
}
VARIABLES = {
    "standard_normal": 0,
    "normal": 2,
    "mixture": 3,
    "maf": 8,
    "realnvp": 8,
    "vampprior": 1,
}
every_kind = pytest.mark.parametrize("name", KINDS)


def build(name):
    kind, options = KINDS[name]
    prior = tfpvae.build_prior(kind, latent_dim=LATENT_DIM, **options)
    if name == "vampprior":
        prior.bind(
            tfpvae.build_encoder(
                image_shape=SHAPE, latent_dim=LATENT_DIM, backbone="dense", prior=None
            )
        )
    return prior


def stir(prior, scale=0.3, seed=0) -> None:
    """Moves every variable, since a flow starts as a standard normal; masks are kept."""
    rng = np.random.default_rng(seed)
    for variable in prior.trainable_variables:
        moved = variable + rng.normal(scale=scale, size=variable.shape)
        variable.assign(variable.constraint(moved) if variable.constraint else moved)


def test_every_name_is_tested_here():
    assert {kind for kind, _ in KINDS.values()} == set(PRIORS)


@pytest.mark.spread(8)
@every_kind
def test_shapes_dtype_and_seeds(name, floatx):
    prior = build(name)
    assert (prior.batch_shape, prior.event_shape) == ([], [LATENT_DIM])
    assert prior.dtype == floatx
    assert prior.sample(seed=(1, 2)).shape == [LATENT_DIM]
    draws = prior.sample(7, seed=(1, 2))
    np.testing.assert_array_equal(prior.sample(7, seed=(1, 2)), draws)
    assert not np.array_equal(prior.sample(7, seed=(1, 3)), draws)
    assert draws.dtype == floatx and draws.shape == [7, LATENT_DIM]
    z = np.random.default_rng(0).normal(size=(2, 5, LATENT_DIM)).astype(floatx)
    density = prior.log_prob(z)
    assert density.shape == [2, 5] and density.dtype == floatx
    one_by_one = [[prior.log_prob(point) for point in row] for row in z]
    np.testing.assert_allclose(density, one_by_one, rtol=1e-5)


@every_kind
def test_variables_are_counted_once_in_the_same_order_and_build_alike(name):
    first, second = build(name), build(name)
    assert len(first.variables) == len(first.trainable_variables) == VARIABLES[name]
    for one, two in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, two)  # the same seed
    holder = tf.Module()
    holder.prior = first
    assert {id(v) for v in holder.variables} == {id(v) for v in first.variables}


@every_kind
def test_gradients_reach_every_variable_and_far_latents_are_finite(name):
    prior = build(name)
    stir(prior)
    for size in (1.0, 1e4):
        z = tf.constant(
            np.random.default_rng(0).normal(scale=size, size=(20, LATENT_DIM)), "float32"
        )
        with tf.GradientTape() as tape:
            tape.watch(z)
            density = prior.log_prob(z)
        *gradients, at_z = tape.gradient(density, [*prior.trainable_variables, z])
        assert np.isfinite(density).all() and np.isfinite(at_z).all()
        for gradient in gradients:
            assert np.isfinite(gradient).all()
            assert size > 1 or np.abs(gradient).max() > 0


@pytest.mark.spread(4)
@every_kind
def test_xla_and_graphs_of_unknown_batch_compute_the_same_density(name):
    prior = build(name)
    stir(prior)
    z = np.random.default_rng(0).normal(size=(2, 5, LATENT_DIM)).astype("float32")
    expected = prior.log_prob(z)
    spec = [tf.TensorSpec([None, None, LATENT_DIM])]
    graph = tf.function(prior.log_prob, input_signature=spec)(z)
    compiled = tf.function(prior.log_prob, jit_compile=True)(z)
    np.testing.assert_allclose(graph, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(compiled, expected, rtol=1e-4, atol=1e-5)
    sample = tf.function(lambda n: prior.sample(n, seed=(1, 2)), jit_compile=False)
    np.testing.assert_allclose(sample(tf.constant(6)), prior.sample(6, seed=(1, 2)), rtol=1e-4)
    draws = tf.function(lambda: prior.sample(6, seed=(1, 2)), jit_compile=True)()
    assert draws.shape == [6, LATENT_DIM] and np.isfinite(draws).all()


@every_kind
def test_a_prior_survives_json_and_takes_its_values_from_the_weights(name):
    prior = build(name)
    stir(prior)
    config = serialization.to_config(prior)
    text = json.dumps(config)
    assert name not in ("maf", "realnvp", "vampprior") or len(text) < 400  # arguments, no values
    restored = serialization.from_config(json.loads(text))
    assert type(restored) is type(prior)
    assert serialization.to_config(restored) == config
    for variable, value in zip(restored.variables, prior.variables, strict=True):
        assert (variable.shape, variable.dtype) == (value.shape, value.dtype)
        variable.assign(value)
    if isinstance(restored, VampPrior):
        restored.bind(prior._encoder())
    z = np.random.default_rng(0).normal(size=(5, LATENT_DIM)).astype("float32")
    np.testing.assert_array_equal(restored.log_prob(z), prior.log_prob(z))
    np.testing.assert_array_equal(restored.sample(3, seed=(1, 2)), prior.sample(3, seed=(1, 2)))


@every_kind
def test_a_density_follows_its_variables_on_the_very_same_tensor(name):
    """A bijector that is kept caches what it did to a tensor, whatever its variables do later."""
    prior = build(name)
    z = tf.constant(np.random.default_rng(0).normal(size=(5, LATENT_DIM)), "float32")
    before = prior.log_prob(z)
    stir(prior)
    after = prior.log_prob(z).numpy()
    np.testing.assert_array_equal(after, prior.log_prob(z.numpy()))
    assert name == "standard_normal" or not np.array_equal(after, before)


@every_kind
def test_heads_stay_in_float32_under_a_mixed_policy(name):
    plain = build(name)
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = build(name)
        stir(mixed)
        z = np.random.default_rng(0).normal(size=(5, LATENT_DIM)).astype("float32")
        density = mixed.log_prob(z)
        policy = tf_keras.mixed_precision.global_policy().name
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    assert policy == "mixed_bfloat16"
    assert density.dtype == tf.float32
    if name != "vampprior":  # whose networks are the encoder's
        stir(plain)
        np.testing.assert_array_equal(density, plain.log_prob(z))


@pytest.mark.parametrize("name", ["mixture", "maf", "realnvp", "vampprior"])
def test_a_demanded_closed_form_is_refused(name):
    posterior = tfd.MultivariateNormalDiag(tf.zeros([2, LATENT_DIM]))
    with pytest.raises(NotImplementedError, match="closed form"):
        KLDivergenceRegularizer(build(name), use_exact_kl=True).kl_divergence(posterior)
    either = KLDivergenceRegularizer(build(name), use_exact_kl=None, num_samples=3)
    assert np.isfinite(either.kl_divergence(posterior)).all()


FULL = {"image_shape": SHAPE}


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        ("gaussian", {}, ValueError, "prior: .*'flow', 'mixture', 'normal', .*got 'gaussian'"),
        ("standard_normal", {"scale": 2}, TypeError, "options: wanted none .*got scale"),
        ("normal", {"loc": 0}, TypeError, "options: wanted none for 'normal', got loc"),
        ("mixture", {"components": 3}, TypeError, "some of num_components, seed for .*components"),
        ("mixture", {"num_components": 0}, ValueError, "num_components: .*at least 1, got 0"),
        ("mixture", {"num_components": 2.5}, TypeError, "num_components: .*2.5"),
        ("mixture", {"seed": -1}, ValueError, "seed: .*-1"),
        (
            "flow",
            {"layers": 3},
            TypeError,
            "some of flow, num_layers, hidden_units, seed for .*layers",
        ),
        ("flow", {"flow": "nice"}, ValueError, "flow: .*'maf', 'realnvp', got 'nice'"),
        ("flow", {"num_layers": 0}, ValueError, "num_layers: .*got 0"),
        ("flow", {"hidden_units": 64}, TypeError, "hidden_units: .*got 64"),
        ("flow", {"hidden_units": (64, 0)}, ValueError, "hidden_units: .*got 0"),
        ("flow", {"seed": None}, TypeError, "seed: .*None"),
        ("vampprior", {}, TypeError, "image_shape: wanted one for 'vampprior', got none"),
        ("vampprior", {"image_shape": (4, 0)}, ValueError, r"image_shape: .*\(4, 0\)"),
        (
            "vampprior",
            {**FULL, "images": 1},
            TypeError,
            "image_shape, num_components, start_images",
        ),
        ("vampprior", {**FULL, "num_components": 0}, ValueError, "num_components: .*got 0"),
        ("vampprior", {**FULL, "seed": 1.5}, TypeError, "seed: .*1.5"),
        (
            "vampprior",
            {**FULL, "start_images": np.zeros([9, 3, 3, 1])},
            ValueError,
            r"start_images: wanted images \[B, 4, 3, 1\]",
        ),
        (
            "vampprior",
            {**FULL, "start_images": np.zeros([9, *SHAPE]), "num_components": 10},
            ValueError,
            "start_images: wanted at least num_components, 10 images, got 9",
        ),
        (
            "vampprior",
            {**FULL, "start_images": np.full([60, *SHAPE], 2.0)},
            ValueError,
            r"start_images: wanted pixels in \[0, 1\]",
        ),
    ],
)
def test_bad_options_are_named(kind, options, error, message):
    with pytest.raises(error, match=message):
        tfpvae.build_prior(kind, latent_dim=LATENT_DIM, **options)


def test_half_of_one_number_is_none():
    with pytest.raises(ValueError, match="latent_dim: .*at least 2, got 1"):
        tfpvae.build_prior("flow", latent_dim=1, flow="realnvp")
    assert tfpvae.build_prior("flow", latent_dim=1).log_prob([[0.0]]).shape == [1]
