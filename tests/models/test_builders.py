"""Builders: the layers of each architecture, custom parts, priors, precision, bad arguments."""

import contextlib
import inspect
import re

import keras  # Keras 3, which TensorFlow installs; here only to be refused
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests.contracts.registry import OF_PIXELS
from tests.pairs import once
from tfpvae import layers
from tfpvae.distributions.coupled_logistic_mixture import CoupledLogisticMixture
from tfpvae.distributions.discretized_logistic import DiscretizedLogistic
from tfpvae.models import builders, decoders

tfd, tfb = tfp.distributions, tfp.bijectors
tfkl = tf_keras.layers


def counts(network: tf_keras.Model) -> list[int]:
    return [layer.count_params() for layer in network.layers if layer.count_params()]


def shapes(network: tf_keras.Model) -> list[tuple]:
    return [layer.output_shape[1:] for layer in network.layers if layer.count_params()]


def test_flowers_has_the_parameter_counts_of_its_source():
    vae = tfpvae.build_vae("flowers")
    assert counts(vae.encoder) == [2_432, 25_632, 51_264, 102_464, 401_536, 532_545]
    assert counts(vae.decoder) == [90_112, 802_816, 204_800, 102_400, 51_200, 25_600, 1_536]
    assert vae.count_params() == 2_394_337
    assert len(vae.weights) == 12 + 8
    assert shapes(vae.encoder)[-2:] == [(8, 8, 128), (65,)]
    assert shapes(vae.decoder)[-1] == (80, 80, 3)


def test_dense_has_the_parameter_counts_of_its_source():
    vae = tfpvae.build_vae("dense")
    assert counts(vae.encoder) == [200_960, 1_028]
    assert counts(vae.decoder) == [768, 201_488]
    assert (vae.encoder.count_params(), vae.decoder.count_params()) == (201_988, 202_256)


@pytest.mark.parametrize(("posterior", "head"), [("independent_normal", 4), ("deterministic", 2)])
def test_conv_has_the_layers_of_its_source(posterior, head):
    vae = tfpvae.build_vae("conv", posterior=posterior)
    # k * k * in * out + out, with 128 features before the head
    assert counts(vae.encoder) == [160, 1_160, 584, 129 * head]
    assert counts(vae.decoder) == [384, 584, 584, 1_168, 145]
    assert shapes(vae.decoder) == [(128,), (4, 4, 8), (8, 8, 8), (14, 14, 16), (28, 28, 1)]
    assert vae.encoder.output_shape == (None, 2)


def test_deep_has_the_parameter_counts_of_its_source():
    vae = tfpvae.build_vae("deep")
    assert counts(vae.encoder) == [78_500, 2_020, 42]
    assert counts(vae.decoder) == [60, 2_100, 79_184]
    assert (vae.encoder.count_params(), vae.decoder.count_params()) == (80_562, 81_344)
    assert vae.prior is None


@pytest.mark.parametrize("latent_dim", [10, 2])
def test_cnn_has_the_layers_of_its_source(latent_dim):
    vae = tfpvae.build_vae("cnn", latent_dim=latent_dim)
    # k * k * in * out + out, with 1,600 features before the head
    assert counts(vae.encoder) == [320, 18_496, 1_601 * 2 * latent_dim]
    assert counts(vae.decoder) == [(latent_dim + 1) * 1_600, 36_928, 18_464, 289]
    assert shapes(vae.decoder) == [(1_600,), (12, 12, 64), (26, 26, 32), (28, 28, 1)]
    assert [layer.rate for layer in vae.encoder.layers if isinstance(layer, tfkl.Dropout)] == [0.5]


