"""Every posterior, likelihood and prior in float64, as set by Keras' floatx."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.contracts.registry import EVERY, IMAGE_SHAPE, ONCE, PLAIN, Case, images
from tests.contracts.test_saving import eagerly
from tfpvae import priors, schedules

# A likelihood alone in float64: see tests/layers/test_likelihoods.py.
CASES = ONCE if EVERY else [case for case in ONCE if case not in PLAIN]
CASES = [*CASES, Case("low_rank", "normal", num_classes=3)]
# Saving traces the signatures, and those of a flow take half a minute: one case of each posterior.
QUICK = [case for case in CASES if case.prior != "flow" and case.posterior != "iaf"]
QUICK = QUICK if EVERY else [*{case.posterior: case for case in QUICK}.values()]


@pytest.fixture(scope="module")
def other_precisions():
    """Builds VAEs of other precisions first, of which nothing may be kept."""
    for precision in (None, "float32", "bfloat16"):
        tfpvae.build_vae("dense", image_shape=IMAGE_SHAPE, precision=precision)
    priors.Flow(2, dtype="float64")


@pytest.fixture
def float64(other_precisions):
    """Sets the floatx of Keras to float64."""
    tf_keras.backend.set_floatx("float64")


def check_loaded(path, vae, case):
    loaded, x = tf_keras.models.load_model(path), case.with_labels(case.images(4).astype("float64"))
    assert {weight.dtype for weight in loaded.weights} == {tf.float64}
    np.testing.assert_array_equal(loaded.encoder(x).mean(), vae.encoder(x).mean())


@pytest.mark.spread(3)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_vae_trains_scores_and_samples_in_float64(case, float64, tmp_path):
    vae, x, labels = case.build(), case.images(4), case.labels(4)
    assert {weight.dtype for weight in vae.weights} == {tf.float64}
    vae.compile(run_eagerly=True)
    history = vae.fit(x, labels.get("labels"), verbose=0).history
    parts = np.add(history["nll"], history["kl"])
    np.testing.assert_allclose(history["loss"], parts, rtol=1e-12)
    scores = vae.evaluate(x, labels.get("labels"), verbose=0, return_dict=True)
    assert np.isfinite(list(scores.values())).all()
    results = [vae.reconstruct(x, **labels)]
    if vae.prior is not None:
        with eagerly():
            one_label = {"labels": 1} if labels else {}
            results += [vae.sample(2, seed=0, **one_label), vae.elbo(x, seed=0, **labels)]
            results.append(vae.log_likelihood(x, 3, seed=0, **labels))
    for result in results:
        assert result.dtype == tf.float64 and np.isfinite(result).all()
    vae.save(tmp_path / "model.keras")
    check_loaded(tmp_path / "model.keras", vae, case)


@pytest.mark.spread(2)
@pytest.mark.parametrize("case", QUICK, ids=str)
def test_a_float64_savedmodel_is_loaded(case, float64, tmp_path):
    vae = case.build()
    vae.compile()
    vae.save(tmp_path / "model")
    check_loaded(tmp_path / "model", vae, case)


@pytest.mark.spread(4)
@pytest.mark.parametrize("architecture", tfpvae.list_architectures())
def test_every_architecture_is_built_in_float64(architecture, float64):
    vae = tfpvae.build_vae(architecture)
    assert {weight.dtype for weight in vae.weights} == {tf.float64}
    if vae.prior is not None:
        assert vae.sample(1).dtype == tf.float64


@pytest.mark.by_xla
def test_one_xla_program_of_many_float64_steps_agrees_with_single_steps(float64):
    losses = []
    for jit_compile in (None, False):
        tf_keras.utils.set_random_seed(0)
        vae = tfpvae.build_vae("dense", image_shape=IMAGE_SHAPE, posterior="deterministic")
        vae.compile(jit_compile=jit_compile)
        losses.append(vae.fit(images(40), batch_size=8, epochs=2, verbose=0).history["loss"])
        assert vae.execution.by_xla is (jit_compile is None)
    np.testing.assert_allclose(*losses, rtol=1e-10)


WEIGHTS = [
    schedules.LinearWarmup(1),
    schedules.CyclicalWarmup(1, 1),
    tf_keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5),  # float32 under any floatx
]


@pytest.mark.spread(1)
@pytest.mark.parametrize("weight", WEIGHTS, ids=lambda weight: type(weight).__name__)
def test_a_schedule_weights_a_float64_kl(weight, float64):
    vae = tfpvae.build_vae("dense", image_shape=IMAGE_SHAPE, kl_weight=weight)
    vae.compile()
    scores = vae.evaluate(images(4), verbose=0, return_dict=True)
    weighted = scores["nll"] + float(weight(0)) * scores["kl"]
    np.testing.assert_allclose(scores["loss"], weighted, rtol=1e-12)


@pytest.mark.spread(2)
@pytest.mark.parametrize("name", ["model.keras", "model"])
@pytest.mark.parametrize("floatx", ["float32", "float64"])
def test_a_model_of_another_floatx_samples_and_names_the_floatx_it_trains_in(
    floatx, name, tmp_path
):
    other = {"float32": "float64", "float64": "float32"}[floatx]
    tf_keras.backend.set_floatx(floatx)
    vae, x = tfpvae.build_vae("dense", image_shape=IMAGE_SHAPE), images(4)
    vae.compile()
    vae.save(tmp_path / name)
    tf_keras.backend.set_floatx(other)
    loaded = tf_keras.models.load_model(tmp_path / name)
    message = rf"floatx: wanted '{floatx}', .* got '{other}'. .*set_floatx\('{floatx}'\)"
    for model in (vae, loaded):
        np.testing.assert_array_equal(model.sample(3, seed=0), vae.sample(3, seed=0))
        np.testing.assert_allclose(model.reconstruct(x), vae.reconstruct(x), rtol=1e-5)
        for method in (model.fit, model.evaluate, model.elbo):
            with pytest.raises(ValueError, match=message):
                method(x)
        with pytest.raises(ValueError, match=message):
            model.save(tmp_path / "again")
    tf_keras.backend.set_floatx(floatx)  # as the message says
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"]).all()
    assert np.isfinite(vae.elbo(x)).all()


def test_float64_networks_with_a_float32_prior_are_refused():
    layers = tf_keras.layers
    posterior = tfpvae.layers.IndependentNormal(2, dtype="float64")
    encoder = [tf_keras.Input(IMAGE_SHAPE), layers.Flatten(), layers.Dense(4), posterior]
    decoder = tfpvae.build_decoder(image_shape=IMAGE_SHAPE, latent_dim=2, backbone="dense")
    prior = tfpvae.build_prior(latent_dim=2)
    with pytest.raises(ValueError, match="prior: wanted dtype float64, .* got float32.*floatx"):
        tfpvae.VAE(tf_keras.Sequential(encoder), decoder, prior=prior)
