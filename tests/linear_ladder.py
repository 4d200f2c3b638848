"""A ladder of two linear groups, whose prior, posterior and log p(x) are Gaussians in NumPy."""

from typing import NamedTuple

import numpy as np
import tf_keras

import tfpvae
from tests import reference
from tfpvae.networks.ladder import DensePath

TOP, BELOW, PIXELS = 2, 3, 8
SIZE = TOP + BELOW
SHAPE = (PIXELS, 1, 1)


class Gaussians(NamedTuple):
    """Means and covariances, of z = (z_0, z_1), of q(z|x) for each x, and of x."""

    prior: tuple[np.ndarray, np.ndarray]
    posterior_means: np.ndarray
    posterior_covariance: np.ndarray
    pixels: tuple[np.ndarray, np.ndarray]
    images: np.ndarray
    decoder: tuple[np.ndarray, np.ndarray, float]


def build(widened: float = 1.0, count: int = 20) -> tuple[tfpvae.VAE, Gaussians]:
    """Returns the VAE, and the same in NumPy; q is exact but for the correlations inside a group.

    Args:
      widened: factor of the scales of q.
      count: number of images, drawn from the model.
    """
    rng = np.random.default_rng(0)
    step, offset, scale = rng.normal(size=(BELOW, TOP)), rng.normal(size=BELOW), np.r_[0.5, 0.7, 1]
    weights, mean, sigma = 0.05 * rng.normal(size=(PIXELS, SIZE)), np.full(PIXELS, 0.5), 0.05

    whole = np.block([[np.eye(TOP), np.zeros((TOP, BELOW))], [step, np.diag(scale)]])
    prior = np.r_[np.zeros(TOP), offset], whole @ whole.T
    pixels = (
        mean + weights @ prior[0],
        weights @ prior[1] @ weights.T + sigma**2 * np.eye(PIXELS),
    )
    images = rng.multivariate_normal(*pixels, count)

    # The exact posterior, z | x ~ N(m + gain (x - E x), covariance), and z_1 given z_0.
    gain = prior[1] @ weights.T @ np.linalg.inv(pixels[1])
    covariance = prior[1] - gain @ weights @ prior[1]
    slope = covariance[TOP:, :TOP] @ np.linalg.inv(covariance[:TOP, :TOP])
    rest = covariance[TOP:, TOP:] - slope @ covariance[:TOP, TOP:]
    scales = [widened * np.sqrt(np.diag(part)) for part in (covariance[:TOP, :TOP], rest)]
    start = prior[0] - gain @ pixels[0]

    path = DensePath([TOP, BELOW], hidden_units=(), context_size=BELOW, scale_floor=0.0)
    term = tfpvae.layers.KLDivergenceRegularizer(
        tfpvae.priors.Ladder(SIZE, tfpvae.build_prior(latent_dim=TOP)), use_exact_kl=None
    )
    head = tfpvae.layers.Ladder(SIZE, path=path, activity_regularizer=term)
    encoder = tf_keras.Sequential(
        [tf_keras.Input(SHAPE), *_dense(head.num_params), head], name="encoder"
    )
    # The parameters of the top group, and of z_1 what does not depend on z_0.
    rows = np.zeros((head.num_params, PIXELS))
    bias = np.zeros(head.num_params)
    rows[:TOP], bias[:TOP] = gain[:TOP], start[:TOP]
    bias[TOP : 2 * TOP] = reference.softplus_inverse(scales[0])
    rows[2 * TOP :] = gain[TOP:] - slope @ gain[:TOP]
    bias[2 * TOP :] = start[TOP:] - slope @ start[:TOP] - offset
    encoder.layers[1].set_weights([rows.T, bias])
    parts = {layer.name: layer for layer in path._flatten_layers()}
    raw = reference.softplus_inverse(scale)
    parts["prior_1_head"].set_weights([np.c_[step.T, np.zeros((TOP, BELOW))], np.r_[offset, raw]])
    shift = np.r_[(slope - step).T, np.eye(BELOW)]
    raw = reference.softplus_inverse(scales[1] / scale) - reference.softplus_inverse(1.0)
    parts["posterior_1_head"].set_weights(
        [np.c_[shift, np.zeros((SIZE, BELOW))], np.r_[np.zeros(BELOW), raw]]
    )

    decoder = tf_keras.Sequential(
        [
            tf_keras.Input((SIZE,)),
            tf_keras.layers.Dense(2 * PIXELS),
            tfpvae.layers.IndependentNormal(SHAPE, "mean", scale_floor=0.0),
        ]
    )
    raw = np.full(PIXELS, reference.softplus_inverse(sigma))
    decoder.set_weights([np.c_[weights.T, np.zeros((SIZE, PIXELS))], np.r_[mean, raw]])

    spread = np.block(
        [
            [np.diag(scales[0]), np.zeros((TOP, BELOW))],
            [slope @ np.diag(scales[0]), np.diag(scales[1])],
        ]
    )
    gaussians = Gaussians(
        prior,
        prior[0] + (images - pixels[0]) @ gain.T,
        spread @ spread.T,
        pixels,
        images.reshape(-1, *SHAPE).astype("float32"),
        (weights, mean, sigma),
    )
    return tfpvae.VAE(encoder, decoder), gaussians


def _dense(units: int) -> list[tf_keras.layers.Layer]:
    return [tf_keras.layers.Flatten(), tf_keras.layers.Dense(units)]
