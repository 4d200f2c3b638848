"""The first quantity of a VAE that is not a finite number."""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.distributions.observed import observed
from tfpvae.models import conditioning, estimators
from tfpvae.models.vae import VAE
from tfpvae.saving.finite_weights import describe_non_finite

tfd = tfp.distributions


def first_non_finite(vae: VAE, images: Any, labels: Any = None, *, seed: Any = 0) -> str | None:
    """Finds the first quantity that is NaN or infinite on a batch.

    The order is that of one step on the negative ELBO: the weights, the images, the outputs of each
    layer of the encoder, the parameters of q(z|x), its draw, the outputs of each layer of the
    decoder, the parameters of p(x|z) such as its logits, the nll, the KL, and the gradient of each
    weight. The networks run as in training, but no weight changes. The seed does not fix the draws
    of layers such as dropout.

    Args:
      vae: a `VAE`.
      images: [B, H, W, C], uint8 or float; all are run at once, and a batch is enough.
      labels: classes of a conditional VAE, whole numbers [B].
      seed: seed of the draws, an int or two of them.

    Returns:
      Its name and fault, such as "output of the layer 'dense' of the encoder: nan in 3 of 256";
      None if all quantities are finite.

    >>> import numpy as np
    >>> import tfpvae
    >>> vae, images = tfpvae.build_vae("dense"), np.zeros([4, 28, 28, 1], "float32")
    >>> first_non_finite(vae, images)
    >>> images[0, 0, 0, 0] = np.nan
    >>> first_non_finite(vae, images)
    'images: nan in 1 of 3136'
    """
    moving = [(weight, weight.numpy()) for weight in vae.non_trainable_weights]
    try:
        for name, value in _quantities(vae, images, labels, _checks.seed(seed)):
            fault = describe_non_finite(value)
            if fault:
                return f"{name}: {fault}"
    finally:  # those of a batch normalization have moved
        for weight, value in moving:
            weight.assign(value)
    return None


def _quantities(vae: VAE, images: Any, labels: Any, seed: tf.Tensor) -> Iterator[tuple[str, Any]]:
    """Yields names and values in the order of a step, each computed when it is asked for."""
    yield from ((f"weight '{weight.name}'", weight) for weight in vae.weights)
    images = _checks.as_tensor("images", images)
    _checks.form("images", images, vae.data_spec)
    yield "images", images
    _checks.array("images", images, vae.data_spec)  # now that all of them are finite
    labels = conditioning.labels_of(vae, labels, images)
    images = estimators.preprocess(vae, images, seed)
    with tf.GradientTape() as tape:
        with _watched(vae.encoder) as outputs:
            posterior = vae.encoder(conditioning.join(images, labels), training=True)
        yield from _named(outputs, "encoder")
        yield from _parameters(posterior, "the posterior q(z|x)")
        latents = posterior.sample(seed=seed)
        yield "draw of the posterior", latents
        with _watched(vae.decoder) as outputs:
            likelihood = vae.decoder(conditioning.join(latents, labels), training=True)
        yield from _named(outputs, "decoder")
        yield from _parameters(likelihood, "the likelihood p(x|z)")
        values, likelihood = observed(images, likelihood, vae.data_spec)
        nll = -likelihood.log_prob(values)
        yield "nll, -log p(x|z)", nll
        kl = vae.kl_divergence(posterior, latents[tf.newaxis])
        yield "kl, KL(q(z|x) || p(z))", kl
        loss = tf.reduce_mean(nll) + vae.kl_weight * tf.reduce_mean(kl)
    weights = vae.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        if gradient is not None:  # None for a weight that the loss does not depend on
            yield f"gradient of the weight '{weight.name}'", gradient


def _named(outputs: list[tuple[str, Any]], network: str) -> Iterator[tuple[str, Any]]:
    return ((f"output of the layer '{name}' of the {network}", value) for name, value in outputs)


@contextlib.contextmanager
def _watched(model: tf_keras.Model) -> Iterator[list[tuple[str, Any]]]:
    """Yields a list to which each layer of a network appends its name and outputs as it runs."""
    outputs: list[tuple[str, Any]] = []
    layers = [
        layer
        for layer in model.submodules
        if isinstance(layer, tf_keras.layers.Layer)
        and not isinstance(layer, (tf_keras.Model, tfp.layers.DistributionLambda))
    ]
    own = [layer.__dict__.get("call") for layer in layers]  # TensorFlow operations set it
    for layer in layers:
        # Past Keras' tracking of attributes.
        object.__setattr__(layer, "call", _watching(layer, outputs))
    try:
        yield outputs
    finally:
        for layer, call in zip(layers, own, strict=True):
            del layer.__dict__["call"]
            if call is not None:
                object.__setattr__(layer, "call", call)


def _watching(layer: tf_keras.layers.Layer, outputs: list[tuple[str, Any]]) -> Any:
    call = layer.call

    def watched(*args, **kwargs):
        value = call(*args, **kwargs)
        outputs.extend((layer.name, part) for part in tf.nest.flatten(value) if tf.is_tensor(part))
        return value

    return watched


def _parameters(distribution: Any, of: str) -> Iterator[tuple[str, Any]]:
    """Yields the parameters of a distribution and of the distributions it is made of."""
    distribution = getattr(distribution, "tensor_distribution", distribution)
    for name, value in distribution.parameters.items():
        if isinstance(value, tfd.Distribution):
            yield from _parameters(value, of)
        elif tf.is_tensor(value):
            yield f"{name} of {of}", value
