"""Contracts that every combination of the registry keeps, inside one process."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests.contracts.registry import (
    CASES,
    EVERY,
    IMAGE_SHAPE,
    LATENT_DIM,
    OF_CUSTOM_PRIORS,
    PLAIN,
    RESIDUAL,
    Case,
    parameters,
)
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer

tfd = tfp.distributions

every_case = pytest.mark.parametrize("case", CASES, ids=str)
# Likelihood layers alone, by XLA and under a mixed policy: see tests/layers/test_likelihoods.py. Of
# the priors that are objects of TFP, the one with most parts; of a case with two networks, one.
_TWICE = [dataclasses.replace(case, architecture="dense") for case in RESIDUAL]
_LEFT_OUT = [*PLAIN, *(c for c in OF_CUSTOM_PRIORS if "mixture" not in c.prior), *_TWICE]
_LEFT_OUT = [] if EVERY else _LEFT_OUT
every_network = pytest.mark.parametrize(
    "case", [case for case in CASES if case not in _LEFT_OUT], ids=str
)
VARIATIONAL_CASES = [case for case in CASES if case.posterior != "deterministic"]
every_variational_case = pytest.mark.parametrize("case", VARIATIONAL_CASES, ids=str)


@functools.cache
def built(case: Case) -> tfpvae.VAE:
    """Returns one VAE per case, compiled, for all contracts that do not change it."""
    vae = case.build()
    vae.compile()
    return vae


@every_case
def test_every_part_is_a_distribution_for_any_batch_size(case):
    vae = built(case)
    for batch_size in (1, 5):
        x, z = case.images(batch_size), np.zeros([batch_size, LATENT_DIM], "float32")
        for part, event_shape in (
            (vae.encoder(case.with_labels(x)), [LATENT_DIM]),
            (vae.decoder(case.with_labels(z)), IMAGE_SHAPE),
            (vae(case.with_labels(x)), IMAGE_SHAPE),
        ):
            assert isinstance(part, tfd.Distribution)
            assert part.batch_shape == [batch_size]
            assert part.event_shape == event_shape
    image_shape = (None, *IMAGE_SHAPE)
    expected = [image_shape, (None,)] if case.num_classes else image_shape
    assert vae.encoder.input_shape == expected


@every_case
def test_a_gradient_step_lowers_the_loss_as_predicted(case):
    vae = built(case)
    weights, x = vae.get_weights(), case.with_labels(case.images(16))
    with tf.GradientTape() as tape:
        loss, reported, _ = vae._objective(x, training=True)
    gradients = tape.gradient(loss, vae.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    np.testing.assert_allclose(reported["loss"], reported["nll"] + reported["kl"], rtol=1e-5)
    step = 0.02 / sum(float(tf.reduce_sum(gradient**2)) for gradient in gradients)
    for variable, gradient in zip(vae.trainable_variables, gradients, strict=True):
        variable.assign_sub(step * gradient)
    # 0.02 to first order; the draws are the same, being those of the same step.
    change = float(loss - vae._objective(x, training=True)[0])
    vae.set_weights(weights)
    assert 0.01 < change < 0.03


@every_network
def test_fit_lowers_the_loss(case):
    vae = case.build()
    vae.compile(tf_keras.optimizers.Adam(0.01))
    losses = vae.fit(case.with_labels(case.images(16)), epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@every_variational_case
def test_the_encoder_adds_the_weighted_kl_once(case):
    vae = built(case)
    tf_keras.utils.set_random_seed(1)
    posterior = vae.encoder(case.with_labels(case.images(7)))
    if case.prior == "vampprior":  # the VAE holds the term
        assert vae.losses == []
        return
    assert len(vae.losses) == 1
    np.testing.assert_allclose(
        sum(vae.losses), tf.reduce_mean(vae.kl_divergence(posterior)), rtol=1e-5
    )


@every_variational_case
def test_the_elbo_is_below_the_importance_bound_and_draws_are_seeded(case):
    vae = built(case)
    x, labels = case.images(4), case.labels(4)
    elbo, log_likelihood = (
        functools.partial(method, x, **labels) for method in (vae.elbo, vae.log_likelihood)
    )
    np.testing.assert_array_equal(elbo(100, seed=5), elbo(100, seed=5))
    assert not np.array_equal(elbo(100, seed=5), elbo(100, seed=6))
    for seed in (5, None):
        assert vae.sample(4, seed=seed, **labels).shape == (4, *IMAGE_SHAPE)
    np.testing.assert_array_equal(*(vae.sample(4, seed=5, **labels) for _ in range(2)))
    bound = log_likelihood(500, seed=5)
    assert bound.shape == elbo(100).shape == (4,)
    bound = bound.numpy().mean()
    elbos = np.stack([elbo(100, seed=seed).numpy().mean() for seed in range(5)])
    error = elbos.std() / np.sqrt(len(elbos))
    assert elbos.mean() - 4 * error - 0.05 < bound  # 0.05: the noise of 500 weights


@every_case
def test_a_config_rebuilds_the_model(case):
    vae = built(case)
    copy = type(vae).from_config(vae.get_config())
    copy.set_weights(vae.get_weights())
    assert copy.get_config() == vae.get_config()
    x, z = case.images(3), np.ones([3, LATENT_DIM], "float32")
    for part, inputs in (("encoder", x), ("decoder", z)):
        pair = (getattr(model, part)(case.with_labels(inputs)) for model in (vae, copy))
        originals, copies = (parameters(distribution) for distribution in pair)
        assert originals
        for original, restored in zip(originals, copies, strict=True):
            np.testing.assert_array_equal(original, restored)


@every_network
def test_xla_computes_the_same_loss_and_gradients(case):
    vae = built(case)
    x = case.images(8)
    latents = tf.convert_to_tensor(vae.encoder(case.with_labels(x)))

    def objective(x, latents, *labels):
        with tf.GradientTape() as tape:
            posterior, likelihood = (
                network([inputs, *labels] if labels else inputs)
                for network, inputs in ((vae.encoder, x), (vae.decoder, latents))
            )
            nll = -likelihood.log_prob(x)
            kl = vae.kl_divergence(posterior, latents[tf.newaxis])
        variables = vae.trainable_variables  # a deterministic posterior has no KL gradient
        return nll, kl, tape.gradient([nll, kl], variables, unconnected_gradients="zero")

    # The batch size is unknown, as in `fit`.
    inputs = (x, latents, *case.labels(8).values())
    signature = [tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in inputs]
    compiled = tf.function(objective, jit_compile=True, input_signature=signature)
    results, expected = compiled(*inputs), objective(*inputs)
    for eager, xla in zip(tf.nest.flatten(expected), tf.nest.flatten(results), strict=True):
        size = 1 + np.abs(eager).max()
        np.testing.assert_allclose(
            eager, xla, rtol=1e-3, atol=1e-4 * size
        )  # float32 sums in another order


@pytest.fixture
def mixed_bfloat16():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    yield
    tf_keras.mixed_precision.set_global_policy(None)


@every_network
def test_mixed_bfloat16_agrees_with_float32_and_has_finite_gradients(case, mixed_bfloat16):
    vae = case.build()
    vae.compile()
    hidden = next(layer for layer in vae.decoder.layers if isinstance(layer, tf_keras.layers.Dense))
    assert (hidden.compute_dtype, hidden.variable_dtype) == ("bfloat16", "float32")
    x, z = case.images(8), np.random.default_rng(1).normal(size=(8, LATENT_DIM)).astype("float32")
    results = [
        vae.encoder(case.with_labels(x)).mean(),
        vae.decoder(case.with_labels(z)).log_prob(x),
    ]
    with tf.GradientTape() as tape:
        loss, reported, _ = vae._objective(case.with_labels(x), training=True)
    gradients = tape.gradient(loss, vae.trainable_variables)
    for number in (*results, loss, *gradients):
        assert number.dtype == tf.float32  # distributions and losses have full precision
        assert np.isfinite(number).all()
    np.testing.assert_allclose(reported["loss"], reported["nll"] + reported["kl"], rtol=1e-5)

    tf_keras.mixed_precision.set_global_policy(None)
    plain = built(case)
    plain.set_weights(vae.get_weights())
    expected = [
        plain.encoder(case.with_labels(x)).mean(),
        plain.decoder(case.with_labels(z)).log_prob(x),
    ]
    for rounded, exact in zip(results, expected, strict=True):
        # 8 bits of mantissa: each rounding of features or hidden values errs by 2^-9.
        size = np.abs(exact).max()
        np.testing.assert_allclose(rounded, exact, rtol=0.02, atol=0.02 * size)


def test_the_registry_covers_every_name_of_the_package():
    from tfpvae.models.decoders import LIKELIHOODS
    from tfpvae.models.encoders import POSTERIORS
    from tfpvae.priors import PRIORS

    assert {case.posterior for case in CASES} == set(POSTERIORS)
    assert {case.likelihood for case in CASES} == set(LIKELIHOODS)
    assert {case.prior for case in CASES} >= set(PRIORS)


def test_a_custom_prior_is_trained_with_the_model():
    case = next(case for case in CASES if case.prior == "learned mixture")
    vae = case.build()
    assert len(vae.prior.trainable_variables) == 3
    before = [variable.numpy() for variable in vae.prior.trainable_variables]
    vae.compile(tf_keras.optimizers.Adam(0.1))
    vae.fit(case.images(16), verbose=0)
    for variable, value in zip(vae.prior.trainable_variables, before, strict=True):
        assert np.abs(variable - value).max() > 1e-3
    term = vae.encoder.layers[-1].activity_regularizer
    assert isinstance(term, KLDivergenceRegularizer)
    assert vae.prior is term.distribution_b
