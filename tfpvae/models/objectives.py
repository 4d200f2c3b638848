"""Objectives of a VAE: bounds on log p(x), free bits and target rates.

The mathematics alone; `VAE` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.distributions import divergences
from tfpvae.distributions.observed import observed
from tfpvae.layers.likelihoods.base import DENSITY
from tfpvae.models import conditioning, introspection

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE

tfd = tfp.distributions

OBJECTIVES = ("elbo", "iwae", "dreg")
# Arguments of `VAE` that define its objective.
SETTINGS = ("objective", "num_samples", "free_bits", "target_rate", "dequantize", "missing")


@tf_keras.saving.register_keras_serializable(package="tfpvae")
def negative_log_likelihood(images: tf.Tensor, likelihood: tfd.Distribution) -> tf.Tensor:
    """Returns -log p(x|z) of each image, summed over its pixels: [B], nats."""
    return -likelihood.log_prob(images)


class Terms(NamedTuple):
    """Terms of the loss of one batch.

    Attributes:
      loss: the objective of each image, [B], nats.
      nll: -log p(x|z) of each image, the mean over draws, [B], nats.
      kl: KL(q(z|x) || p(z)) of each image, [B], nats.
      mean: the mean of p(x|z), averaged over draws, [B, H, W, C].
      regularization: the sum of the layers' own regularization losses, a scalar.
    """

    loss: tf.Tensor
    nll: tf.Tensor
    kl: tf.Tensor
    mean: tf.Tensor
    regularization: tf.Tensor


def check(vae: VAE, posterior: tfd.Distribution) -> None:
    """Checks that the settings of a VAE's objective are valid and fit each other.

    Raises:
      TypeError, ValueError: naming the setting.
    """
    _checks.one_of("objective", vae.objective, OBJECTIVES)
    _checks.whole_number("num_samples", vae.num_samples)
    _checks.finite_number("free_bits", vae.free_bits, minimum=0)
    if vae.target_rate is not None:
        _checks.finite_number("target_rate", vae.target_rate, minimum=0)
    if vae.free_bits and vae.target_rate is not None:
        raise ValueError("target_rate: wanted free_bits or a target_rate, got both.")
    of_the_kl = {"free_bits": vae.free_bits, "target_rate": vae.target_rate is not None}
    for argument, is_set in of_the_kl.items():
        if is_set and vae.objective != "elbo":
            raise ValueError(
                f"{argument}: wanted the objective 'elbo', in which the KL stands by itself, got "
                f"{vae.objective!r}."
            )
    _checks.flag("dequantize", vae.dequantize)
    has_pixels = vae.data_spec.support.divides_bytes
    if vae.dequantize and not (has_pixels and introspection.scores(vae.decoder) in (DENSITY, None)):
        raise ValueError(
            "dequantize: wanted a likelihood that is a density of pixels, such as "
            "'continuous_bernoulli' or 'normal', got one that is a "
            f"{introspection.scores(vae.decoder)!r} of {vae.data_spec.values}."
        )
    if vae.missing is not None:
        _checks.one_of("missing", vae.missing, ("mask",))
        likelihood = vae.decoder(_blank_latents(vae, 1))
        zeros = tf.zeros([1, *vae.event_shape], tf_keras.backend.floatx())
        observed(zeros, likelihood, vae.data_spec)
    plain = vae.objective == "elbo" and vae.num_samples == 1 and not any(of_the_kl.values())
    if vae.prior is None and not plain:
        raise ValueError(
            "objective: wanted 'elbo' with one draw for a plain autoencoder, whose posterior is a "
            f"point and has no KL, got {vae.objective!r} with num_samples={vae.num_samples}, "
            f"free_bits={vae.free_bits}, target_rate={vae.target_rate}."
        )
    if vae.objective == "dreg":
        doubly_reparameterized(posterior, tf.zeros([1, 1, posterior.event_shape[0]]))


def check_loss(vae: VAE, loss: Callable) -> None:
    """Checks that a custom loss returns one number per image.

    Raises:
      ValueError: for a loss per pixel, or of a whole batch.
    """
    if vae.missing is not None:
        raise ValueError(
            "loss: wanted None for a VAE with missing='mask', whose loss is the negative log "
            f"likelihood of the observed values, got {loss!r}."
        )
    likelihood = vae.decoder(_blank_latents(vae, 2))
    shape = tf.shape(loss(likelihood.mean(), likelihood)).numpy().tolist()
    if shape not in ([2], [2, 1]):
        raise ValueError(
            "loss: wanted a function of (images, likelihood) that returns one number per image, "
            f"[B], got one that returns shape {shape} for 2 images. Sum a loss of pixels: "
            "lambda x, p: tf.reduce_sum(loss(x, p.mean()), axis=[1, 2]), where a Keras loss has "
            "reduction='none'."
        )


def _blank_latents(vae: VAE, count: int) -> Any:
    """Returns the inputs of a decoder for latents of zeros, of the first class if conditional."""
    labels = None if vae.num_classes is None else tf.zeros([count], tf.int32)
    latents = tf.zeros([count, introspection.input_shape("decoder", vae.decoder)[0]])
    return conditioning.join(latents, labels)


def draw_latents(posterior: tfd.Distribution, num_samples: int, seed: tf.Tensor) -> tf.Tensor:
    """Draws z ~ q(z|x), [S, B, D]; a single one is the tensor that stands for the posterior.

    That tensor is a draw, too, unless the layer has another `convert_to_tensor_fn`.
    """
    draw = tfd.Distribution.sample
    if num_samples == 1 and getattr(posterior, "_convert_to_tensor_fn", draw) is not draw:
        return tf.convert_to_tensor(posterior)[tf.newaxis]
    return posterior.sample(num_samples, seed=seed)


def batch_mean(values: tf.Tensor, present: tf.Tensor | None) -> tf.Tensor:
    """Returns the mean over the images of a batch, axis 0.

    Args:
      values: [B, ...].
      present: [B], 1 for an image and 0 for a row that fills up a short batch; None for a batch
        without such rows.

    >>> float(batch_mean(tf.constant([1.0, 3.0, 9.0]), tf.constant([1.0, 1.0, 0.0])))
    2.0
    """
    if present is None:
        return tf.reduce_mean(values, axis=0)
    present = tf.cast(present, values.dtype)
    return tf.tensordot(present, values, axes=1) / tf.reduce_sum(present)


def counted_kl(
    vae: VAE,
    posterior: tfd.Distribution,
    kl: tf.Tensor,
    present: tf.Tensor | None,
    latents: tf.Tensor,
) -> tf.Tensor:
    """Returns the part of the KL that enters the loss, [B] or a scalar, in nats.

    Args:
      vae: a `VAE`.
      posterior: q(z|x), batch shape [B].
      kl: KL(q(z|x) || p(z)), [B], nats.
      present: see `batch_mean`.
      latents: the decoded draws, [S, B, D].
    """
    if vae.free_bits:
        return with_free_bits(posterior, vae.prior, kl, vae.free_bits, present, latents)
    return kl if vae.target_rate is None else off_target(kl, vae.target_rate, present)


def negative_elbo(nll: tf.Tensor, kl: tf.Tensor, kl_weight: tf.Tensor | float) -> tf.Tensor:
    """Returns the mean of nll over draws, plus kl_weight * KL (Higgins et al. 2017, equation 4).

    Args:
      nll: -log p(x|z), [S, B], nats.
      kl: KL(q(z|x) || p(z)), [B] or [], nats.
      kl_weight: the beta of a beta-VAE.

    Returns:
      [B], nats.

    >>> negative_elbo(tf.constant([[3.0], [5.0]]), tf.constant([1.0]), 2.0).numpy().tolist()
    [6.0]
    """
    return tf.reduce_mean(nll, axis=0) + kl_weight * kl


def negative_iwae(nll: tf.Tensor, log_ratio: tf.Tensor, kl_weight: tf.Tensor | float) -> tf.Tensor:
    """Returns -log 1/S sum_s exp(-nll_s - kl_weight * log q(z_s|x) / p(z_s)).

    With kl_weight 1 this is the negative importance-weighted bound (Burda, Grosse and Salakhutdinov
    2016, equation 8), with one draw the negative ELBO. Other weights serve for warm-up.

    Args:
      nll: -log p(x|z), [S, B], nats.
      log_ratio: log q(z|x) - log p(z), [S, B], nats.
      kl_weight: factor of log_ratio.

    Returns:
      [B], nats.

    >>> nll = -tf.math.log([[0.2], [0.4]])
    >>> round(float(tf.exp(-negative_iwae(nll, tf.zeros([2, 1]), 1.0))[0]), 6)  # their mean
    0.3
    """
    log_weights = -nll - kl_weight * log_ratio
    num_samples = tf.cast(tf.shape(nll)[0], nll.dtype)
    return tf.math.log(num_samples) - tf.reduce_logsumexp(log_weights, axis=0)


def doubly_reparameterized(
    posterior: tfd.Distribution, latents: tf.Tensor
) -> tuple[tfd.Distribution, tf.Tensor, list[tf.Tensor]]:
    """Returns a posterior and latents for the doubly reparameterized gradient.

    sum_s w_s^2 d log w_s / dz_s dz_s / dphi   (Tucker, Lawson, Gu and Maddison 2019, equation 8)

    is then the gradient of `negative_iwae` for the encoder, whose signal does not vanish beside its
    noise as S grows.

    Compute the log weights with the returned posterior, which has no gradient, at the returned
    latents. Their gradient is multiplied by the normalized weights w [S, B], which are known only
    after the decoder has run: append them to the returned list then.

    Args:
      posterior: q(z|x), batch shape [B].
      latents: draws of it with their gradient, [S, B, D].

    Returns:
      The posterior without gradient, the latents, and the empty list.

    Raises:
      ValueError: for a posterior whose parameters are inside a network, as those of a flow.
    """
    inner: Any = getattr(posterior, "tensor_distribution", posterior)
    # A function among its parameters, as a flow's, may have weights, whose gradient would remain.
    is_of_tensors = not any(callable(value) for value in inner.parameters.values())
    if not (is_of_tensors and isinstance(inner, tf.__internal__.CompositeTensor)):
        raise ValueError(
            "objective: wanted a posterior whose parameters are tensors for 'dreg', got "
            f"{type(inner).__name__}. 'iwae' takes any."
        )
    detached = tf.nest.map_structure(tf.stop_gradient, inner, expand_composites=True)
    weights: list[tf.Tensor] = []

    @tf.custom_gradient
    def identity(z):
        return tf.identity(z), lambda gradient: gradient * weights[0][..., tf.newaxis]

    return detached, identity(latents), weights


def normalized_weights(
    nll: tf.Tensor, log_ratio: tf.Tensor, kl_weight: tf.Tensor | float
) -> tf.Tensor:
    """Returns the importance weights of the draws, which sum to 1 over them: [S, B].

    >>> normalized_weights(tf.zeros([4, 1]), tf.zeros([4, 1]), 1.0).numpy()[:, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    return tf.stop_gradient(tf.nn.softmax(-nll - kl_weight * log_ratio, axis=0))


def with_free_bits(
    posterior: tfd.Distribution,
    prior: tfd.Distribution,
    kl: tf.Tensor,
    free_bits: float,
    present: tf.Tensor | None = None,
    latents: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns the KL of a batch, at least free_bits per latent dimension.

    sum_d max(mean over the batch of KL_d, free_bits)   (Kingma et al. 2016, equation 15)

    where posterior and prior are normals with independent dimensions; of a ladder the sum over its
    groups of max(mean over the batch of KL_i, D_i * free_bits), at the draws; else max(mean over
    the batch of the KL, D * free_bits).

    Args:
      posterior: q(z|x), batch shape [B], event shape [D].
      prior: p(z), event shape [D].
      kl: KL(q || p), [B], nats.
      free_bits: nats per latent dimension, at least 0.
      present: see `batch_mean`.
      latents: draws of the posterior, [S, B, D], for a ladder.

    Returns:
      A scalar, nats.

    >>> normal = tfd.Independent(tfd.Normal([[2.0, 0.0]], 1.0), 1)
    >>> prior = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
    >>> float(with_free_bits(normal, prior, tf.constant([2.0]), 0.5))
    2.5
    """
    kl_per_dimension = divergences.kl_per_dimension(posterior, prior)
    groups = None if latents is None else divergences.kl_per_group(posterior, prior, latents)
    if groups is not None:
        sizes = divergences.undeferred(posterior).path.sizes
        means = batch_mean(tf.reduce_mean(groups, axis=0), present)
        return tf.reduce_sum(tf.maximum(means, free_bits * tf.cast(sizes, means.dtype)))
    if kl_per_dimension is None:
        kl_per_dimension = kl[:, tf.newaxis]
        free_bits = free_bits * posterior.event_shape.num_elements()
    return tf.reduce_sum(tf.maximum(batch_mean(kl_per_dimension, present), free_bits))


def off_target(kl: tf.Tensor, target_rate: float, present: tf.Tensor | None = None) -> tf.Tensor:
    """Returns |mean over the batch of the KL - target_rate|, a scalar in nats.

    In place of the KL it holds the rate at target_rate, for any large enough weight (Burgess et al.
    2018, equation 8).

    >>> float(off_target(tf.constant([1.0, 2.0]), 5.0))
    3.5
    """
    return tf.abs(batch_mean(kl, present) - target_rate)
