"""Start values from training images have the intended statistics."""

import numpy as np
import pytest

import tfpvae
from tfpvae.models import encoders
from tfpvae.networks.initialization import START_SCALE

SHAPE = (8, 8, 1)


def images(count: int, seed: int = 0) -> np.ndarray:
    """Returns mixtures of five patterns, whose pixels have a rank of five."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(1).uniform(size=(5, *SHAPE))
    weights = rng.dirichlet(np.ones(5), size=count)
    return np.tensordot(weights, patterns, 1).astype("float32")


def encoder(start_images, **options):
    options = {"latent_dim": 3, "backbone": "dense"} | options
    return tfpvae.build_encoder(image_shape=SHAPE, start_images=start_images, **options)


@pytest.mark.spread(6)
@pytest.mark.parametrize("posterior", encoders.POSTERIORS)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_means_start_with_unit_covariance(posterior, dtype):
    x = images(200)
    if dtype == "uint8":
        x = np.round(255 * x).astype("uint8")
    network = encoder(x, posterior=posterior)
    posterior = network(x / np.float32(255) if dtype == "uint8" else x)
    means = posterior.mean().numpy()
    if hasattr(posterior, "top"):  # of a ladder the first group, one of its three dimensions
        np.testing.assert_array_equal(means[:, 1:], 0)
        means = means[:, :1]
    np.testing.assert_allclose(means.mean(axis=0), 0, atol=1e-4)
    expected = np.eye(means.shape[1])
    np.testing.assert_allclose(
        np.cov(means.T, bias=True).reshape(expected.shape), expected, atol=1e-3
    )


@pytest.mark.parametrize("name", ["independent_normal", "multivariate_normal_tril"])
def test_the_scales_start_equal_and_uncorrelated(name):
    posterior = encoder(images(50), posterior=name)(images(7, seed=2))
    covariance = np.zeros([7, 3, 3])
    covariance[:] = START_SCALE**2 * np.eye(3)
    if name == "multivariate_normal_tril":
        actual = posterior.covariance().numpy()
    else:
        actual = np.stack([np.diag(row) for row in posterior.variance().numpy()])
    # Plus the scale floor of 1e-5.
    np.testing.assert_allclose(actual, covariance, rtol=2e-4, atol=1e-6)


@pytest.mark.spread(6)
@pytest.mark.parametrize("posterior", encoders.POSTERIORS)
@pytest.mark.parametrize("latent_dim", [2, 30])
def test_without_images_the_scales_start_at_one(posterior, latent_dim):
    """On black images, where only the bias counts."""
    network = encoder(None, posterior=posterior, latent_dim=latent_dim)
    black = network(np.zeros([3, *SHAPE], "float32"))
    expected = 0 if posterior == "deterministic" else 1
    # Plus the scale floor of 1e-5 and, for low_rank, the start values of its factors.
    np.testing.assert_allclose(black.stddev(), np.full([3, latent_dim], expected), rtol=1e-3)
    np.testing.assert_allclose(black.mean(), np.zeros([3, latent_dim]), atol=1e-6)


def test_the_means_explain_the_images_better_than_random_ones():
    """By least squares from codes to pixels, scored on other images."""

    x, y = images(300, seed=3), images(300, seed=4)
    pixels = [part.reshape(300, -1) for part in (x, y)]
    axes = np.linalg.svd(pixels[0] - pixels[0].mean(axis=0))[2][:3].T

    def explained(codes) -> float:
        codes = [np.c_[part, np.ones(300)] for part in codes]
        weights = np.linalg.lstsq(codes[0], pixels[0], rcond=None)[0]
        residual = ((codes[1] @ weights - pixels[1]) ** 2).sum()
        return 1 - residual / ((pixels[1] - pixels[1].mean(axis=0)) ** 2).sum()

    best = explained([part @ axes for part in pixels])  # no linear code of three explains more
    white, random = (
        explained([network(part).mean().numpy() for part in (x, y)])
        for network in (encoder(x), encoder(None))
    )
    assert random < 0.9 * best < white


def test_dimensions_beyond_the_rank_keep_their_start_values():
    network = encoder(images(4), latent_dim=6)  # four images differ in three directions
    means = network(images(4)).mean().numpy()
    assert np.isfinite(means).all()
    np.testing.assert_allclose(np.cov(means[:, :3].T, bias=True), np.eye(3), atol=1e-3)


def test_identical_images_leave_the_means_at_their_start_values():
    plain = encoder(None).get_layer("posterior_parameters")
    started = encoder(np.full([5, *SHAPE], 0.5, "float32")).get_layer("posterior_parameters")
    assert np.isfinite(started.get_weights()[0]).all()
    assert started.kernel.shape == plain.kernel.shape
    assert np.abs(started.kernel.numpy()[:, :3]).max() < 1


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (images(1), ValueError, "start_images: wanted at least 2 images, got 1"),
        (np.zeros([3, 4, 4, 1], "float32"), ValueError, "start_images: .*8, 8, 1.*3, 4, 4, 1"),
        (np.full([3, *SHAPE], 2.0), ValueError, r"start_images: wanted pixels in \[0, 1\]"),
        (np.zeros([0, *SHAPE]), ValueError, "start_images: wanted at least one image"),
        ("pictures", TypeError, "start_images: wanted float pixels"),
    ],
)
def test_bad_start_images_are_refused(inputs, error, message):
    with pytest.raises(error, match=message):
        encoder(inputs)


def test_build_vae_passes_the_start_images_to_the_encoder():
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, latent_dim=3, start_images=images(50))
    np.testing.assert_allclose(vae.encoder(images(50)).mean().numpy().std(axis=0), 1, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_without_a_pixel_mean_build_vae_takes_that_of_the_start_images(dtype):
    start = images(50) if dtype == "float32" else np.uint8(255 * images(50))
    scale = 1 if dtype == "float32" else 255
    options = {"image_shape": SHAPE, "start_images": start}
    vae = tfpvae.build_vae("dense", **options)
    given = tfpvae.build_vae("dense", **options, pixel_mean=start.mean(axis=0) / scale)
    bias, expected = (model.decoder.get_weights()[-1] for model in (vae, given))
    assert expected.any()
    np.testing.assert_allclose(bias, expected, rtol=1e-4)
    zeros = tfpvae.build_vae("dense", **options, pixel_mean=0.5).decoder.get_weights()[-1]
    np.testing.assert_allclose(zeros, 0, atol=1e-6)
