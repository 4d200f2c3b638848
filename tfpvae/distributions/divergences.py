"""KL(q || p) between distributions: exactly where it can be, else on samples."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.distributions.deferred import undeferred
from tfpvae.distributions.low_rank import low_rank_log_det

tfd = tfp.distributions


def exact_kl(posterior: tfd.Distribution, prior: tfd.Distribution) -> tf.Tensor:
    """Returns KL(posterior || prior) in closed form.

    A pair that TensorFlow Probability has registered is computed by it. Any two Gaussians over a
    vector, however written (Independent(Normal), Sample(Normal), every MultivariateNormal), are
    brought to the form KL = 1/2 (log|S_p| - log|S_q| - D + tr(S_p^-1 S_q) + m' S_p^-1 m), with m
    the difference of the means and S the covariances (Kullback 1959, chapter 9).

    Args:
      posterior: q, batch shape [B], event shape [D].
      prior: p, batch shape [], event shape [D].

    Returns:
      [B], nats.

    Raises:
      NotImplementedError: where no closed form is known.

    >>> normal = tfd.Independent(tfd.Normal([0.0, 1.0], 1.0), 1)
    >>> float(exact_kl(normal, tfd.MultivariateNormalDiag([0.0, 0.0])))
    0.5
    """
    posterior, prior = undeferred(posterior), undeferred(prior)
    try:
        return tfd.kl_divergence(posterior, prior)
    except NotImplementedError:
        pair = [_as_multivariate_normal(each) for each in (posterior, prior)]
    if None in pair:
        raise NotImplementedError(
            f"No closed form of KL({type(posterior).__name__} || {type(prior).__name__}) is known."
        )
    if isinstance(posterior, tfd.MultivariateNormalDiagPlusLowRankCovariance):
        return _low_rank_kl(posterior, pair[1])
    return tfd.kl_divergence(*pair)


def has_exact_kl(posterior: tfd.Distribution, prior: tfd.Distribution) -> bool:
    """Returns whether `exact_kl` knows a closed form, without computing it.

    Args:
      posterior: q, batch shape [B], event shape [D].
      prior: p, batch shape [], event shape [D].

    >>> normal = tfd.MultivariateNormalDiag([0.0, 0.0])
    >>> has_exact_kl(normal, normal)
    True
    """
    # Traced, in a graph that is thrown away: what is registered may still turn out to be missing
    # for what a distribution is made of.
    try:
        tf.function(exact_kl, autograph=False).get_concrete_function(posterior, prior)
    except NotImplementedError:
        return False
    return True


def sampled_kl(
    posterior: tfd.Distribution, prior: tfd.Distribution, latents: tf.Tensor
) -> tf.Tensor:
    """Returns log q(z) - log p(z): at each z drawn from q, an unbiased estimate of KL(q || p).

    Args:
      posterior: q, batch shape [B], event shape [D].
      prior: p, batch shape [], event shape [D].
      latents: z drawn from q, [B, D] or [S, B, D].

    Returns:
      [B] or [S, B], nats.

    >>> normal = tfd.MultivariateNormalDiag([0.0, 0.0])
    >>> float(sampled_kl(normal, normal, tf.ones([2])))
    0.0
    """
    return posterior.log_prob(latents) - prior.log_prob(latents)


def estimated_kl(
    posterior: tfd.Distribution, prior: tfd.Distribution, latents: tf.Tensor
) -> tf.Tensor:
    """Returns an unbiased estimate of KL(q || p) at each z drawn from q.

    The estimate is that of `sampled_kl`. For a ladder it is the sum over the groups of
    `kl_per_group`, which has less noise.

    Args:
      posterior: q, batch shape [B], event shape [D].
      prior: p, batch shape [], event shape [D].
      latents: z drawn from q, [B, D] or [S, B, D].

    Returns:
      [B] or [S, B], nats.

    >>> normal = tfd.MultivariateNormalDiag([0.0, 0.0])
    >>> float(estimated_kl(normal, normal, tf.ones([2])))
    0.0
    """
    groups = kl_per_group(posterior, prior, latents)
    if groups is None:
        return sampled_kl(posterior, prior, latents)
    return tf.reduce_sum(groups, axis=-1)


def kl_per_group(
    posterior: tfd.Distribution, prior: tfd.Distribution, latents: tf.Tensor
) -> tf.Tensor | None:
    """Returns the KL of each group of a ladder given the groups above it, [B, G] or [S, B, G].

    KL(q(z_i | z_<i, x) || p(z_i | z_<i)) at z_<i drawn from q, whose expectations add up to
    KL(q || p) (Sonderby et al. 2016, section 2.1). Each is exact, but for the top group where no
    closed form is known, which is estimated at z_0.

    Args:
      posterior: q, batch shape [B], event shape [D].
      prior: p, batch shape [], event shape [D].
      latents: z drawn from q, [B, D] or [S, B, D].

    Returns:
      Nats; None unless q and p are a ladder of the same network.

    >>> normal = tfd.MultivariateNormalDiag([0.0, 0.0])
    >>> kl_per_group(normal, normal, tf.ones([2]))  # no ladder
    """
    posterior, prior = undeferred(posterior), undeferred(prior)
    path = getattr(posterior, "path", None)
    if path is None or getattr(prior, "path", None) is not path:
        return None
    walk = posterior.walk(latents)
    top, *below = walk.posteriors
    try:
        kls = [exact_kl(top, prior.top)]
    except NotImplementedError:
        kls = [sampled_kl(top, prior.top, walk.latents[0])]
    kls += [tfd.kl_divergence(q, p) for q, p in zip(below, walk.priors, strict=True)]
    return posterior.by_latents(tf.stack(kls, axis=-1), latents)


def kl_per_dimension(posterior: tfd.Distribution, prior: tfd.Distribution) -> tf.Tensor | None:
    """Returns the KL of each dimension, [B, D], nats; None unless all are independent normals.

    >>> normal = tfd.Independent(tfd.Normal([[2.0, 0.0]], 1.0), 1)
    >>> kl_per_dimension(normal, tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)).numpy().tolist()
    [[2.0, 0.0]]
    """
    parts = [getattr(undeferred(each), "distribution", None) for each in (posterior, prior)]
    if not all(isinstance(part, tfd.Normal) for part in parts):
        return None
    return tfd.kl_divergence(*parts)


def _low_rank_kl(
    posterior: tfd.MultivariateNormalDiagPlusLowRankCovariance,
    prior: tfd.MultivariateNormalLinearOperator,
) -> tf.Tensor:
    """Returns the KL without the Cholesky factor of q's covariance, which takes D^3 an image."""
    scale = prior.scale
    size = posterior.event_shape[-1]
    precisions = tf.reduce_sum(scale.solve(tf.eye(size, dtype=prior.dtype)) ** 2, axis=-2)
    trace = tf.reduce_sum(posterior.cov_diag_factor * precisions, axis=-1)
    trace += tf.reduce_sum(scale.solve(posterior.cov_perturb_factor) ** 2, axis=[-2, -1])
    distance = tf.reduce_sum(scale.solvevec(posterior.mean() - prior.mean()) ** 2, axis=-1)
    log_det = low_rank_log_det(posterior.cov_diag_factor, posterior.cov_perturb_factor)[0]
    log_ratio = 2 * scale.log_abs_determinant() - log_det
    return (log_ratio - size + trace + distance) / 2


def _as_multivariate_normal(distribution: tfd.Distribution) -> tfd.Distribution | None:
    """Returns a Gaussian over a vector as MultivariateNormalLinearOperator, else None."""
    if isinstance(distribution, tfd.MultivariateNormalLinearOperator):
        return distribution
    if distribution.event_shape.rank != 1:
        return None
    # Independent and Sample have private bases for contents that are no CompositeTensor, so ask
    # what is inside, not for the class.
    if isinstance(getattr(distribution, "distribution", None), tfd.Normal):
        scale = tf.linalg.LinearOperatorDiag(distribution.stddev())
    elif isinstance(distribution, _OTHER_GAUSSIANS):
        scale = tf.linalg.LinearOperatorLowerTriangular(
            tf.linalg.cholesky(distribution.covariance())
        )
    else:
        return None
    return tfd.MultivariateNormalLinearOperator(distribution.mean(), scale)


_OTHER_GAUSSIANS = (
    tfd.MultivariateNormalDiagPlusLowRankCovariance,
    tfp.experimental.distributions.MultivariateNormalPrecisionFactorLinearOperator,
)