@pytest.mark.parametrize("latent_dim", [128, 2])
def test_kmnist_has_the_layers_of_its_source(latent_dim):
    vae = tfpvae.build_vae("kmnist", latent_dim=latent_dim)
    # A convolution with its bias, then four numbers per filter of batch normalization.
    encoder = [280, 112, 14_168, 224, 56_560, 448, 226_016, 896, 897 * 2 * latent_dim]
    # Transposed convolutions without a bias; the last is not normalized.
    decoder = [(latent_dim + 1) * 224, 401_408, 448, 100_352, 224, 25_088, 112, 448]
    assert counts(vae.encoder) == encoder
    assert counts(vae.decoder) == decoder
    sides = [shape[0] for shape in shapes(vae.encoder)[:-1]]
    assert sides == [14, 14, 7, 7, 4, 4, 2, 2]
    convolutions = [shapes(vae.decoder)[i] for i in (1, 3, 5, 7)]
    assert convolutions == [(4, 4, 112), (8, 8, 56), (18, 18, 28), (28, 28, 1)]


@pytest.mark.spread(8)
@pytest.mark.parametrize("architecture", tfpvae.list_architectures())
@pytest.mark.parametrize("image_shape", [(60, 52, 3), (53, 55, 1)])
def test_an_architecture_fits_other_image_shapes(architecture, image_shape):
    vae = tfpvae.build_vae(architecture, image_shape=image_shape)
    assert vae(np.zeros([2, *image_shape], "float32")).event_shape == image_shape


def test_flowers_refuses_images_too_small_for_its_strides():
    with pytest.raises(ValueError, match=r"takes \(None, 20, 20, 3\).*fails on"):
        tfpvae.build_vae("flowers", image_shape=(20, 20, 3))


def test_options_of_a_backbone_reach_both_networks():
    plain, options = tfpvae.build_vae("residual"), {"width": 8, "depth": 2}
    vae = tfpvae.build_vae("residual", backbone_options=options)
    for one, other in ((vae.encoder, plain.encoder), (vae.decoder, plain.decoder)):
        added = [sum(isinstance(x, tfkl.Add) for x in network.layers) for network in (one, other)]
        assert added == [6, 3]
        assert one.count_params() < other.count_params() / 4


@pytest.mark.parametrize("build", [tfpvae.build_encoder, tfpvae.build_decoder])
@pytest.mark.parametrize(
    ("backbone", "options", "error", "message"),
    [
        ("residual", {"widht": 8}, ValueError, r"some of \['depth', 'width'\] for 'residual'.*wid"),
        ("residual", {"depth": 0}, ValueError, "depth: wanted .*got 0"),
        ("residual", [("width", 8)], TypeError, "wanted a dict or None, got"),
        ("dense", {"width": 8}, ValueError, r"wanted none for 'dense', got \['width'\]"),
        (tfkl.Dense(4), {"width": 8}, ValueError, "wanted none for a custom backbone, got"),
    ],
)
def test_options_that_a_backbone_does_not_have_are_refused(
    build, backbone, options, error, message
):
    with pytest.raises(error, match=message):
        build(image_shape=(8, 8, 1), latent_dim=2, backbone=backbone, backbone_options=options)


def test_a_projection_of_many_weights_is_named_before_it_is_built(monkeypatch):
    monkeypatch.setattr("tfpvae.models.encoders._MANY_WEIGHTS", 256 * 8)
    options = {"image_shape": (8, 8, 1), "backbone": "dense"}
    tfpvae.build_encoder(latent_dim=4, **options)
    with pytest.warns(UserWarning, match=r"256 features to 10 parameters .* has 2,560 weights"):
        tfpvae.build_encoder(latent_dim=5, **options)


def test_build_vae_takes_the_arguments_of_both_builders():
    for builder in (tfpvae.build_encoder, tfpvae.build_decoder):
        for argument in inspect.signature(builder).parameters:
            if argument not in ("name", "backbone", "image_shape", "latent_dim"):
                assert argument in inspect.signature(tfpvae.build_vae).parameters
    vae = tfpvae.build_vae("dense", latent_dim=5, kl_weight=0.5, likelihood="continuous_bernoulli")
    assert vae.encoder.output_shape == (None, 5)
    assert vae.kl_weight == 0.5
    assert isinstance(vae.decoder.layers[-1], tfpvae.layers.IndependentContinuousBernoulli)


def custom_encoder():
    return tf_keras.Sequential([tfkl.Conv2D(4, 3, strides=2, activation="relu")])


