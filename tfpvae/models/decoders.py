"""Decoders: a backbone and a likelihood layer."""

import math
from functools import partial
from typing import Any

import tf_keras

from tfpvae import _checks, layers
from tfpvae.layers.likelihoods.base import LikelihoodLayer
from tfpvae.models import conditioning
from tfpvae.models.label_inputs import build_label_inputs, concatenate
from tfpvae.networks.backbones import DECODERS
from tfpvae.networks.custom_backbones import (
    Backbone,
    apply_layers,
    backbone_layers,
    refuse_channels_first,
)
from tfpvae.networks.initialization import start_last_bias

LIKELIHOODS: dict[str, Any] = {
    "bernoulli": layers.IndependentBernoulli,
    "beta": layers.BetaLikelihood,
    "continuous_bernoulli": layers.IndependentContinuousBernoulli,
    "coupled_mixture_of_logistics": layers.CoupledLogisticMixtureLikelihood,
    "discretized_logistic": layers.DiscretizedLogisticLikelihood,
    "mixture_of_logistics": layers.LogisticMixtureLikelihood,
    "normal": layers.NormalLikelihood,
    "normal_per_pixel": partial(layers.NormalLikelihood, scale="per_pixel"),
}


def build_decoder(
    *,
    image_shape: tuple[int, int, int],
    latent_dim: int,
    backbone: Backbone,
    likelihood: str | LikelihoodLayer = "bernoulli",
    pixel_mean: Any = None,
    num_classes: int | None = None,
    label_embedding: int | None = None,
    backbone_options: dict[str, Any] | None = None,
    name: str = "decoder",
) -> tf_keras.Model:
    """Builds the decoder: latents [B, latent_dim] -> p(x|z), a distribution over [B, H, W, C].

    Args:
      image_shape: (height, width, channels).
      latent_dim: D, at least 1.
      backbone: a name of `list_architectures()`, or a custom `tf_keras` model or callable from
        latents [B, latent_dim] to the parameters of the pixels, [B, H, W, V] or [B, H * W * V]. V
        is C (logits) for a Bernoulli, continuous or not, and "normal"; for other likelihoods it is
        params_size(image_shape) / (H * W) of their layer, with the locations first.
      likelihood: a name, or a likelihood layer of `tfpvae.layers` for image_shape with its own
        options, which is used unchanged. For binary pixels, a mass: "bernoulli". For gray pixels, a
        density: "continuous_bernoulli", "beta", "normal" (one learned scale) and
        "normal_per_pixel". For 8-bit pixels, a mass: "discretized_logistic",
        "mixture_of_logistics" and "coupled_mixture_of_logistics".
      pixel_mean: the mean of the training images, in [0, 1], of a shape that broadcasts to
        image_shape. The last bias starts the locations at its logit; a named backbone without a
        last bias gets one.
      num_classes: C, at least 1, for the decoder of a conditional VAE, [latents, labels] ->
        p(x|z, y), with labels [B], whole numbers, 0 <= label < C. Their code is appended to the
        latents that the backbone takes, [B, latent_dim + C]. None for no labels.
      label_embedding: the size of a learned code of each class, at least 1; None for a one-hot
        code.
      backbone_options: options of a named backbone: "residual" has width and depth, as in
        {"width": 48, "depth": 2}.
      name: of the model.

    Returns:
      A `tf_keras.Model`.

    Raises:
      ValueError, TypeError: for an argument out of range, an unknown name (the message lists the
        names), or a backbone that does not fit.

    >>> import numpy as np
    >>> decoder = build_decoder(image_shape=(28, 28, 1), latent_dim=2, backbone="dense")
    >>> decoder.count_params(), decoder(np.zeros([3, 2])).mean().shape
    (202256, TensorShape([3, 28, 28, 1]))
    """
    _checks.eager()
    _checks.floatx()
    image_shape = _checks.image_shape(image_shape)
    latent_dim = _checks.whole_number("latent_dim", latent_dim)
    head = likelihood_layer(likelihood, image_shape)
    height, width, channels = image_shape
    values = head.params_size(image_shape) // (height * width)
    params_shape = (height, width, values)
    latents = tf_keras.Input((latent_dim,), name="latents")
    labels, code = build_label_inputs(num_classes, label_embedding)
    inputs = conditioning.join(latents, *labels)
    use_bias = pixel_mean is not None
    network = backbone_layers(backbone, DECODERS, backbone_options, *params_shape, use_bias)
    params = apply_layers(network, concatenate([latents, *code]))
    if tuple(params.shape[1:]) not in (params_shape, (math.prod(params_shape),)):
        refuse_channels_first(tf_keras.Model(inputs, params))
        expected = "one logit" if values == channels else f"{values} parameters"
        raise ValueError(
            f"backbone: wanted {expected} a pixel, [B, {', '.join(map(str, params_shape))}], "
            f"got {tuple(params.shape)}."
        )
    if pixel_mean is not None:
        decoder = tf_keras.Model(inputs, params)
        start_last_bias(decoder, pixel_mean, image_shape, values, head.locations)
    if len(params.shape) > 2:
        params = tf_keras.layers.Flatten("channels_last")(params)
    return tf_keras.Model(inputs, head(params), name=name)


def likelihood_layer(
    likelihood: str | LikelihoodLayer, image_shape: tuple[int, int, int]
) -> LikelihoodLayer:
    """Returns the layer that ends a decoder; a layer that is passed is returned unchanged.

    Raises:
      ValueError, TypeError: for an unknown name, or a layer of another event shape.
    """
    if isinstance(likelihood, str):
        _checks.one_of("likelihood", likelihood, LIKELIHOODS)
        # As a tensor a likelihood is its mean; a draw would draw every pixel in each step.
        return LIKELIHOODS[likelihood](image_shape, "mean", name="likelihood")
    if not isinstance(likelihood, LikelihoodLayer):
        raise TypeError(
            f"likelihood: wanted a name or a likelihood layer of tfpvae.layers, got {likelihood!r}."
        )
    if likelihood.event_shape != image_shape:
        raise ValueError(
            f"likelihood: wanted a layer of event shape {image_shape} (image_shape), got one of "
            f"{likelihood.event_shape}."
        )
    return likelihood
