"""Networks take the images that the VAE takes, and infer unless they are told to train."""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests import reference
from tests.contracts.registry import OF_PIXELS
from tests.small_vae import BYTES, IMAGES, SHAPE, small_vae

shared_vae = functools.cache(small_vae)


@pytest.fixture(scope="module")
def saved_vae(tmp_path_factory):
    """Returns the shared VAE as built, and as loaded from each format, by name."""
    folder = tmp_path_factory.mktemp("saved")
    vaes = {"as built": shared_vae()}
    for form, name in (("folder", "vae"), ("file", "vae.keras")):
        vaes["as built"].save(folder / name)
        vaes[form] = tf_keras.models.load_model(folder / name)
    return vaes


# Inference mode

RANDOM_LAYERS = [
    lambda: tf_keras.layers.RandomFlip(),
    lambda: tf_keras.layers.RandomContrast(0.9),
    lambda: tf_keras.layers.GaussianNoise(3.0),
    lambda: tf_keras.layers.Dropout(0.9),
]


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("layer", "kind"),
    [*zip(RANDOM_LAYERS, ["sequential", "functional", "nested", "sequential"], strict=True)],
)
def test_layers_for_training_are_left_out_of_inference(layer, kind, tmp_path):
    layers = [layer(), tf_keras.layers.Flatten(), tf_keras.layers.Dense(4)]
    backbone = tf_keras.Sequential(layers)
    if kind == "functional":
        images = tf_keras.Input(SHAPE)
        backbone = tf_keras.Model(images, backbone(images))
    if kind == "nested":
        backbone = tf_keras.Sequential([tf_keras.Sequential([backbone])])
    vae = small_vae(encoder_backbone=backbone)
    expected = vae.encoder(IMAGES, training=False).mean()
    images = vae.decoder(expected, training=False).mean()
    vae.save(tmp_path / "vae")
    loaded = tf_keras.models.load_model(tmp_path / "vae")
    signatures = tf.saved_model.load(str(tmp_path / "vae")).signatures
    assert_close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    assert_close(vae.encoder(IMAGES).mean(), expected)
    assert_close(loaded.encoder(IMAGES).mean(), expected)
    assert_close(vae.encoder.predict(IMAGES, verbose=0).shape, expected.shape)
    assert_close(vae.reconstruct(IMAGES), images)
    assert_close(vae.predict(IMAGES, verbose=0), images)
    assert_close(vae.elbo(IMAGES, seed=0), vae.elbo(IMAGES, seed=0))
    assert_close(vae.log_likelihood(IMAGES, 3, seed=0), vae.log_likelihood(IMAGES, 3, seed=0))
    assert_close(signatures["encode"](images=tf.constant(IMAGES))["mean"], expected)
    assert_close(signatures["reconstruct"](images=tf.constant(IMAGES))["mean"], images)
    assert not np.allclose(vae.encoder(IMAGES, training=True).mean(), expected, atol=1e-4)


def test_networks_follow_the_training_mode_of_an_outer_model():
    backbone = tf_keras.Sequential([tf_keras.layers.Dropout(0.9), tf_keras.layers.Flatten()])
    vae = small_vae(encoder_backbone=backbone)
    outer = tf_keras.Sequential([tf_keras.Input(SHAPE), vae.encoder])
    expected = vae.encoder(IMAGES).mean()
    np.testing.assert_allclose(outer(IMAGES).mean(), expected, rtol=1e-5)
    assert not np.allclose(outer(IMAGES, training=True).mean(), expected, atol=1e-4)


# Images that an encoder takes