def custom_decoder():
    return tf_keras.Sequential([tfkl.Dense(8 * 8 * 1), tfkl.Reshape((8, 8, 1))])


@pytest.mark.parametrize("kind", ["model", "callable", "built model"])
def test_a_custom_backbone_replaces_a_named_one(kind):
    encoder, decoder = custom_encoder(), custom_decoder()
    if kind == "built model":
        encoder.build((None, 8, 8, 1))
        decoder.build((None, 3))
    if kind == "callable":
        first, second = encoder, decoder
        encoder, decoder = (lambda x: first(x)), (lambda z: second(z))
    vae = tfpvae.build_vae(
        "dense",
        image_shape=(8, 8, 1),
        latent_dim=3,
        encoder_backbone=encoder,
        decoder_backbone=decoder,
    )
    assert vae(np.zeros([2, 8, 8, 1], "float32")).event_shape == (8, 8, 1)
    # The convolution, the projection to 2 * 3 parameters, and the decoder's dense layer.
    assert vae.count_params() == 40 + (3 * 3 * 4 + 1) * 6 + 4 * 64


def locations(likelihood: tfd.Distribution) -> np.ndarray:
    """Returns the locations of a likelihood in [0, 1]: [B, H, W, C] or [B, H, W, K, C]."""
    inner = likelihood.distribution
    if isinstance(inner, tfd.MixtureSameFamily):
        inner = inner.components_distribution.distribution
    if isinstance(inner, CoupledLogisticMixture):
        return (inner.loc.numpy() + 0.01) / 1.02
    if hasattr(inner, "logits"):
        return tf.sigmoid(inner.logits).numpy()
    if isinstance(inner, DiscretizedLogistic):
        return (inner.loc.numpy() + 0.01) / 1.02
    return inner.mean().numpy()


# Of a ladder, see test_ladders.
@pytest.mark.parametrize(("architecture", "likelihood"), once(decoders.DECODERS, OF_PIXELS))
def test_the_last_bias_starts_at_the_logit_of_the_mean(architecture, likelihood):
    options = builders.ARCHITECTURES[architecture]
    image_shape, latent_dim = options["image_shape"], options["latent_dim"]
    mean = np.random.default_rng(0).uniform(0.1, 0.9, image_shape[-1])
    mean = np.broadcast_to(mean, image_shape)
    decoder = tfpvae.build_decoder(
        image_shape=image_shape,
        latent_dim=latent_dim,
        backbone=architecture,
        likelihood=likelihood,
        pixel_mean=mean,
    )
    # With all other weights at 0 only the last bias remains.
    weighted = [layer for layer in decoder.layers if layer.weights and layer.name != "likelihood"]
    for layer in weighted[:-1]:
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    result = locations(decoder(np.zeros([1, latent_dim], "float32")))[0]
    expected = mean[:, :, np.newaxis] if result.ndim == 4 else mean
    np.testing.assert_allclose(result, np.broadcast_to(expected, result.shape), rtol=1e-5)
    bias = weighted[-1].get_weights()[1]
    parameters = decoder.get_layer("likelihood").params_size(image_shape)
    assert np.count_nonzero(bias) / bias.size == result.size / parameters


@pytest.mark.parametrize(("size", "shape"), [(8 * 8 * 15, None), (8 * 8 * 15, (8, 8, 15))])
def test_a_custom_backbone_outputs_all_parameters_of_a_pixel(size, shape):
    backbone = tf_keras.Sequential([tfkl.Dense(size), *([tfkl.Reshape(shape)] if shape else [])])
    decoder = tfpvae.build_decoder(
        **GOOD | {"backbone": backbone, "likelihood": "mixture_of_logistics", "pixel_mean": 0.3}
    )
    assert decoder(np.zeros([2, 2], "float32")).event_shape == (8, 8, 1)
    bias = backbone.get_weights()[1].reshape(8, 8, 15)
    np.testing.assert_allclose(bias[..., :5], np.log(0.3 / 0.7), rtol=1e-6)
    assert not bias[..., 5:].any()


