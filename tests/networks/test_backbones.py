"""Named networks, whatever image format and precision Keras is set to."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae

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


@pytest.mark.parametrize("written", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", ["model.keras", "model"])
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
