"""Named networks, whatever image format and precision Keras is set to."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.pairs import once
from tfpvae.networks.keras_layers import leaky_relu
from tfpvae.networks.residual import BorderPadding2D, Doubling2D, DoublingConv2D, map_sizes

SIDES = {"flowers": 52, "kmnist": 28}  # at least; of the others 12


def vae_of(architecture, data_format):
    """Returns a VAE built while Keras has this format, with seeded weights."""
    tf_keras.backend.set_image_data_format(data_format)
    tf_keras.utils.set_random_seed(0)
    side = SIDES.get(architecture, 12)
    vae = tfpvae.build_vae(architecture, image_shape=(side, side + 4, 1), pixel_mean=0.2)
    vae.compile(run_eagerly=True)
    return vae


def images_of(vae):
    return np.random.default_rng(0).random((2, *vae.image_shape), np.float32)


every_architecture = pytest.mark.parametrize("architecture", tfpvae.list_architectures())


@pytest.mark.spread(4)
@every_architecture
def test_a_network_does_not_depend_on_the_image_format_of_keras(architecture):
    last, first = (vae_of(architecture, f"channels_{place}") for place in ("last", "first"))
    x = images_of(first)
    assert tf_keras.backend.image_data_format() == "channels_first"
    for ours, theirs in zip(first.weights, last.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(first.encoder(x).mean(), last.encoder(x).mean())
    np.testing.assert_array_equal(first.reconstruct(x), last.reconstruct(x))
    losses = [vae.fit(x, verbose=0).history["loss"] for vae in (first, last)]
    assert np.isfinite(losses).all()
    formats = {getattr(x, "data_format", "channels_last") for x in first._flatten_layers()}
    assert formats == {"channels_last"}


@pytest.mark.spread(4)
@every_architecture
def test_image_formats_of_keras_do_not_change_the_shapes_of_a_network(architecture):
    results = []
    for data_format in ("channels_last", "channels_first"):
        tf_keras.backend.set_image_data_format(data_format)
        vae = tfpvae.build_vae(architecture)
        latent_dim = 128 if architecture == "kmnist" else vae.encoder.output_shape[-1]
        images = vae.decoder(np.zeros([2, latent_dim], "float32")).mean()
        results.append((vae.count_params(), images.shape))
    assert results[0] == results[1]


@pytest.mark.spread(1)
@pytest.mark.parametrize(
    ("written", "name"), once(["channels_last", "channels_first"], ["model.keras", "model"])
)
def test_a_saved_model_is_loaded_under_either_image_format_of_keras(written, name, tmp_path):
    vae = vae_of("cnn", written)
    x = images_of(vae)
    vae.save(tmp_path / name)
    read = {"channels_last": "channels_first", "channels_first": "channels_last"}[written]
    tf_keras.backend.set_image_data_format(read)
    loaded = tf_keras.models.load_model(tmp_path / name)
    np.testing.assert_allclose(loaded.reconstruct(x), vae.reconstruct(x), rtol=1e-6)
    if name == "model":
        result = tf.saved_model.load(str(tmp_path / name)).signatures["reconstruct"](images=x)
        np.testing.assert_allclose(result["mean"], vae.reconstruct(x), rtol=1e-4)


def test_a_bfloat16_network_normalizes_batches_in_float32():
    vae = tfpvae.build_vae("kmnist", precision="bfloat16")
    computed = {type(x).__name__: x.compute_dtype for x in vae.decoder.layers}
    assert computed["BatchNormalization"] == "float32"
    assert {computed[x] for x in ("Conv2DTranspose", "LeakyReLU", "Cropping2D")} == {"bfloat16"}


RESIDUAL_SHAPES = [(28, 28, 1), (29, 64, 3), (63, 33, 3), (97, 131, 1), (80, 80, 3)]


@pytest.mark.spread(3)
@pytest.mark.parametrize("image_shape", RESIDUAL_SHAPES)
def test_the_residual_network_has_maps_that_halve_to_at_most_7(image_shape):
    height, width, _ = image_shape
    patch, maps = map_sizes(height, width)
    assert maps[0] == (math.ceil(height / patch), math.ceil(width / patch))
    assert max(maps[-1]) <= 7 < max(maps[-2])
    options = {"latent_dim": 3, "pixel_mean": 0.2, "backbone_options": {"width": 8}}
    vae = tfpvae.build_vae("residual", image_shape=image_shape, **options)
    convolutions = [x for x in vae.encoder.layers if getattr(x, "strides", (1, 1)) != (1, 1)]
    assert [x.output_shape[1:3] for x in convolutions] == maps
    x = images_of(vae)
    assert vae.reconstruct(x).shape == x.shape
    vae.compile(run_eagerly=True)
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(("side", "most"), [(80, 4e6), (256, 4e6), (512, 5e6)])
def test_the_residual_network_stays_small_however_large_the_images(side, most):
    """Also with a full covariance of 32 latents."""
    vae = tfpvae.build_vae(
        "residual", image_shape=(side, side, 3), posterior="multivariate_normal_tril"
    )
    assert vae.count_params() < most


@pytest.mark.parametrize("depth", [1, 3])
def test_a_residual_block_starts_as_the_identity(depth):
    """So any number of blocks passes on the features of the first convolution."""
    options = {"image_shape": (14, 12, 1), "latent_dim": 3, "backbone_options": {"depth": depth}}
    encoder = tfpvae.build_vae("residual", **options).encoder
    x = np.random.default_rng(0).random((2, 14, 12, 1), np.float32)
    first, last = encoder.layers[1], encoder.layers[-4]
    assert isinstance(last, tf_keras.layers.Activation)
    features = tf_keras.Model(encoder.inputs, [first.output, last.output])
    one, other = features(x)
    np.testing.assert_array_equal(tf.nn.leaky_relu(one, 0.2), other)


@pytest.mark.parametrize("sides", [(14, 10), (13, 9), (14, 9)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_doubling_interpolates_and_leaves_out_a_last_row_and_column(sides, dtype):
    x = np.random.default_rng(0).random((2, 7, 5, 3), np.float32)
    layer = Doubling2D(sides, dtype=dtype)
    outputs = layer(tf.cast(x, dtype))
    assert outputs.dtype == dtype and outputs.shape == (2, *sides, 3)
    assert layer.compute_output_shape(x.shape) == (2, *sides, 3)
    expected = x
    for axis, side in ((1, sides[0]), (2, sides[1])):
        number = expected.shape[axis]
        places = (np.arange(side) + 0.5) / 2 - 0.5
        expected = np.apply_along_axis(
            lambda row, p=places, n=number: np.interp(p, np.arange(n), row), axis, expected
        )
    tolerance = 1e-2 if dtype == "bfloat16" else 1e-5
    np.testing.assert_allclose(tf.cast(outputs, "float32"), expected, atol=tolerance)


def test_the_border_is_repeated():
    x = np.random.default_rng(0).random((2, 3, 4, 1), np.float32)
    expected = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], "edge")
    np.testing.assert_array_equal(BorderPadding2D()(x), expected)
    assert BorderPadding2D().compute_output_shape(x.shape) == expected.shape


@pytest.mark.parametrize("sides", [(14, 10), (13, 9), (14, 9)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
@pytest.mark.parametrize("activation", [None, leaky_relu])
def test_a_doubling_convolution_is_that_of_the_doubled_map(sides, dtype, activation):
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 7, 5, 3)), "float64")
    layer = DoublingConv2D(4, sides, activation=activation, dtype=dtype)
    assert layer.compute_output_shape(x.shape) == (2, *sides, 4)
    layer.build(x.shape)
    weights = [np.random.default_rng(1).normal(size=w.shape) for w in layer.weights]
    layer.set_weights(weights)
    apart = tf_keras.Sequential(
        [
            Doubling2D((14, 10), dtype="float32"),
            BorderPadding2D(dtype="float64"),
            tf_keras.layers.Conv2D(4, 3, activation=activation, dtype="float64"),
            # Beyond an odd side the map goes on.
            tf_keras.layers.Cropping2D(((0, 14 - sides[0]), (0, 10 - sides[1]))),
        ]
    )
    apart.build(x.shape)
    apart.set_weights(weights)
    results = []
    for network in (layer, apart):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = network(x)
            loss = tf.reduce_sum(tf.cast(outputs, "float64") ** 2)
        results.append([outputs, *tape.gradient(loss, [x, *network.trainable_variables])])
    assert results[0][0].dtype == layer.compute_dtype
    rtol = 0.03 if dtype == "mixed_bfloat16" else 1e-5  # Doubling2D computes in float32
    for one, other in zip(*results, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(tf.cast(one, "float64"), other, rtol, atol=rtol * scale)


def test_a_config_builds_the_same_doubling_convolution():
    layer = DoublingConv2D(4, (13, 10), activation=leaky_relu, data_format="channels_last")
    loaded = tf_keras.layers.deserialize(tf_keras.layers.serialize(layer))
    assert loaded.get_config() == layer.get_config()
    assert (loaded.filters, loaded.sides, loaded.activation) == (4, (13, 10), leaky_relu)


@pytest.mark.spread(1)
@pytest.mark.parametrize(("precision", "jit_compile"), once(["float32", "bfloat16"], [True, False]))
def test_the_residual_network_learns_with_and_without_xla(precision, jit_compile):
    tf_keras.utils.set_random_seed(0)
    options = {"image_shape": (29, 30, 3), "latent_dim": 4, "backbone_options": {"width": 8}}
    vae = tfpvae.build_vae("residual", precision=precision, **options)
    vae.compile(tf_keras.optimizers.Adam(3e-3), jit_compile=jit_compile)
    x = np.repeat(np.random.default_rng(0).random((8, 1, 1, 3), np.float32), 29 * 30, 1)
    x = x.reshape(8, 29, 30, 3)
    losses = vae.fit(x, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 80  # of some 1,800 nats, most of them the entropy of gray
