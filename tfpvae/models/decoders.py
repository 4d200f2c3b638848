"""Decoders: a backbone and a likelihood layer."""

from functools import partial
from typing import Any

import numpy as np
import tf_keras

from tfpvae import _checks, layers
from tfpvae.layers.likelihoods.base import LikelihoodLayer
from tfpvae.models import conditioning, decoders
from tfpvae.models.label_inputs import build_label_inputs, concatenate
from tfpvae.networks.backbones import DECODERS
from tfpvae.networks.custom_backbones import (
    Backbone,
    apply_backbone,
    backbone_layers,
    refuse_channels_first,
)
from tfpvae.networks.initialization import start_last_bias


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
    """Returns the model latents [B, latent_dim] -> p(x|z), a distribution over [B, H, W, C].

    Args:
      image_shape: (height, width, channels).
      latent_dim: D, at least 1.
      backbone: a name of `list_architectures()`, or a `tf_keras` model or callable of your own,
        from latents [B, latent_dim] to the parameters of the pixels, [B, H, W, V] or
        [B, H * W * V]. V is C logits for a Bernoulli, continuous or not, and "normal"; for the
        others it is params_size(image_shape) / (H * W) of their layer, the locations first.
      likelihood: a name, or a likelihood layer of `tfpvae.layers` for image_shape, with options of
        its own, which is used as it is. Of binary pixels a mass: "bernoulli". Of grey pixels a
        density: "continuous_bernoulli", "beta", "normal" (one scale, learned) and
        "normal_per_pixel". Of 8-bit pixels a mass: "discretized_logistic",
        "mixture_of_logistics" and "coupled_mixture_of_logistics".
      pixel_mean: the mean of the training images, in [0, 1], of a shape that broadcasts to
        image_shape; the last bias starts the locations at its logit. A named backbone without a
        last bias is given one.
      num_classes: C, at least 1, for the decoder of a conditional VAE, [latents, labels] ->
        p(x|z, y), labels being whole numbers [B], 0 <= label < C. The backbone is given their code
        behind the latents, [B, latent_dim + C]. None for no labels.
      label_embedding: what that code is: None for one number a class, 1 at the label and 0
        elsewhere; or how many numbers, at least 1, are learned for each class.
      backbone_options: of a backbone by name that has some: "residual" has width and depth, as in
        {"width": 48, "depth": 2}.
      name: of the model.

    Returns:
      A `tf_keras.Model`.

    Raises:
      ValueError, TypeError: for an argument out of range, an unknown name (the message lists the
        known), a backbone that does not fit.

    >>> decoder = build_decoder(image_shape=(28, 28, 1), latent_dim=2, backbone="dense")
    >>> decoder.count_params(), decoder(np.zeros([3, 2])).mean().shape
    (202256, TensorShape([3, 28, 28, 1]))
    """
    _checks.eager()
    _checks.floatx()
    image_shape = _checks.image_shape(image_shape)
    latent_dim = _checks.whole_number("latent_dim", latent_dim)
    head = decoders.likelihood_layer(likelihood, image_shape)
    height, width, channels = image_shape
    values = head.params_size(image_shape) // (height * width)
    params_shape = (height, width, values)
    latents = tf_keras.Input((latent_dim,), name="latents")
    labels, code = build_label_inputs(num_classes, label_embedding)
    inputs = conditioning.join(latents, *labels)
    use_bias = pixel_mean is not None
    network = backbone_layers(backbone, DECODERS, backbone_options, *params_shape, use_bias)
    params = apply_backbone(network, concatenate([latents, *code]))
    if tuple(params.shape[1:]) not in (params_shape, (np.prod(params_shape),)):
        refuse_channels_first(tf_keras.Model(inputs, params))
        wanted = "one logit" if values == channels else f"{values} parameters"
        raise ValueError(
            f"backbone: wanted {wanted} a pixel, [B, {', '.join(map(str, params_shape))}], "
            f"got {tuple(params.shape)}."
        )
    if pixel_mean is not None:
        network = tf_keras.Model(inputs, params)
        start_last_bias(network, pixel_mean, image_shape, values, head.locations)
    if len(params.shape) > 2:
        params = tf_keras.layers.Flatten("channels_last")(params)
    return tf_keras.Model(inputs, head(params), name=name)


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


def likelihood_layer(
    likelihood: str | LikelihoodLayer, image_shape: tuple[int, int, int]
) -> LikelihoodLayer:
    """Returns the layer that ends a decoder."""
    if isinstance(likelihood, str):
        _checks.one_of("likelihood", likelihood, LIKELIHOODS)
        # As a tensor a likelihood is its mean; a draw would draw every pixel at each step.
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
