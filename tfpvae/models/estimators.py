"""Codes, reconstructions, bounds and importance weights as pure functions of a VAE and tensors.

The methods of `VAE` and the signatures of its SavedModel run the same graph. The `inputs` of an
encoder are images [B, H, W, C], of a decoder latents [B, D]; of a conditional VAE they are
[images, labels] and [latents, labels]. More images or draws than fit in memory are run in passes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfpvae.distributions import remembered
from tfpvae.distributions.observed import observed
from tfpvae.models import conditioning, network_inputs

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE

# Pixels decoded in one pass: 16 MiB, and a multiple of that inside the networks.
_PIXELS_PER_PASS = 2**22
# Pixels scored at a time where one number of each image is kept: 8 MiB.
_PIXELS_PER_SLICE = 2**21


def examples_per_pass(vae: VAE) -> int:
    """Returns how many examples are decoded at a time."""
    return max(1, _PIXELS_PER_PASS // math.prod(vae.image_shape))


def chunks(inputs: Any, size: int) -> Iterator[Any]:
    """Yields the inputs of a network in chunks of at most `size` rows.

    >>> [len(chunk) for chunk in chunks(tf.zeros([5, 2]), 2)]
    [2, 2, 1]
    """
    for start in range(0, len(conditioning.split(inputs)[0]), size):
        yield conditioning.rows(inputs, start, start + size)


def encode(vae: VAE, inputs: Any, size: int | None = None) -> tf.Tensor:
    """Computes the mean of q(z|x), [N, D], of at most `size` images at a time."""
    if tf.is_symbolic_tensor(conditioning.split(inputs)[0]):  # its number of rows is unknown
        return vae.encoder(inputs).mean()
    size = size or examples_per_pass(vae)
    return tf.concat([_encode(vae, chunk) for chunk in chunks(inputs, size)], axis=0)


def decode(vae: VAE, inputs: Any, size: int | None = None) -> tf.Tensor:
    """Computes the mean of p(x|z), [N, H, W, C], of at most `size` latents at a time."""
    if tf.is_symbolic_tensor(conditioning.split(inputs)[0]):
        return vae.decoder(inputs).mean()
    size = size or examples_per_pass(vae)
    return tf.concat([_decode(vae, chunk) for chunk in chunks(inputs, size)], axis=0)


def reconstruct(vae: VAE, inputs: Any) -> tf.Tensor:
    """Computes the mean of p(x|z) at the mean of q(z|x), [B, H, W, C]."""
    labels = conditioning.split(inputs)[1]
    return vae.decoder(conditioning.join(vae.encoder(inputs).mean(), labels)).mean()


@remembered.remembering()
def nll_and_kl(
    vae: VAE, inputs: Any, num_samples: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes -log p(x|z), the mean over draws z ~ q(z|x), and KL(q || p): [B] each, nats."""
    posterior = vae.encoder(inputs)
    latents = posterior.sample(num_samples, seed=seed)
    nll = -tf.reduce_mean(_log_likelihood(vae, inputs, latents), axis=0)
    return nll, vae.kl_divergence(posterior, latents)


