"""Normal distributions and mixtures of them, as priors."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.distributions import normal_mixture

tfd, tfb = tfp.distributions, tfp.bijectors

# As that of the posteriors: the KL against a prior that collapses is bounded by it.
SCALE_FLOOR = 1e-5


def standard_normal(latent_dim: int) -> tfd.Distribution:
    """Returns N(0, I)."""
    zeros = tf.zeros([latent_dim], tf_keras.backend.floatx())
    return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), 1)


def normal(latent_dim: int) -> tfd.Distribution:
    """Returns N(loc, diag(scale^2)), both learned; at first N(0, I)."""
    return _learned_normal(np.zeros([latent_dim], tf_keras.backend.floatx()))


def mixture(latent_dim: int, num_components: int = 10, seed: int = 0) -> tfd.Distribution:
    """Returns sum_k w_k N(loc_k, diag(scale_k^2)), all learned.

    It starts close to N(0, I), so that the KL does too: with equal weights, scales 1 and means that
    are drawn about 0, at a distance of about 1 in any number of dimensions.
    """
    num_components = _checks.whole_number("num_components", num_components)
    rng = np.random.default_rng(_checks.whole_number("seed", seed, minimum=0))
    means = rng.normal(scale=latent_dim**-0.5, size=[num_components, latent_dim])
    dtype = tf_keras.backend.floatx()
    logits = tf.Variable(np.zeros([num_components], dtype), name="prior_logits")
    return normal_mixture.mixture(logits, _learned_normal(means.astype(dtype)))


def _learned_normal(means: np.ndarray) -> tfd.Distribution:
    """Returns independent normals of these means [..., D] and of scale 1 at first."""
    scale = tfp.util.TransformedVariable(
        np.ones_like(means), tfb.Softplus(low=means.dtype.type(SCALE_FLOOR)), name="prior_scale"
    )
    return tfd.Independent(tfd.Normal(tf.Variable(means, name="prior_loc"), scale), 1)
