"""A prior for a trained VAE, fitted to the aggregate posterior of its images."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks, _imports
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.models import estimators
from tfpvae.models.vae import VAE
from tfpvae.priors import build_prior

tfd = tfp.distributions

KINDS = ("flow", "mixture", "normal")
_LEAST_SCALE = 1e-3  # of a component that starts on draws that are all the same


def fit_prior(
    vae: VAE,
    images: Any,
    kind: str = "mixture",
    *,
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    seed: int = 0,
    **options: Any,
) -> VAE:
    """Returns a VAE with the same networks and a prior fitted to its aggregate posterior.

    The prior maximizes the mean of log p(z) over z ~ q(z|x) and the images (ex-post density
    estimation: Ghosh et al. 2020, section 4), with Adam and new draws in each step. Up to a
    constant this is -KL(q(z) || p(z)), so that the ELBO of the images rises by as much as the
    marginal KL falls, and samples look more like reconstructions. The encoder and the decoder stay
    unchanged and are shared with `vae`: training one VAE trains both. The result is saved, sampled
    and scored like any VAE.

    Args:
      vae: a `VAE` with a prior, trained.
      images: training images [N, H, W, C], float in [0, 1] or uint8.
      kind: "mixture" of normals, begun where scikit-learn's GaussianMixture ends; "flow"; or
        "normal".
      epochs: passes over the images, at least 0.
      batch_size: images a step.
      learning_rate: of Adam.
      seed: integer >= 0, of the start and of all draws.
      **options: of `build_prior` for that kind, such as num_components.

    Returns:
      A `VAE`, not compiled.

    Raises:
      ValueError, TypeError: for a plain autoencoder, another kind, or an option out of range.
      ImportError: for a mixture without scikit-learn.

    >>> import tfpvae
    >>> images = np.random.default_rng(0).uniform(size=(64, 4, 4, 1))
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> fitted = fit_prior(vae, images, "normal", epochs=2)
    >>> fitted.encoder is vae.encoder, len(fitted.prior.trainable_variables)
    (True, 2)
    """
    _checks.one_of("kind", kind, KINDS)
    epochs = _checks.whole_number("epochs", epochs, minimum=0)
    batch_size = _checks.whole_number("batch_size", batch_size)
    seed = _checks.whole_number("seed", seed, minimum=0)
    pixels, _, key = vae.scoring_arguments("fit_prior", images, 1, seed)
    if kind != "normal":
        options = {"seed": seed} | options
    prior = build_prior(kind, latent_dim=vae.decoder.input_shape[-1], **options)
    if kind == "mixture":
        _start_mixture(prior, _draws(vae, pixels, key), seed)
    _maximize(prior, vae, pixels, epochs, batch_size, learning_rate, key)
    weight = vae.kl_regularizer and vae.kl_regularizer.weight
    term = KLDivergenceRegularizer(prior, use_exact_kl=None, weight=weight)
    return VAE(vae.encoder, vae.decoder, prior=term, name=vae.name, **vae.settings)


def _draws(vae: VAE, pixels: tf.Tensor, seed: tf.Tensor) -> np.ndarray:
    """Returns z ~ q(z|x), one of each image: [N, D]."""
    step = estimators.examples_per_pass(vae)
    draws = [
        vae.encoder(chunk).sample(seed=estimators.fold_in(seed, i * step))
        for i, chunk in enumerate(estimators.chunks(pixels, step))
    ]
    return np.concatenate(draws)


def _start_mixture(prior: Any, draws: np.ndarray, seed: int) -> None:
    """Sets a mixture of normals to the result of expectation maximization."""
    mixtures = _imports.load("sklearn.mixture", "fit_prior")
    logits = prior.mixture_distribution.logits
    components = logits.shape[0]
    if len(draws) < components:
        raise ValueError(
            f"images: wanted at least num_components={components} of them, got {len(draws)}."
        )
    fitted = mixtures.GaussianMixture(
        components, covariance_type="diag", max_iter=100, tol=1e-3, random_state=seed
    ).fit(draws.astype(np.float64))
    normal = prior.components_distribution.distribution
    logits.assign(np.log(fitted.weights_))
    normal.loc.assign(fitted.means_)
    normal.scale.assign(np.maximum(np.sqrt(fitted.covariances_), _LEAST_SCALE))


def _maximize(
    prior: tfd.Distribution,
    vae: VAE,
    pixels: tf.Tensor,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: tf.Tensor,
) -> None:
    """Trains the prior's variables, and nothing else, on draws of the posteriors."""
    optimizer = tf_keras.optimizers.Adam(learning_rate, global_clipnorm=100.0)
    variables = list(prior.trainable_variables)
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def step(images, seed):
        latents = vae.encoder(images).sample(seed=seed)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior.log_prob(latents))
        optimizer.minimize(loss, variables, tape=tape)

    rng = np.random.default_rng(seed.numpy().view(np.uint32))
    steps = 0
    for _ in range(epochs):
        order = rng.permutation(len(pixels))
        for i in range(0, len(order), batch_size):
            step(tf.gather(pixels, order[i : i + batch_size]), estimators.fold_in(seed, steps))
            steps += 1
