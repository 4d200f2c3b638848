"""Models and data with one fault each, made on purpose: the first bad quantity is named."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests.models.test_vae import SHAPE, pictures, small_vae
from tfpvae.evaluation import first_non_finite, non_finite
from tfpvae.saving import finite_weights

tfkl = tf_keras.layers


@tf_keras.saving.register_keras_serializable(package="tests_finite")
class Spoiling(tfkl.Layer):
    """A layer that gives, or whose gradient is, NaN."""

    def __init__(self, where, **kwargs):
        super().__init__(**kwargs)
        self.where = where

    def call(self, inputs):
        if self.where == "output":
            return inputs / tf.zeros_like(inputs)
        # sqrt(0) is finite, its derivative is not.
        return inputs + tf.sqrt(inputs - tf.stop_gradient(inputs))


def backbone(where, *shape):
    """Dense layers with a spoiling one between them, one model inside another."""
    inner = tf_keras.Sequential([tfkl.Dense(5, name="before"), Spoiling(where, name="spoiling")])
    return tf_keras.Sequential([tfkl.Flatten(), inner, tfkl.Dense(30, name="after"), *shape])


def weight_of(vae, network, last):
    return [weight for weight in getattr(vae, network).weights if last in weight.name][-1]


def spoil(vae, network, last, value, at=(0,)):
    weight = weight_of(vae, network, last)
    array = weight.numpy()
    array[at] = value
    weight.assign(array)
    return vae


def test_of_a_sound_model_there_is_none():
    for overrides in (
        {},
        {"posterior": "iaf", "prior": "flow", "likelihood": "mixture_of_logistics"},
        {"posterior": "deterministic"},
        {"posterior": "low_rank", "prior": "vampprior", "likelihood": "normal", "dequantize": True},
    ):
        vae = small_vae(**overrides)
        assert first_non_finite(vae, pictures()) is None
        assert finite_weights.bad_weight(vae) is None
    vae = small_vae(num_classes=3)
    labels = np.arange(12) % 3
    assert first_non_finite(vae, pictures(dtype="uint8"), labels, seed=(1, 2)) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel(value):
    images = pictures()
    images[3, 1, 2] = value
    assert first_non_finite(small_vae(), images) == f"images: {value} in 1 of 360"


def test_a_weight_comes_first():
    vae = spoil(small_vae(), "decoder", "kernel", np.inf, at=(0, slice(0, 4)))
    name = weight_of(vae, "decoder", "kernel").name
    fault = f"weight '{name}': inf in 4 of {256 * 30}"
    assert first_non_finite(vae, pictures()) == finite_weights.bad_weight(vae) == fault
    with pytest.raises(ValueError, match=f"^weights: wanted finite .* got {fault}"):
        finite_weights.check_weights(vae)


@pytest.mark.parametrize("network", ["encoder", "decoder"])
def test_the_layer_whose_output_it_is(network):
    shape = [tfkl.Reshape(SHAPE)] if network == "decoder" else []
    vae = small_vae(**{f"{network}_backbone": backbone("output", *shape)})
    before = dict(vars(vae.encoder.layers[1]))
    result = first_non_finite(vae, pictures())
    assert result.startswith(f"output of the layer 'spoiling' of the {network}: ")
    assert result.endswith(" in 60 of 60")
    assert vars(vae.encoder.layers[1]) == before  # looked at, and left as it was


@pytest.mark.parametrize(
    ("overrides", "network", "bias", "message"),
    [
        ({"posterior": "multivariate_normal_tril"}, "encoder", 3e38, "draw of the posterior: "),
        ({}, "encoder", 3e38, "draw of the posterior: "),
        ({"likelihood": "bernoulli"}, "decoder", -3e38, "nll, -log p(x|z): inf in "),
    ],
)
def test_finite_weights_that_overflow(overrides, network, bias, message):
    vae = spoil(small_vae(pixel_mean=0.5, **overrides), network, "bias", bias, at=slice(None))
    assert first_non_finite(vae, pictures()).startswith(message)


def test_parameters_of_the_distributions():
    vae = small_vae(likelihood="normal")
    scale = next(weight for weight in vae.weights if "scale" in weight.name)
    # The softplus of a large number is finite, its square in the density is not: still no fault of
    # a parameter. A parameter that is one is made by the layer itself.
    scale.assign(tf.fill(scale.shape, 1e30))
    assert first_non_finite(vae, pictures()) is None
    posterior = tfpvae.layers.IndependentNormal(2)
    bad = posterior(tf.constant([[0.0, 0.0, np.nan, 0.0]]))
    names = [
        name
        for name, value in non_finite._parameters(bad, "q")
        if finite_weights.describe_non_finite(value)
    ]
    assert names == ["scale of q"]


def test_the_kl():
    """A prior so narrow that a draw lies infinitely far from it."""
    narrow = tfp.distributions.MultivariateNormalDiag(tf.zeros(2), tf.fill([2], 1e-30))
    result = first_non_finite(small_vae(prior=narrow), pictures())
    assert result.startswith("kl, KL(q(z|x) || p(z)): inf in 12 of 12")


def test_a_gradient_of_a_finite_loss():
    vae = small_vae(encoder_backbone=backbone("gradient"))
    result = first_non_finite(vae, pictures())
    assert result.startswith("gradient of the weight 'before/kernel:0': inf in 150 of 150")


def test_nothing_is_trained_and_the_seed_counts():
    network = tf_keras.Sequential([tfkl.Flatten(), tfkl.BatchNormalization(), tfkl.Dense(3)])
    vae = small_vae(encoder_backbone=network)
    before = vae.get_weights()
    images = pictures()
    images[0] = np.nan
    assert first_non_finite(vae, images).startswith("images")
    assert first_non_finite(vae, pictures()) is None
    for result, expected in zip(vae.get_weights(), before, strict=True):
        np.testing.assert_array_equal(result, expected)
    with pytest.raises(ValueError, match="seed: wanted"):
        first_non_finite(vae, images, seed=0.5)
