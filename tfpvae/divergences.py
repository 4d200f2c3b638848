"""KL(q || p) between distributions: exactly where it can be, else on samples."""

import tensorflow as tf
import tensorflow_probability as tfp

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
    posterior = getattr(posterior, "tensor_distribution", posterior)
    try:
        return tfd.kl_divergence(posterior, prior)
    except NotImplementedError:
        pair = [_as_multivariate_normal(each) for each in (posterior, prior)]
    if None in pair:
        raise NotImplementedError(
            f"No closed form of KL({type(posterior).__name__} || {type(prior).__name__}) is known."
        )
    return tfd.kl_divergence(*pair)


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


def kl_per_dimension(posterior: tfd.Distribution, prior: tfd.Distribution) -> tf.Tensor | None:
    """Returns the KL of each dimension, [B, D], nats; None unless all are independent normals.

    >>> normal = tfd.Independent(tfd.Normal([[2.0, 0.0]], 1.0), 1)
    >>> kl_per_dimension(normal, tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)).numpy().tolist()
    [[2.0, 0.0]]
    """
    posterior = getattr(posterior, "tensor_distribution", posterior)
    parts = [getattr(each, "distribution", None) for each in (posterior, prior)]
    if not all(isinstance(part, tfd.Normal) for part in parts):
        return None
    return tfd.kl_divergence(*parts)


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