@remembered.remembering()
def log_weights(vae: VAE, inputs: Any, num_samples: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Computes log p(x|z) + log p(z) - log q(z|x) at draws z ~ q(z|x): [S, B], nats."""
    posterior = vae.encoder(inputs)
    latents = posterior.sample(num_samples, seed=seed)
    return _log_joint_in_slices(vae, inputs, latents) - posterior.log_prob(latents)


@remembered.remembering()
def log_joint(vae: VAE, inputs: Any, latents: tf.Tensor) -> tf.Tensor:
    """Computes log p(x|z) + log p(z), [S, B], for B images and latents [S, B, D]."""
    # First, so that the decoder of a ladder has no walk of its own.
    log_prior = vae.prior.log_prob(latents)
    return _log_likelihood(vae, inputs, latents) + log_prior


def elbo(vae: VAE, inputs: Any, num_samples: int, seed: tf.Tensor) -> tf.Tensor:
    """Computes log p(x|z) - KL(q(z|x) || p(z)), the mean over draws: [B], nats."""
    chunk_scores = _in_passes(_elbo, vae, inputs, num_samples, seed)
    means = [
        sum(score * (draws / num_samples) for draws, score in scores) for scores in chunk_scores
    ]
    return tf.concat(means, axis=0)


def log_likelihood(vae: VAE, inputs: Any, num_samples: int, seed: tf.Tensor) -> tf.Tensor:
    """Computes the log of the mean importance weight over draws: [B], nats."""
    weights = log_weights_of_chunks(vae, inputs, num_samples, seed)
    total = tf.concat([_log_sum(chunk_weights) for chunk_weights in weights], axis=0)
    return total - tf.math.log(tf.cast(num_samples, total.dtype))


def log_weights_of_chunks(
    vae: VAE, inputs: Any, num_samples: int, seed: tf.Tensor
) -> Iterator[tf.Tensor]:
    """Yields the log importance weights of one chunk of images after another, [S, chunk], nats.

    The draws of an image that fills a pass by itself do not depend on the images after it.
    """
    for scores in _in_passes(_log_weights, vae, inputs, num_samples, seed):
        yield tf.concat([score for _, score in scores], axis=0)


def impute(vae: VAE, inputs: Any, num_samples: int, seed: tf.Tensor) -> tf.Tensor:
    """Computes E[x | observed values] by importance sampling, and keeps what is observed: [B, ...].

    sum_s w_s E[x|z_s], with w_s the normalized importance weights of z_s ~ q(z|x)
    """
    means = []
    for scores in _in_passes(_weighted_mean, vae, inputs, num_samples, seed):
        log_sums, parts = zip(*(score for _, score in scores), strict=True)
        weights = tf.nn.softmax(tf.stack(log_sums), axis=0)  # of the passes, [P, B]
        means.append(tf.einsum("pb,pb...->b...", weights, tf.stack(parts)))
    examples = conditioning.split(inputs)[0]
    return tf.where(tf.math.is_nan(examples), tf.concat(means, axis=0), examples)


def preprocess(vae: VAE, images: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
    """Returns the values that a VAE is trained on: pixels scaled to [0, 1], dequantized if set."""
    images = network_inputs.scaled(images, vae.data_spec)
    if not vae.dequantize:
        return images
    if seed is None:
        noise = tf.random.uniform(tf.shape(images), dtype=images.dtype)
    else:
        noise = tf.random.stateless_uniform(tf.shape(images), fold_in(seed, -1), dtype=images.dtype)
    return (255 * images + noise) / 256


def fold_in(seed: tf.Tensor, number: int) -> tf.Tensor:
    """Returns the stateless seed of one pass or step."""
    return tf.random.fold_in(seed, number)


def _log_likelihood(vae: VAE, inputs: Any, latents: tf.Tensor) -> tf.Tensor:
    """Computes log p(x|z), [S, B], for B images and latents [S, B, D]."""
    samples, batch = tf.unstack(tf.shape(latents)[:2])
    images, labels = conditioning.split(inputs)
    likelihood = vae.decoder(conditioning.draws(latents, labels))
    if images.shape[0] != 1:  # one image is broadcast
        images = conditioning.repeat(images, samples)
    values, likelihood = observed(images, likelihood, vae.data_spec)
    return tf.reshape(likelihood.log_prob(values), [samples, batch])


def _log_joint_in_slices(vae: VAE, inputs: Any, latents: tf.Tensor) -> tf.Tensor:
    """Computes `log_joint` in slices of draws small enough for the CPU caches."""
    samples, batch = tf.unstack(tf.shape(latents)[:2])
    most = tf.maximum(1, _PIXELS_PER_SLICE // math.prod(vae.image_shape) // batch)
    slices = -(-samples // most)
    step = -(-samples // slices)  # slices of about one size

    def score(i, scores):
        draws = latents[i * step : (i + 1) * step]
        return i + 1, scores.write(i, log_joint(vae, inputs, draws))

    shape = [None, *latents.shape[1:2]]
    scores = tf.TensorArray(latents.dtype, slices, infer_shape=False, element_shape=shape)
    # In the graph: a call from Python takes a tenth of the time of a slice.
    scores = tf.while_loop(lambda i, _: i < slices, score, (0, scores), parallel_iterations=2)[1]
    return scores.concat()


def _in_passes(
    score: Callable, vae: VAE, inputs: Any, num_samples: int, seed: tf.Tensor
) -> Iterator[list[tuple[int, tf.Tensor]]]:
    """Yields [(number of draws, their score), ...] for one chunk of images after another.

    A pass decodes as many images and draws at a time as memory allows.
    """
    if tf.is_symbolic_tensor(conditioning.split(inputs)[0]):  # in a custom graph
        yield [(num_samples, score(vae, inputs, tf.constant(num_samples), tf.constant(0), seed))]
        return
    rows = examples_per_pass(vae)
    size = max(1, rows // num_samples)
    rows = math.ceil(num_samples / math.ceil(num_samples / rows))  # passes of about one size
    passes = 0
    for chunk in chunks(inputs, size):
        scores = []
        for done in range(0, num_samples, rows):
            draws = min(rows, num_samples - done)
            numbers = tf.constant(draws), tf.constant(passes)
            scores.append((draws, score(vae, chunk, *numbers, seed)))
            passes += 1
        yield scores


def _graph_of_the_model(function: Callable) -> Callable:
    """Returns a function that is traced by itself for each model, which keeps its traces.

    In one `tf.function` the traces of several models look like one that is traced over and over,
    of which TensorFlow warns.
    """

    @functools.wraps(function)
    def call(vae: VAE, *args: Any) -> tf.Tensor:
        graphs = vae.__dict__.setdefault("_graphs", {})  # past Keras' tracking
        name = function.__name__  # tf.Module sorts the keys
        if name not in graphs:
            # TensorFlow counts the traces of a code, of a partial object its own.
            own = functools.partial(function)
            graphs[name] = tf.function(own, reduce_retracing=True)
        return graphs[name](vae, *args)

    return call


@_graph_of_the_model
def _encode(vae: VAE, inputs: Any) -> tf.Tensor:
    return vae.encoder(inputs).mean()


@_graph_of_the_model
def _decode(vae: VAE, inputs: Any) -> tf.Tensor:
    return vae.decoder(inputs).mean()


@_graph_of_the_model
def _elbo(vae: VAE, inputs: Any, draws: tf.Tensor, number: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    nll, kl = nll_and_kl(vae, inputs, draws, fold_in(seed, number))
    return -(nll + kl)


@_graph_of_the_model
def _log_weights(
    vae: VAE, inputs: Any, draws: tf.Tensor, number: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    return log_weights(vae, inputs, draws, fold_in(seed, number))


@tf.function(reduce_retracing=True)
def _weighted_mean(
    vae: VAE, inputs: Any, draws: tf.Tensor, number: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the log of the sum of the importance weights [B], and their mean of E[x|z]."""
    posterior = vae.encoder(inputs)
    latents = posterior.sample(draws, seed=fold_in(seed, number))
    log_weights = log_joint(vae, inputs, latents) - posterior.log_prob(latents)
    decoded = vae.decoder(conditioning.draws(latents, conditioning.split(inputs)[1]))
    means = conditioning.by_draw(decoded.mean(), draws)
    weights = tf.nn.softmax(log_weights, axis=0)
    return tf.reduce_logsumexp(log_weights, axis=0), tf.einsum("sb,sb...->b...", weights, means)


@tf.function(reduce_retracing=True)
def _log_sum(log_weights: tf.Tensor) -> tf.Tensor:
    return tf.reduce_logsumexp(log_weights, axis=0)
