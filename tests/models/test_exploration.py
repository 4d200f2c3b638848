"""Paths through latent space and anomaly scores, against the networks themselves."""

import re

import numpy as np
import pytest

from tests.small_vae import BYTES, IMAGES, SHAPE
from tfpvae import build_vae

VAE = build_vae("dense", image_shape=SHAPE, latent_dim=3)
CONDITIONAL = build_vae("dense", image_shape=SHAPE, latent_dim=3, num_classes=4)
AUTOENCODER = build_vae("dense", image_shape=SHAPE, posterior="deterministic")


def close(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("images", [IMAGES, BYTES], ids=["floats", "bytes"])
def test_an_interpolation_is_the_line_between_two_codes(images):
    path = VAE.interpolate(images[0], images[1], num_steps=3)
    codes = VAE.encode(images[:2]).numpy()
    close(path, VAE.decode(np.stack([codes[0], codes.mean(axis=0), codes[1]])))
    both = VAE.interpolate(images[:2], images[1:3], num_steps=3)
    assert both.shape == (2, 3, *SHAPE)
    close(both[0], path)


def test_a_traversal_changes_one_dimension_of_the_code_at_a_time():
    values = [-2.0, 0.5]
    images = VAE.traverse(IMAGES[0], values, dimensions=[2, 0])
    assert images.shape == (2, 2, *SHAPE)
    code = VAE.encode(IMAGES[:1]).numpy()[0]
    for row, dimension in enumerate([2, 0]):
        for step, value in enumerate(values):
            changed = np.where(np.arange(3) == dimension, value, code)
            close(images[row, step], VAE.decode(changed)[0])
    assert VAE.traverse(IMAGES[:1]).shape == (3, 9, *SHAPE)


def test_paths_of_a_conditional_vae_keep_the_label():
    path = CONDITIONAL.interpolate(IMAGES[:2], IMAGES[2:4], num_steps=2, labels=[3, 1])
    for end, images in ((0, IMAGES[:2]), (1, IMAGES[2:4])):
        close(path[:, end], CONDITIONAL.reconstruct(images, labels=[3, 1]))
    code = CONDITIONAL.encode(IMAGES[:1], labels=2).numpy()[0]
    images = CONDITIONAL.traverse(IMAGES[0], [code[1]], dimensions=[1], labels=2)
    close(images[0], CONDITIONAL.reconstruct(IMAGES[:1], labels=2))


def test_an_anomaly_score_is_the_negative_elbo_or_log_likelihood_of_the_code():
    close(VAE.anomaly_score(IMAGES, 5, seed=1), -VAE.elbo(IMAGES, 5, seed=1))
    labels = np.arange(len(IMAGES)) % 4
    scores = CONDITIONAL.anomaly_score(IMAGES, 5, seed=1, labels=labels)
    close(scores, -CONDITIONAL.elbo(IMAGES, 5, seed=1, labels=labels))
    code = AUTOENCODER.encoder(IMAGES).mean()
    close(AUTOENCODER.anomaly_score(IMAGES), -AUTOENCODER.decoder(code).log_prob(IMAGES))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: VAE.interpolate(IMAGES[0], IMAGES[1], 1), "num_steps: wanted a whole number, at"),
        (lambda: VAE.interpolate(IMAGES[:2], IMAGES[0]), "second: wanted shape (2, 6, 5, 1) of"),
        (lambda: VAE.interpolate(IMAGES[0, 1:], IMAGES[0]), "first: wanted"),
        (lambda: VAE.traverse(IMAGES[:2]), "image: wanted one image, got 2."),
        (lambda: VAE.traverse(IMAGES[0], [[1.0]]), "values: wanted finite numbers [S], got"),
        (lambda: VAE.traverse(IMAGES[0], [np.nan]), "values: wanted finite numbers [S], got"),
        (
            lambda: VAE.traverse(IMAGES[0], dimensions=[3]),
            "dimensions: wanted whole numbers from 0 to 2, got [3].",
        ),
        (lambda: CONDITIONAL.traverse(IMAGES[0]), "labels: wanted"),
        (lambda: AUTOENCODER.anomaly_score(IMAGES[:, 1:]), "images: wanted"),
    ],
)
def test_wrong_arguments_are_refused(use, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        use()
