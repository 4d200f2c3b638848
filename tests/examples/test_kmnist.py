"""The example of two latent sizes resumes after an interruption."""

import argparse

import numpy as np
import pytest
import tf_keras
from PIL import Image

import tfpvae
from tests.examples.running import imported

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 1), dtype=np.uint8)
OPTIONS = {
    "smoke": True,
    "epochs": 3,
    "batch_size": 4,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "clipnorm": None,
    "hold_encoder": 0,
    "patience": None,
}


@pytest.fixture
def kmnist():
    with imported("kmnist") as module:
        yield module


class Interrupt(tf_keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise InterruptedError


def train(kmnist, folder, *callbacks, resume=False):
    """Trains for nine steps with a mosaic every second step; returns their figure."""
    tf_keras.utils.set_random_seed(0)
    vae = tfpvae.build_vae("deep", image_shape=(6, 5, 1), posterior="independent_normal")
    args = argparse.Namespace(**OPTIONS, output=folder, resume=resume)
    mosaics = tfpvae.callbacks.SampleMosaic(folder / "mosaics", every=2, unit="step", num_images=4)
    kmnist._training.train(vae, IMAGES, IMAGES[:4], args, [mosaics, *callbacks])
    return kmnist.mosaics(folder / "mosaics", 2, int(vae.optimizer.iterations.numpy()))


def test_the_figure_of_a_resumed_run_shows_all_its_mosaics(kmnist, tmp_path):
    figure = train(kmnist, tmp_path / "whole")
    (tmp_path / "mosaics").mkdir()
    for step in (1, 3, 10):  # of an earlier run with other options
        Image.new("L", (9, 9)).save(tmp_path / "mosaics" / f"step_{step:06d}.png")
    with pytest.raises(InterruptedError):
        train(kmnist, tmp_path, Interrupt())
    resumed = train(kmnist, tmp_path, resume=True)
    labels, expected = ([text.get_text() for text in f.axes[0].texts] for f in (resumed, figure))
    assert labels == expected == ["step 2", "step 4", "step 6", "step 8"]
    for one, other in zip(resumed.axes[0].images, figure.axes[0].images, strict=True):
        np.testing.assert_array_equal(one.get_array(), other.get_array())
