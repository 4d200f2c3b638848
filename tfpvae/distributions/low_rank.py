"""Multivariate normal with a diagonal plus low-rank covariance."""

import math

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def low_rank_log_det(variances: tf.Tensor, factors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes log det(S) of S = diag(variances) + U U', and the factor L of its capacitance.

    L L' = I + U' diag(variances)^-1 U. By the matrix determinant lemma, log det(S) =
    sum log variances + 2 sum log diag(L). TensorFlow's LinearOperatorLowRankUpdate computes the
    same, but does not train under XLA.

    Args:
      variances: [..., D], above 0.
      factors: U, [..., D, rank].

    Returns:
      log det(S), [...], and L, [..., rank, rank].

    >>> log_det, _ = low_rank_log_det(tf.constant([1.0, 4.0]), tf.constant([[1.0], [0.0]]))
    >>> round(float(log_det), 5)  # of diag(2, 4)
    2.07944
    """
    scaled = factors / tf.sqrt(variances)[..., tf.newaxis]
    capacitance = tf.linalg.matmul(scaled, scaled, transpose_a=True)
    lower = tf.linalg.cholesky(capacitance + tf.eye(factors.shape[-1], dtype=factors.dtype))
    log_det = tf.reduce_sum(tf.math.log(variances), axis=-1)
    return log_det + 2 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(lower)), axis=-1), lower


class NormalDiagPlusLowRank(tfd.MultivariateNormalDiagPlusLowRankCovariance):
    """The normal of that name in TensorFlow Probability, with a density that trains under XLA.

    >>> normal = NormalDiagPlusLowRank(
    ...     tf.zeros([2]), cov_diag_factor=tf.ones([2]), cov_perturb_factor=tf.ones([2, 1])
    ... )
    >>> normal.covariance().numpy().tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """

    def _log_prob(self, value):
        # log q = -1/2 (|r|^2 - |L^-1 W'r|^2 + log det S + D log 2 pi), r = (z - loc) / d, W = U / d
        variances, factors = self.cov_diag_factor, self.cov_perturb_factor
        log_det, lower = low_rank_log_det(variances, factors)
        inverse = 1 / tf.sqrt(variances)
        residual = (value - self.loc) * inverse
        shared = tf.linalg.matvec(factors * inverse[..., tf.newaxis], residual, transpose_a=True)
        lower = tf.broadcast_to(lower, tf.concat([tf.shape(shared), tf.shape(lower)[-1:]], axis=0))
        shared = tf.linalg.triangular_solve(lower, shared[..., tf.newaxis])[..., 0]
        distance = tf.reduce_sum(residual**2, axis=-1) - tf.reduce_sum(shared**2, axis=-1)
        constant = variances.shape[-1] * math.log(2 * math.pi)
        return -(distance + log_det + constant) / 2