def test_a_likelihood_layer_is_used_unchanged():
    head = layers.NormalLikelihood((8, 8, 1), "sample", scale=0.25, name="mine")
    decoder = tfpvae.build_decoder(**GOOD, likelihood=head)
    assert decoder.layers[-1] is head
    np.testing.assert_allclose(decoder(np.zeros([1, 2], "float32")).stddev()[0, 0, 0], [0.25])
    vae = tfpvae.build_vae(
        "dense",
        image_shape=(8, 8, 3),
        likelihood=layers.LogisticMixtureLikelihood((8, 8, 3), components=2),
    )
    # Hidden layer of 256 from two latents, then K (2 C + 1) parameters per pixel.
    assert vae.decoder.count_params() == 3 * 256 + 257 * 64 * 2 * 7


@pytest.mark.parametrize("likelihood", decoders.LIKELIHOODS)
def test_a_named_likelihood_converts_to_its_mean(likelihood):
    decoder = tfpvae.build_decoder(**GOOD, likelihood=likelihood)
    result = decoder(np.ones([2, 2], "float32"))
    np.testing.assert_array_equal(tf.convert_to_tensor(result), result.mean())


def test_pixel_mean_of_zero_gives_finite_biases():
    vae = tfpvae.build_vae("dense", pixel_mean=np.zeros([28, 28, 1]))
    assert np.isfinite(vae.decoder.get_weights()[-1]).all()


PRIORS_THAT_DO_NOT_FIT = {
    "wrong event shape": (tfd.MultivariateNormalDiag(tf.zeros(3)), r"event shape \[2\]"),
    "a batch of scalars": (tfd.Normal(tf.zeros(2), 1.0), r"batch.*tfd\.Independent"),
    "a batch of vectors": (tfd.MultivariateNormalDiag(tf.zeros([4, 2])), "batch"),
    "wrong dtype": (tfd.MultivariateNormalDiag(np.zeros(2)), "float32.*float64"),
    "cannot be saved": (
        tfd.TransformedDistribution(
            tfd.MultivariateNormalDiag(tf.zeros(2)),
            tfb.Inline(forward_fn=lambda x: x, forward_min_event_ndims=0),
        ),
        r"Inline\.forward_fn.*saving\.register",
    ),
}


@pytest.mark.parametrize("prior", PRIORS_THAT_DO_NOT_FIT)
def test_a_prior_that_does_not_fit_is_refused_when_the_encoder_is_built(prior):
    prior, message = PRIORS_THAT_DO_NOT_FIT[prior]
    with pytest.raises(ValueError, match=f"prior: .*{message}"):
        tfpvae.build_encoder(image_shape=(8, 8, 1), latent_dim=2, backbone="dense", prior=prior)


GOOD = {"image_shape": (8, 8, 1), "latent_dim": 2, "backbone": "dense"}


