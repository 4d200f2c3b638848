"""Models with one fault each, made on purpose: the report names it, and no other."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests.models.test_vae import SHAPE, pictures, small_vae
from tfpvae import _checks, evaluation
from tfpvae.evaluation import diagnostics


def result(vae, x, rate=5.0, variances=(1.0, 1.0)):
    seed = _checks.seed(0)
    return diagnostics.troubles(vae, tf.convert_to_tensor(x), np.array(variances), rate, seed)


def with_bias(vae, part, bias, kernel=0.0):
    """The VAE whose last dense layer of a part is a bias, and kernel times what it was."""
    dense = [m for m in getattr(vae, part).submodules if isinstance(m, tf_keras.layers.Dense)]
    last = next(
        layer for layer in dense if layer.units == getattr(vae, part).layers[-1].input_shape[-1]
    )
    weights = last.get_weights()
    last.set_weights([kernel * weights[0], np.broadcast_to(bias, weights[1].shape)])
    return vae


def test_a_new_model_has_no_trouble():
    for posterior in ("independent_normal", "multivariate_normal_tril", "low_rank", "iaf"):
        numbers, words = result(small_vae(posterior=posterior), pictures())
        assert words == []
        assert numbers["dead_units"] == numbers["posterior_scales_at_floor"] == 0
        assert numbers["saturated_logits"] == 0


def test_dead_units_are_counted_and_collapse_is_named():
    _, words = result(small_vae(), pictures(), variances=(1.0, 0.009))
    assert len(words) == 1 and words[0].startswith("Dead units: 1 of 2 latent units")
    numbers, words = result(small_vae(), pictures(), rate=0.01, variances=(0.001, 0.009))
    assert numbers["dead_units"] == 2
    assert len(words) == 1 and words[0].startswith("Posterior collapse: the rate is 0.010 nats")


@pytest.mark.parametrize(
    ("posterior", "parameters"),
    [("independent_normal", 4), ("multivariate_normal_tril", 5), ("low_rank", 8), ("iaf", 20)],
)
def test_scales_at_their_floor_are_named(posterior, parameters):
    vae = small_vae(posterior=posterior)
    bias = np.r_[np.zeros(2), np.full(parameters - 2, -30.0)]
    numbers, words = result(with_bias(vae, "encoder", bias), pictures())
    assert numbers["posterior_scales_at_floor"] == 1
    assert "Scale-floor hits: 100.0% of the scales of the posterior" in words[0]


@pytest.mark.parametrize(
    "likelihood", ["normal_per_pixel", "discretized_logistic", "mixture_of_logistics"]
)
def test_scales_of_pixels_at_their_floor_are_named(likelihood):
    vae = small_vae(likelihood=likelihood, pixel_mean=0.5)
    assert result(vae, pictures())[0]["likelihood_scales_at_floor"] == 0
    numbers, words = result(with_bias(vae, "decoder", -30.0), pictures())
    assert numbers["likelihood_scales_at_floor"] == 1
    assert "Scale-floor hits: 100.0% of the scales of the likelihood" in words[-1]


def test_badly_conditioned_scales_are_named():
    """Of a scale [[1, 0], [10^5, 1]], whose condition number is 10^10."""
    vae = small_vae(posterior="multivariate_normal_tril")
    scale = np.array([[np.log(np.e - 1), 0], [1e5, np.log(np.e - 1)]])
    bias = np.r_[0, 0, tfp.math.fill_triangular_inverse(scale)]
    numbers, words = result(with_bias(vae, "encoder", bias), pictures())
    assert numbers["badly_conditioned_scales"] == 1
    assert any(sentence.startswith("Badly conditioned: 100.0%") for sentence in words)


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
def test_saturated_logits_are_named_and_those_on_the_wrong_side(likelihood):
    x = np.zeros([12, *SHAPE], "float32")
    x[:3, :, :2] = 1  # 12 of 30 pixels vary, and are 1 in a quarter of the images
    vae = with_bias(small_vae(likelihood=likelihood, pixel_mean=0.5), "decoder", -20.0)
    numbers, words = result(vae, x)
    assert numbers["saturated_logits"] == 1
    assert numbers["saturated_on_the_wrong_side"] == 0.25
    assert words[-1].startswith("Saturated logits: 100.00%") and "25.000%" in words[-1]
    numbers, words = result(vae, x[3:])  # pixels that are always 0 may well have such logits
    assert numbers["saturated_logits"] == 0 and words == []


def test_the_report_of_a_model_that_was_made_to_collapse_says_so():
    rng = np.random.default_rng(0)
    x = (rng.uniform(size=(64, 1, 1, 1)) < 0.5) * np.ones([1, *SHAPE])
    reports = {}
    for kl_weight in (50.0, 0.1):
        vae = small_vae(kl_weight=kl_weight)
        vae.compile(tf_keras.optimizers.Adam(0.01), steps_per_execution=50)
        vae.fit(x.astype("float32"), batch_size=64, epochs=100, verbose=0)
        reports[kl_weight] = evaluation.report(vae, x.astype("float32"), num_samples=20, seed=0)
        printed = str(reports[kl_weight])
        assert ("Posterior collapse" in printed) == (kl_weight == 50)
    assert reports[50.0]["latent"]["active_units"] == 0
    assert reports[50.0]["trouble"]["dead_units"] == 2
    assert any("Posterior collapse" in words for words in reports[50.0]["trouble"]["words"])
    assert reports[0.1]["latent"]["active_units"] > 0


def test_one_pass_of_images_is_looked_at(monkeypatch):
    from tfpvae.models import estimators

    monkeypatch.setattr(estimators, "_PIXELS_PER_PASS", 5 * 30)
    assert len(diagnostics.one_pass(small_vae(), pictures(12))) == 4
    assert len(diagnostics.one_pass(small_vae(), pictures(5))) == 5
    assert tfpvae.evaluation.report is evaluation.report
