"""Mixtures, with a faster one of normals."""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.saving import serialization

tfd = tfp.distributions


def mixture(logits: tf.Tensor | tf.Variable, components: tfd.Distribution) -> tfd.Distribution:
    """Returns sum_k softmax(logits)_k p_k(z), a `NormalMixture` if it can be one.

    Args:
      logits: [K].
      components: p_k(z), of batch shape [K].

    >>> type(mixture(tf.zeros([2]), tfd.Normal([0.0, 1.0], 1.0))).__name__
    'MixtureSameFamily'
    """
    is_of_normals = isinstance(components, tfd.Independent) and isinstance(
        components.distribution, tfd.Normal
    )
    is_plain = is_of_normals and components.batch_shape.rank == components.event_shape.rank == 1
    return (NormalMixture if is_plain else tfd.MixtureSameFamily)(
        tfd.Categorical(logits=logits), components
    )


@serialization.register("tfpvae.NormalMixture")
class NormalMixture(tfd.MixtureSameFamily):
    """The mixture of that name in TensorFlow Probability, of normals of independent dimensions.

    Its log_prob multiplies matrices, [N, D] by [D, K], where that of TensorFlow Probability has
    tensors of [N, K, D]:

        log N(z; m, s^2) = -1/2 sum_d (z^2 - 2 z m + m^2) / s^2 - sum_d log s - D/2 log 2 pi

    In float64, since each of the three terms may be far larger than their sum.

    Args:
      mixture_distribution: `tfd.Categorical` of K classes.
      components_distribution: `tfd.Independent` of `tfd.Normal`, of batch shape [K] and event shape
        [D].

    >>> components = tfd.Independent(tfd.Normal([[0.0, 0.0], [30.0, 30.0]], 1.0), 1)
    >>> density = NormalMixture(tfd.Categorical(probs=[0.5, 0.5]), components)
    >>> round(float(density.log_prob([0.0, 0.0])), 3)  # log(1/2) - log(2 pi)
    -2.531
    """

    def _log_prob(self, value):
        normals = self.components_distribution.distribution
        value, loc, scale, logits = (
            tf.cast(tensor, tf.float64)
            for tensor in (
                *(value, normals.loc, normals.scale),
                self.mixture_distribution.logits_parameter(),
            )
        )
        scale = scale + tf.zeros_like(loc)  # one for each component and dimension
        precision = scale**-2
        # Not by tf.einsum, whose gradient is slow.
        rows = tf.reshape(value, [-1, precision.shape[-1]])
        squares = (
            tf.linalg.matmul(rows**2, precision, transpose_b=True)
            - 2 * tf.linalg.matmul(rows, loc * precision, transpose_b=True)
            + tf.reduce_sum(loc**2 * precision, axis=-1)
        )
        log_norms = tf.reduce_sum(tf.math.log(scale) + math.log(2 * math.pi) / 2, axis=-1)
        log_joint = tf.nn.log_softmax(logits) - squares / 2 - log_norms
        log_prob = tf.reshape(tf.reduce_logsumexp(log_joint, axis=-1), tf.shape(value)[:-1])
        return tf.cast(log_prob, self.dtype)