@pytest.mark.parametrize(
    ("builder", "change", "error", "message"),
    [
        (tfpvae.build_encoder, {"latent_dim": 0}, ValueError, "latent_dim: .* at least 1, got 0"),
        (tfpvae.build_decoder, {"latent_dim": 0}, ValueError, "latent_dim: .* at least 1, got 0"),
        (tfpvae.build_encoder, {"latent_dim": 2.5}, TypeError, "latent_dim: .*2.5"),
        (tfpvae.build_encoder, {"image_shape": (8, 8)}, ValueError, r"image_shape: .*\(8, 8\)"),
        (tfpvae.build_decoder, {"image_shape": (8, 0, 1)}, ValueError, "image_shape"),
        (
            tfpvae.build_encoder,
            {"posterior": "normal"},
            ValueError,
            "posterior: .*'independent_normal', .*'multivariate_normal_tril', got 'normal'",
        ),
        (
            tfpvae.build_decoder,
            {"likelihood": "gaussian"},
            ValueError,
            "likelihood: .*'bernoulli', 'beta', 'categorical', 'continuous_bernoulli'.*'gaussian'",
        ),
        (
            tfpvae.build_decoder,
            {"likelihood": tfp.layers.IndependentBernoulli((8, 8, 1))},
            TypeError,
            "likelihood: wanted a name or a likelihood layer of tfpvae.layers, got",
        ),
        (
            tfpvae.build_decoder,
            {"likelihood": layers.NormalLikelihood((8, 8))},
            ValueError,
            r"likelihood: .*\(8, 8, 1\).*\(8, 8\)",
        ),
        (tfpvae.build_encoder, {"prior": "gaussian"}, ValueError, "prior: .*'standard_normal'"),
        (tfpvae.build_encoder, {"prior": 3}, TypeError, "prior: .*3"),
        (
            tfpvae.build_encoder,
            {"backbone": "resnet"},
            ValueError,
            "backbone: .*'cnn', 'conv', 'deep', 'dense', 'flowers', 'kmnist'.*'resnet'",
        ),
        (tfpvae.build_encoder, {"kl_weight": -1}, ValueError, "kl_weight: .*-1"),
        (tfpvae.build_encoder, {"kl_samples": 0}, ValueError, "kl_samples: .*0"),
        (tfpvae.build_encoder, {"backbone": 3}, TypeError, "backbone: .*3"),
        (tfpvae.build_encoder, {"backbone": tfkl.Dense}, TypeError, "backbone: .*Dense"),
        (
            tfpvae.build_encoder,
            {"backbone": keras.layers.Dense(3)},
            TypeError,
            "backbone: .*Keras 3 object Dense.*import tf_keras",
        ),
        (
            tfpvae.build_decoder,
            {"backbone": keras.Sequential([keras.layers.Dense(3)])},
            TypeError,
            "backbone: .*Keras 3 object Sequential.*import tf_keras",
        ),
        (
            tfpvae.build_decoder,
            {"backbone": tfkl.Dense(63)},
            ValueError,
            r"backbone: wanted one logit a pixel, \[B, 8, 8, 1\], got \(None, 63\)",
        ),
        (
            tfpvae.build_decoder,
            {"backbone": tfkl.Dense(64), "likelihood": "mixture_of_logistics"},
            ValueError,
            r"backbone: wanted 15 parameters a pixel, \[B, 8, 8, 15\], got \(None, 64\)",
        ),
        (
            tfpvae.build_encoder,
            {"backbone": tfkl.Conv2D(3, 9)},
            ValueError,
            r"backbone: wanted a network that takes \(None, 8, 8, 1\)",
        ),
        (
            tfpvae.build_encoder,
            {"backbone": lambda images: [images, images]},
            ValueError,
            "backbone: wanted a network that gives one tensor",
        ),
        (tfpvae.build_decoder, {"pixel_mean": 1.5}, ValueError, "pixel_mean: .*1.5"),
        (tfpvae.build_decoder, {"pixel_mean": np.zeros(3)}, ValueError, r"pixel_mean: .*\(3,\)"),
        (
            tfpvae.build_decoder,
            {"pixel_mean": 0.5, "backbone": tfkl.Dense(64, use_bias=False)},
            ValueError,
            "pixel_mean: .*last layer has a bias",
        ),
    ],
)
def test_bad_arguments_are_named(builder, change, error, message):
    with pytest.raises(error, match=message):
        builder(**GOOD | change)


def test_build_vae_names_its_architectures_and_options():
    with pytest.raises(ValueError, match="architecture: .*'cnn', 'conv', 'deep', .*'dens'"):
        tfpvae.build_vae("dens")
    with pytest.raises(
        TypeError, match="latent_dims: .*got 'latent_dims'. Did you mean 'latent_dim'"
    ):
        tfpvae.build_vae("dense", latent_dims=3)


def test_build_prior_makes_a_standard_normal_and_passes_on_a_distribution():
    prior = tfpvae.build_prior(latent_dim=3)
    z = np.array([[0.5, -1.0, 2.0]], "float32")
    expected = -0.5 * (z**2).sum() - 1.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(prior.log_prob(z), [expected], rtol=1e-6)
    custom = tfd.MultivariateNormalDiag(tf.zeros(3))
    assert tfpvae.build_prior(custom, latent_dim=3) is custom
    with pytest.raises(TypeError, match="options"):
        tfpvae.build_prior(custom, latent_dim=3, components=2)