@pytest.mark.spread(2)
@pytest.mark.parametrize("form", ["as built", "folder", "file"])
def test_an_encoder_takes_the_images_that_its_vae_takes(form, saved_vae):
    vae = saved_vae[form]
    expected = vae.encoder(BYTES / np.float32(255)).mean()
    for images in (BYTES, tf.constant(BYTES), BYTES[..., 0], BYTES / 255):
        np.testing.assert_allclose(vae.encoder(images).mean(), expected, rtol=1e-5, atol=1e-6)
        call = tf.function(lambda images: vae.encoder(images).mean())
        np.testing.assert_allclose(call(tf.constant(images)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        vae.decoder(expected).log_prob(BYTES),
        vae.decoder(expected).log_prob(BYTES / 255),
        rtol=1e-5,
    )
    for images in (255 * IMAGES / IMAGES.max(), -IMAGES, np.full_like(IMAGES, np.nan)):
        with pytest.raises(ValueError, match=r"images: wanted pixels in \[0, 1\], got values from"):
            vae.encoder(images)
        with pytest.raises(tf.errors.InvalidArgumentError, match="images: wanted pixels in"):
            call(tf.constant(images))
    with pytest.raises((TypeError, ValueError), match="images: wanted float pixels .* got int64"):
        vae.encoder(BYTES.astype("int64"))


def test_an_unbounded_likelihood_lets_the_encoder_take_its_draws_but_not_bytes_as_floats():
    vae = small_vae(likelihood=tfpvae.layers.NormalLikelihood(SHAPE, scale=0.5))
    draws = vae.decoder(np.zeros([24, 2], "float32")).sample(seed=0)
    assert draws.numpy().min() < 0
    assert np.isfinite(vae.encoder(draws).mean()).all()
    with pytest.raises(ValueError, match=r"images: wanted pixels in \[0, 1\], got values from"):
        vae.encoder(BYTES.astype("float32"))


# Images that a likelihood scores


@pytest.mark.spread(4)
@pytest.mark.parametrize("likelihood", sorted(OF_PIXELS))
def test_a_likelihood_scores_bytes_as_pixels(likelihood):
    p = small_vae(likelihood=likelihood).decoder(np.zeros([24, 2], "float32"))
    np.testing.assert_allclose(p.log_prob(BYTES), p.log_prob(BYTES / np.float32(255)), rtol=1e-5)
    np.testing.assert_allclose(p.prob(BYTES), p.prob(BYTES / np.float32(255)), rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"value: wanted images .* got shape .*images\[..., None\]"
    ):
        p.log_prob(IMAGES[..., 0])
    if not likelihood.startswith("normal"):  # whose draws may lie anywhere
        with pytest.raises(ValueError, match=r"value: wanted pixels in \[0, 1\], got values from"):
            p.log_prob(IMAGES * 255)
    assert np.isfinite(p.log_prob(tf.cast(p.sample(seed=0), tf.float32))).all()


def test_a_bernoulli_scores_bytes_as_numpy_does():
    p = shared_vae().decoder(np.zeros([24, 2], "float32"))
    expected = reference.bernoulli_log_prob(BYTES / 255, p.distribution.logits.numpy())
    np.testing.assert_allclose(p.log_prob(BYTES), expected, rtol=1e-4)


# Threads, graphs and files


def test_networks_return_distributions_in_every_thread():
    vae = shared_vae()
    expected = vae.encoder(IMAGES).mean().numpy()

    def reconstruct(_):
        return vae.decoder(vae.encoder(IMAGES).mean()).mean().numpy()

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(reconstruct, range(64)))
    for result in results:
        np.testing.assert_allclose(result, vae.decoder(expected).mean(), rtol=1e-5)


@pytest.mark.spread(1)
@pytest.mark.parametrize("num_classes", [None, 3])
def test_methods_return_the_same_inside_a_tf_function(num_classes):
    vae = small_vae(num_classes=num_classes)
    labels = {} if num_classes is None else {"labels": np.arange(24) % 3}
    calls = [
        lambda x: vae.elbo(x, seed=3, **labels),
        lambda x: vae.log_likelihood(x, 5, seed=3, **labels),
        lambda x: vae.reconstruct(x, **labels),
        lambda x: vae.sample(24, seed=3, **labels),
    ]
    for call in calls:
        inside = tf.function(call, autograph=False)(tf.constant(IMAGES))
        np.testing.assert_allclose(inside, call(IMAGES), rtol=1e-4, atol=1e-4)


@pytest.mark.spread(3)
@pytest.mark.parametrize("part", ["vae", "encoder", "decoder"])
@pytest.mark.parametrize("name", ["model", "model.keras"])
def test_save_model_of_keras_saves_each_network(part, name, tmp_path):
    vae = shared_vae()
    model = vae if part == "vae" else getattr(vae, part)
    tf_keras.models.save_model(model, tmp_path / name)
    loaded = tf_keras.models.load_model(tmp_path / name)
    inputs = np.zeros([3, 2], "float32") if part == "decoder" else IMAGES[:3]
    if part == "vae":
        loaded, model = loaded.encoder, vae.encoder
    np.testing.assert_allclose(loaded(inputs).mean(), model(inputs).mean(), rtol=1e-5)
