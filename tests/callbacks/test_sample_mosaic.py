"""Mosaics are drawn when they should be, show what they should, and leave training as it was."""

import numpy as np
import pytest
import tf_keras
from PIL import Image

import tfpvae
from tests.callbacks.fitting import SHAPE, fit, names, small_vae
from tfpvae.callbacks import SampleMosaic


def test_it_is_exported():
    assert tfpvae.callbacks.SampleMosaic is SampleMosaic
    assert "callbacks" in tfpvae.__all__


def test_a_mosaic_holds_the_samples_of_its_epoch_pixel_by_pixel(tmp_path):
    vae, mosaic = small_vae(), SampleMosaic(tmp_path / "a" / "b", num_images=5, seed=3)
    fit(vae, mosaic)
    expected = np.round(255 * vae.sample(5, seed=3).numpy())
    assert list(mosaic.samples) == [1] and mosaic.samples[1].dtype == np.uint8
    np.testing.assert_array_equal(mosaic.samples[1], expected)
    picture = np.array(Image.open(tmp_path / "a" / "b" / "epoch_0001.png"))
    # Three columns, two pixels of white between the images, and the last place empty.
    assert picture.dtype == np.uint8 and picture.shape == (2 * 6 + 2, 3 * 5 + 2 * 2)
    for i in range(5):
        top, left = 8 * (i // 3), 7 * (i % 3)
        np.testing.assert_array_equal(picture[top : top + 6, left : left + 5], expected[i, ..., 0])
        picture[top : top + 6, left : left + 5] = 255
    assert (picture == 255).all()


def test_colors_are_written_in_color(tmp_path):
    vae, mosaic = small_vae((4, 4, 3)), SampleMosaic(tmp_path, num_images=1)
    vae.fit(np.random.default_rng(0).uniform(size=(4, 4, 4, 3)), verbose=0, callbacks=[mosaic])
    picture = Image.open(tmp_path / "epoch_0001.png")
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture), mosaic.samples[1][0])


def test_all_mosaics_show_the_same_latents(tmp_path):
    vae = small_vae(optimizer=tf_keras.optimizers.SGD(0.0))
    mosaic = SampleMosaic(tmp_path, num_images=4)
    fit(vae, mosaic, epochs=2)
    np.testing.assert_array_equal(mosaic.samples[1], mosaic.samples[2])
    other = SampleMosaic(tmp_path / "other", num_images=4, seed=1)
    fit(vae, other)
    assert (other.samples[1] != mosaic.samples[1]).any()


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("every", "epochs", "initial_epoch", "expected"),
    [(1, 3, 0, [1, 2, 3]), (2, 5, 0, [2, 4]), (2, 6, 3, [4, 6]), (5, 4, 0, [])],
)
def test_epochs_are_counted_from_the_initial_one(tmp_path, every, epochs, initial_epoch, expected):
    mosaic = SampleMosaic(tmp_path, every=every, num_images=1)
    fit(small_vae(), mosaic, epochs=epochs, initial_epoch=initial_epoch)
    assert list(mosaic.samples) == expected
    assert names(tmp_path) == [f"epoch_{epoch:04d}.png" for epoch in expected]


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("every", "steps_per_execution", "expected"),
    [(1, 1, range(1, 9)), (3, 1, [3, 6]), (3, 4, [4, 8]), (2, 4, [4, 8]), (8, 4, [8]), (9, 1, [])],
)
def test_steps_are_the_optimizers(tmp_path, every, steps_per_execution, expected):
    mosaic = SampleMosaic(tmp_path, every=every, unit="step", num_images=1)
    fit(small_vae(steps_per_execution=steps_per_execution), mosaic, epochs=2)  # of 4 steps each
    assert list(mosaic.samples) == list(expected)
    assert names(tmp_path) == [f"step_{step:06d}.png" for step in expected]


def test_steps_go_on_in_a_resumed_run(tmp_path):
    vae, mosaic = small_vae(), SampleMosaic(tmp_path, every=3, unit="step", num_images=1)
    fit(vae, mosaic)
    assert list(mosaic.samples) == [3]
    fit(vae, mosaic)
    assert list(mosaic.samples) == [3, 6]
    vae.save(tmp_path / "vae.keras")
    again, later = (
        tf_keras.models.load_model(tmp_path / "vae.keras"),
        SampleMosaic(tmp_path / "later", every=3, unit="step", num_images=1),
    )
    fit(again, later)
    assert list(later.samples) == [9, 12]


def test_training_goes_as_without_it(tmp_path):
    drawn, plain = small_vae(), small_vae()
    fit(drawn, SampleMosaic(tmp_path, unit="step"), shuffle=False)
    weights = drawn.get_weights()
    tf_keras.utils.set_random_seed(0)
    plain = small_vae()
    fit(plain, shuffle=False)
    for ours, theirs in zip(weights, plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_samples_are_a_figures_input(tmp_path):
    mosaic = SampleMosaic(tmp_path, num_images=4)
    fit(small_vae(), mosaic, epochs=2)
    labels = [f"epoch {epoch}" for epoch in mosaic.samples]
    figure = tfpvae.figures.mosaics(np.stack([*mosaic.samples.values()]), labels=labels)
    assert [text.get_text() for text in figure.axes[0].texts] == ["epoch 1", "epoch 2"]


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    def torn(image, path, *_):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", torn)
    with pytest.raises(OSError, match="no space left"):
        fit(small_vae(), SampleMosaic(tmp_path, num_images=1))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"folder": None}, TypeError, "folder: wanted a path, got None"),
        ({"every": 0}, ValueError, "every: wanted a whole number, at least 1, got 0"),
        ({"every": 1.5}, TypeError, "every: wanted a whole number"),
        ({"every": True}, TypeError, "every: wanted a whole number"),
        ({"unit": "batch"}, ValueError, "unit: wanted one of 'epoch', 'step', got 'batch'"),
        ({"num_images": 0}, ValueError, "num_images: wanted a whole number, at least 1"),
        ({"seed": -1}, ValueError, "seed: wanted a whole number, at least 0"),
        ({"seed": None}, TypeError, "seed: wanted a whole number"),
    ],
)
def test_arguments_are_checked_at_once(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        SampleMosaic(**{"folder": tmp_path} | arguments)


def test_a_plain_autoencoder_is_refused(tmp_path):
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, posterior="deterministic")
    vae.compile()
    with pytest.raises(ValueError, match="SampleMosaic: wanted a VAE with a prior, got a plain"):
        fit(vae, SampleMosaic(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_another_model_is_refused(tmp_path):
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(TypeError, match=r"SampleMosaic: wanted a tfpvae\.VAE to train, got <"):
        model.fit(np.ones([4, 2]), np.ones([4, 1]), verbose=0, callbacks=[SampleMosaic(tmp_path)])


def test_other_channels_are_refused(tmp_path):
    vae = small_vae((4, 4, 2))
    with pytest.raises(ValueError, match=r"1 channel or 3, got the image_shape \(4, 4, 2\)"):
        vae.fit(np.zeros([4, 4, 4, 2]), verbose=0, callbacks=[SampleMosaic(tmp_path)])