def test_an_exact_kl_without_a_closed_form_is_refused_when_the_encoder_is_built():
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=[0.0, 0.0]), tfd.MultivariateNormalDiag(tf.zeros([2, 2]))
    )
    with pytest.raises(NotImplementedError, match="MixtureSameFamily"):
        tfpvae.build_encoder(**GOOD, prior=mixture, use_exact_kl=True)
    encoder = tfpvae.build_encoder(**GOOD, prior=mixture)
    assert encoder(np.zeros([1, 8, 8, 1], "float32")).event_shape == [2]


def test_precision_applies_to_the_backbone_only_and_keeps_the_global_policy():
    vae = tfpvae.build_vae("dense", image_shape=(4, 3, 1), precision="bfloat16")
    dense = next(x for x in vae.encoder.layers if isinstance(x, tf_keras.layers.Dense))
    assert (dense.compute_dtype, dense.variable_dtype) == ("bfloat16", "float32")
    assert vae.encoder(np.zeros([2, 4, 3, 1], "float32")).dtype == tf.float32
    assert tf_keras.mixed_precision.global_policy().name == "float32"
    with pytest.raises(ValueError, match="precision: wanted one of 'bfloat16', 'float32', got 'f"):
        tfpvae.build_vae("dense", precision="float16")
    assert tf_keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.parametrize("precision", [None, "float32", "bfloat16"])
@pytest.mark.parametrize("latent_dim", [2, 0])
def test_a_policy_that_was_never_set_still_follows_floatx(precision, latent_dim):
    with contextlib.suppress(ValueError):  # a build that fails sets no policy either
        tfpvae.build_vae("dense", precision, image_shape=(4, 3, 1), latent_dim=latent_dim)
    tf_keras.backend.set_floatx("float64")
    assert tfkl.Dense(1).dtype == "float64"


@pytest.mark.parametrize("precision", [None, "float32", "bfloat16"])
def test_build_vae_keeps_the_global_policy_that_is_set(precision):
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    tfpvae.build_vae("dense", precision, image_shape=(4, 3, 1))
    assert tf_keras.mixed_precision.global_policy().name == "mixed_float16"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_precision_is_refused_when_floatx_is_float64(precision):
    tf_keras.backend.set_floatx("float64")
    with pytest.raises(ValueError, match=rf"precision: wanted None .*'float64', got '{precision}'"):
        tfpvae.build_vae("dense", precision)


def build_all():
    tfpvae.build_encoder(image_shape=(4, 3, 1), latent_dim=2, backbone="dense")
    tfpvae.build_decoder(image_shape=(4, 3, 1), latent_dim=2, backbone="dense")
    return tfpvae.build_vae("dense", image_shape=(4, 3, 1))


def test_float16_is_refused():
    tf_keras.backend.set_floatx("float16")
    for build in (tfpvae.build_encoder, tfpvae.build_decoder):
        with pytest.raises(ValueError, match="floatx: wanted 'float32' or 'float64'.*'float16'"):
            build(image_shape=(4, 3, 1), latent_dim=2, backbone="dense")
    with pytest.raises(ValueError, match=r"set_floatx\('float32'\)"):
        tfpvae.build_vae("dense")


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    "floatx, policy",
    [
        ("float32", "float64"),
        ("float64", "float32"),
        ("float64", "mixed_bfloat16"),
        ("float32", "float16"),
        ("float32", "bfloat16"),
    ],
)
def test_a_policy_that_contradicts_floatx_is_refused_and_either_suggested_line_helps(
    floatx, policy
):
    tf_keras.backend.set_floatx(floatx)
    tf_keras.mixed_precision.set_global_policy(policy)
    message = f"policy: wanted layers .*'{floatx}', got the global policy '{policy}'"
    with pytest.raises(ValueError, match=message) as caught:
        build_all()
    lines = re.findall(r"tf_keras[\w.]*\(.*?\)", str(caught.value))
    assert len(lines) == 2
    for line in lines:
        tf_keras.backend.set_floatx(floatx)
        tf_keras.mixed_precision.set_global_policy(policy)
        eval(line)  # as the message says
        vae = build_all()
        assert vae.sample(1).dtype == tf_keras.backend.floatx()


