"""The signatures of a SavedModel, which loads with TensorFlow alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.models import conditioning, estimators, introspection

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE


def build_signatures(vae: VAE) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """Builds the signatures of a VAE: tensors in and out, by name, for any batch size.

    encode: images -> mean, stddev, and scale_tril where there is one
    decode: latents -> mean
    reconstruct: images -> mean; also serving_default
    sample: num_samples (int32), seed (int32 [2]) -> images
    elbo: images, seed (int32 [2]) -> elbo, nll, kl (each [B], nats)

    A plain autoencoder, which has no prior, lacks the last two. All of a conditional VAE also take
    labels (int32 [B]). Other data than images are called x.

    Raises:
      ValueError: if Keras' floatx is another than that of the weights.
    """
    _checks.weights_of_floatx(vae)
    floatx = tf_keras.backend.floatx()
    name = "images" if vae.data_spec.is_of_images else "x"
    latent_dim = introspection.input_shape("decoder", vae.decoder)[0]
    specs = {
        "images": tf.TensorSpec([None, *vae.event_shape], floatx, name),
        "latents": tf.TensorSpec([None, latent_dim], floatx, "latents"),
        "num_samples": tf.TensorSpec([], tf.int32, "num_samples"),
        "seed": tf.TensorSpec([2], tf.int32, "seed"),
    }
    labels = [] if vae.num_classes is None else [tf.TensorSpec([None], tf.int32, "labels")]

    def encode(images, *labels):
        posterior = vae.encoder(conditioning.join(images, *labels))
        outputs = {"mean": posterior.mean(), "stddev": posterior.stddev()}
        if "scale_tril" in posterior.parameters:
            outputs["scale_tril"] = posterior.parameters["scale_tril"]
        return outputs

    def decode(latents, *labels):
        return {"mean": vae.decoder(conditioning.join(latents, *labels)).mean()}

    def reconstruct(images, *labels):
        return {"mean": estimators.reconstruct(vae, conditioning.join(images, *labels))}

    def sample(num_samples, seed, *labels):
        return {name: decode(vae.prior.sample(num_samples, seed=seed), *labels)["mean"]}

    def elbo(images, seed, *labels):
        # The seed of the first pass of VAE.elbo.
        first = estimators.fold_in(seed, 0)
        inputs = conditioning.join(estimators.preprocess(vae, images, seed), *labels)
        nll, kl = estimators.nll_and_kl(vae, inputs, tf.constant(1), first)
        return {"elbo": -(nll + kl), "nll": nll, "kl": kl}

    functions: list[Callable] = [encode, decode, reconstruct]
    if vae.prior is not None:
        functions += [sample, elbo]
    built = {}
    for function in functions:
        arguments = function.__code__.co_varnames[: function.__code__.co_argcount]
        function_specs = [*(specs[argument] for argument in arguments), *labels]
        built[function.__name__] = tf.function(function).get_concrete_function(*function_specs)
    return built | {"serving_default": built["reconstruct"]}
