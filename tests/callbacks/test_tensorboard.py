"""Scalars, pictures and latents of a training in TensorBoard."""

import importlib.util
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfpvae
from tests.callbacks.fitting import IMAGES, SHAPE, fit, small_vae
from tfpvae.callbacks import TensorBoard

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)


def _events(folder, run) -> dict[str, dict[int, tf.Tensor]]:
    """Returns the values of a run, by tag and step."""
    result: dict[str, dict[int, tf.Tensor]] = {}
    for path in sorted((folder / run).iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                written = result.setdefault(value.tag, {})
                written[event.step] = tf.make_ndarray(value.tensor)
    return result


def _picture(written) -> np.ndarray:
    width, height, png = written[:3]
    picture = tf.io.decode_png(png).numpy()
    assert picture.shape[:2] == (int(height), int(width))
    return picture


@needs_tensorboard
def test_a_board_has_nats_pictures_and_the_latents(tmp_path):
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, latent_dim=2, kl_weight=0.5)
    vae.compile(run_eagerly=True)
    board = TensorBoard(tmp_path, IMAGES[:20], every=2, num_samples=4, seed=3)
    history = fit(vae, board, epochs=2, validation_data=IMAGES[:10]).history
    train, validation, own = (_events(tmp_path, run) for run in ("train", "validation", "vae"))
    for name in ("loss", "nll", "kl", "elbo"):
        np.testing.assert_allclose([*train[f"epoch_{name}"].values()], history[name], rtol=1e-6)
        written = [*validation[f"epoch_{name}"].values()]
        np.testing.assert_allclose(written, history[f"val_{name}"], rtol=1e-6)
    expected = {"kl_weight", "posterior_mean/0", "posterior_mean/1", "reconstructions", "samples"}
    assert set(own) == expected and all([*steps] == [1] for steps in own.values())  # every second
    assert own["kl_weight"][1] == 0.5
    samples = np.round(255 * vae.sample(4, seed=3).numpy())
    picture = _picture(own["samples"][1])  # three in the first row, two pixels between
    np.testing.assert_array_equal(picture[8:, :5], samples[3])
    pairs = _picture(own["reconstructions"][1])
    assert pairs.shape == (2 * 6 + 2, 16 * 5 + 15 * 2, 1)
    made = vae.reconstruct(IMAGES[:16]).numpy()
    np.testing.assert_array_equal(pairs[:6, :5], np.round(255 * IMAGES[0]))
    # Of one rounding to bytes.
    np.testing.assert_allclose(pairs[8:, -5:], 255 * made[15], atol=0.5 + 1e-2)


@needs_tensorboard
def test_a_histogram_is_of_the_posterior_means_of_all_images(tmp_path):
    vae, board = small_vae(run_eagerly=True), TensorBoard(tmp_path, IMAGES[:20])
    fit(vae, board)
    means = vae.encoder(IMAGES[:20]).mean().numpy()
    for d in range(2):
        buckets = _events(tmp_path, "vae")[f"posterior_mean/{d}"][0]  # left, right, count
        assert buckets[:, 2].sum() == 20
        np.testing.assert_allclose(buckets[0, 0], means[:, d].min(), rtol=1e-5)
        np.testing.assert_allclose(buckets[-1, 1], means[:, d].max(), rtol=1e-5)


@needs_tensorboard
def test_a_board_of_a_conditional_vae_wants_labels(tmp_path):
    labels = np.arange(40) % 3
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, num_classes=3)
    vae.compile(run_eagerly=True)
    with pytest.raises(ValueError, match="labels: wanted one for each image"):
        vae.fit(IMAGES, labels, verbose=0, callbacks=[TensorBoard(tmp_path, IMAGES)])
    assert vae.optimizer.iterations == 0
    board = TensorBoard(tmp_path, IMAGES, labels)
    vae.fit(IMAGES, labels, batch_size=20, verbose=0, callbacks=[board])
    assert {"samples", "reconstructions"} <= set(_events(tmp_path, "vae"))


@needs_tensorboard
def test_a_board_of_a_plain_autoencoder_has_no_samples(tmp_path):
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, posterior="deterministic")
    vae.compile(run_eagerly=True)
    fit(vae, TensorBoard(tmp_path, IMAGES))
    assert "samples" not in _events(tmp_path, "vae")


@needs_tensorboard
@pytest.mark.parametrize(
    ("images", "match"),
    [(IMAGES[:, :3], r"images: wanted images \[B, 6, 5, 1\]"), (IMAGES * 255, "pixels in")],
)
def test_a_board_refuses_images_before_training(tmp_path, images, match):
    vae = small_vae(run_eagerly=True)
    with pytest.raises(ValueError, match=match):
        fit(vae, TensorBoard(tmp_path, images))
    assert vae.optimizer.iterations == 0


def test_without_tensorboard_a_board_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r'pip install "tfpvae\[tensorboard\]"'):
        TensorBoard(tmp_path, IMAGES)