# Backbones of channels_first


CHANNELS_FIRST = "backbone: .* layers of channels_last, .* got '{}' of channels_first.*Make them"


def conv(**options):
    return tfkl.Conv2D(4, 3, name="conv", **options)


def sequential(*layers):
    return tf_keras.Sequential(layers)


IMAGE_BACKBONES = {
    "a layer": lambda: conv(padding="same"),
    "a model": lambda: sequential(conv(padding="same"), tfkl.Flatten()),
    "one with an input": lambda: sequential(tf_keras.Input((8, 8, 1)), conv(padding="same")),
    "one in another": lambda: sequential(sequential(tfkl.Rescaling(2.0), conv(padding="same"))),
    "one that fails": lambda: sequential(conv()),
    "a function": lambda: lambda images: conv(padding="same")(images),
    "pooling": lambda: tfkl.MaxPool2D(padding="same", name="conv"),
}


@pytest.mark.parametrize("kind", IMAGE_BACKBONES)
def test_an_encoder_of_channels_first_layers_is_refused(kind):
    tf_keras.backend.set_image_data_format("channels_first")
    backbone = IMAGE_BACKBONES[kind]()
    with pytest.raises(ValueError, match=CHANNELS_FIRST.format("conv")):
        tfpvae.build_encoder(**GOOD | {"backbone": backbone})
    tf_keras.backend.set_image_data_format("channels_last")  # as the message says
    assert tfpvae.build_encoder(**GOOD | {"backbone": IMAGE_BACKBONES[kind]()}).output_shape == (
        None,
        2,
    )


@pytest.mark.parametrize("kernel", [3, 9])  # gives a wrong shape; fails, as no row is left
def test_a_decoder_of_channels_first_layers_is_refused(kernel):
    tf_keras.backend.set_image_data_format("channels_first")
    last = tfkl.Conv2DTranspose(1, 3, 2, "same", name="last")
    inner = tfkl.Conv2D(8, kernel, name="inner")
    backbone = sequential(tfkl.Dense(4 * 4 * 8), tfkl.Reshape((4, 4, 8)), inner, last)
    with pytest.raises(ValueError, match=CHANNELS_FIRST.format("inner")):
        tfpvae.build_decoder(**GOOD | {"backbone": backbone})


def test_the_error_of_a_function_mentions_channels_first():
    tf_keras.backend.set_image_data_format("channels_first")
    message = r"backbone: wanted a network that takes .*set_image_data_format\('channels_last'\)"
    with pytest.raises(ValueError, match=message):
        tfpvae.build_encoder(**GOOD | {"backbone": lambda images: conv()(images)})


def test_channels_first_layers_between_permutations_are_taken():
    first = {"data_format": "channels_first"}
    permuted = sequential(tfkl.Permute((3, 1, 2)), tfkl.Conv2D(4, 3, 2, **first), tfkl.Flatten())
    encoder = tfpvae.build_encoder(**GOOD | {"backbone": permuted})
    assert encoder(np.zeros([1, 8, 8, 1], "float32")).event_shape == [2]
    permuted = [tfkl.Conv2DTranspose(1, 3, 2, "same", **first), tfkl.Permute((2, 3, 1))]
    backbone = sequential(tfkl.Dense(4 * 4 * 8), tfkl.Reshape((8, 4, 4)), *permuted)
    decoder = tfpvae.build_decoder(**GOOD | {"backbone": backbone})
    assert decoder(np.zeros([1, 2], "float32")).event_shape == (8, 8, 1)


def test_flatten_is_taken_in_any_image_format():
    tf_keras.backend.set_image_data_format("channels_first")
    backbone = sequential(tfkl.Flatten(), tfkl.Dense(3))
    assert tfpvae.build_encoder(**GOOD | {"backbone": backbone}).output_shape == (None, 2)
