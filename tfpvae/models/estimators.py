"""What a VAE says of tensors of images and latents: reconstruction, bounds, importance weights.

Pure functions of a VAE and tensors, so that the methods of `VAE` and the signatures of its
SavedModel are the same graph. `images` and `latents` are what the encoder and the decoder are
given: for a conditional VAE [images, labels] and [latents, labels].
"""

import math
from collections.abc import Callable, Iterator

import tensorflow as tf
import tf_keras

from tfpvae.models import conditioning, inputs

# Images decoded at a time, in pixels: 16 MiB of them, and some times that inside the networks.
_PIXELS_A_PASS = 2**22


# Of those, what is scored at a time where a number of each is all that is kept: 8 MiB.
_PIXELS_A_SLICE = 2**21


def reconstruct(vae: tf_keras.Model, images: tf.Tensor) -> tf.Tensor:
    """Returns the mean of p(x|z) at the mean of q(z|x): [B, H, W, C]."""
    labels = conditioning.split(images)[1]
    return vae.decoder(conditioning.join(vae.encoder(images).mean(), labels)).mean()


def nll_and_kl(
    vae: tf_keras.Model, images: tf.Tensor, num_samples: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns -log p(x|z), a mean over draws z ~ q(z|x), and KL(q || p): [B] each, nats."""
    posterior = vae.encoder(images)
    latents = posterior.sample(num_samples, seed=seed)
    nll = -tf.reduce_mean(_log_likelihood(vae, images, latents), axis=0)
    return nll, vae.kl_divergence(posterior, latents)


def log_weights(
    vae: tf_keras.Model, images: tf.Tensor, num_samples: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Returns log p(x|z) + log p(z) - log q(z|x) at draws z ~ q(z|x): [S, B], nats."""
    posterior = vae.encoder(images)
    latents = posterior.sample(num_samples, seed=seed)
    return _log_joint_in_slices(vae, images, latents) - posterior.log_prob(latents)


def _log_joint_in_slices(vae: tf_keras.Model, images: tf.Tensor, latents: tf.Tensor) -> tf.Tensor:
    """Returns `log_joint`, of so many draws after the other as the caches hold."""
    samples, batch = tf.unstack(tf.shape(latents)[:2])
    most = tf.maximum(1, _PIXELS_A_SLICE // math.prod(vae.image_shape) // batch)
    slices = -(-samples // most)
    step = -(-samples // slices)  # slices of about one size

    def score(i, found):
        some = latents[i * step : (i + 1) * step]
        return i + 1, found.write(i, log_joint(vae, images, some))

    shape = [None, *latents.shape[1:2]]
    found = tf.TensorArray(latents.dtype, slices, infer_shape=False, element_shape=shape)
    # In the graph, since a call from Python takes a tenth of the time of a slice.
    found = tf.while_loop(lambda i, _: i < slices, score, (0, found), parallel_iterations=2)[1]
    return found.concat()


def log_joint(vae: tf_keras.Model, images: tf.Tensor, latents: tf.Tensor) -> tf.Tensor:
    """Returns log p(x|z) + log p(z): [S, B] for images [B, H, W, C] and latents [S, B, D]."""
    return _log_likelihood(vae, images, latents) + vae.prior.log_prob(latents)


def _log_likelihood(vae: tf_keras.Model, images: tf.Tensor, latents: tf.Tensor) -> tf.Tensor:
    """Returns log p(x|z): [S, B] for images [B, H, W, C] and latents [S, B, D]."""
    samples, batch = tf.unstack(tf.shape(latents)[:2])
    images, labels = conditioning.split(images)
    likelihood = vae.decoder(conditioning.draws(latents, labels))
    if images.shape[0] != 1:  # one image is broadcast
        images = tf.tile(images, [samples, 1, 1, 1])
    return tf.reshape(likelihood.log_prob(images), [samples, batch])


def decode(vae: tf_keras.Model, latents: tf.Tensor) -> tf.Tensor:
    """Returns the mean of p(x|z) at latents [S, D]: images [S, H, W, C]."""
    if tf.is_symbolic_tensor(conditioning.split(latents)[0]):  # of how many rows is not known
        return vae.decoder(latents).mean()
    step = images_a_pass(vae)
    starts = range(0, len(conditioning.split(latents)[0]), step)
    pieces = [_decode(vae, conditioning.rows(latents, i, i + step)) for i in starts]
    return tf.concat(pieces, axis=0)


def elbo(vae: tf_keras.Model, images: tf.Tensor, num_samples: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns log p(x|z) - KL(q(z|x) || p(z)), a mean over draws: [B], nats."""
    runs = _in_passes(_elbo, vae, images, num_samples, seed)
    means = [sum(part * (draws / num_samples) for draws, part in run) for run in runs]
    return tf.concat(means, axis=0)


def log_likelihood(
    vae: tf_keras.Model, images: tf.Tensor, num_samples: int, seed: tf.Tensor
) -> tf.Tensor:
    """Returns the log of the mean importance weight over draws: [B], nats."""
    runs = log_weight_runs(vae, images, num_samples, seed)
    total = tf.concat([_log_sum(weights) for weights in runs], axis=0)
    return total - tf.math.log(tf.cast(num_samples, total.dtype))


def log_weight_runs(
    vae: tf_keras.Model, images: tf.Tensor, num_samples: int, seed: tf.Tensor
) -> Iterator[tf.Tensor]:
    """Yields the log importance weights of one run of images after the other: [S, some], nats.

    An image that fills passes by itself has draws of its own, whatever images stand after it.
    """
    for run in _in_passes(_log_weights, vae, images, num_samples, seed):
        yield tf.concat([part for _, part in run], axis=0)


def images_a_pass(vae: tf_keras.Model) -> int:
    """Returns how many images are decoded at a time."""
    return max(1, _PIXELS_A_PASS // math.prod(vae.image_shape))


def _in_passes(
    score: Callable, vae: tf_keras.Model, images: tf.Tensor, num_samples: int, seed: tf.Tensor
) -> Iterator[list[tuple[int, tf.Tensor]]]:
    """Yields, for one run of images after the other, [(draws, score of those draws), ...].

    The decoder is given so many images and draws at a time as memory allows.
    """
    if tf.is_symbolic_tensor(conditioning.split(images)[0]):  # in a graph of the user's own
        yield [(num_samples, score(vae, images, tf.constant(num_samples), tf.constant(0), seed))]
        return
    rows = images_a_pass(vae)
    step = max(1, rows // num_samples)
    rows = math.ceil(num_samples / math.ceil(num_samples / rows))  # passes of about one size
    passes = 0
    for start in range(0, len(conditioning.split(images)[0]), step):
        some = conditioning.rows(images, start, start + step)
        parts = []
        for done in range(0, num_samples, rows):
            draws = min(rows, num_samples - done)
            numbers = tf.constant(draws), tf.constant(passes)
            parts.append((draws, score(vae, some, *numbers, seed)))
            passes += 1
        yield parts


@tf.function(reduce_retracing=True)
def _decode(vae: tf_keras.Model, latents: tf.Tensor) -> tf.Tensor:
    return vae.decoder(latents).mean()


@tf.function(reduce_retracing=True)
def _elbo(
    vae: tf_keras.Model, images: tf.Tensor, draws: tf.Tensor, number: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    nll, kl = nll_and_kl(vae, images, draws, fold_in(seed, number))
    return -(nll + kl)


@tf.function(reduce_retracing=True)
def _log_weights(
    vae: tf_keras.Model, images: tf.Tensor, draws: tf.Tensor, number: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    return log_weights(vae, images, draws, fold_in(seed, number))


@tf.function(reduce_retracing=True)
def _log_sum(log_weights: tf.Tensor) -> tf.Tensor:
    return tf.reduce_logsumexp(log_weights, axis=0)


def fold_in(seed: tf.Tensor, number: int) -> tf.Tensor:
    """Returns the stateless seed of one pass."""
    return tf.random.fold_in(seed, number)


def pixels(vae: tf_keras.Model, images: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
    """Returns what a VAE is trained on and scored with: images as they are, or dequantized."""
    images = inputs.scaled(images)
    if not vae.dequantize:
        return images
    if seed is None:
        noise = tf.random.uniform(tf.shape(images), dtype=images.dtype)
    else:
        noise = tf.random.stateless_uniform(tf.shape(images), fold_in(seed, -1), dtype=images.dtype)
    return (255 * images + noise) / 256
