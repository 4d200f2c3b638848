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
    "categorical": layers.CategoricalLikelihood,
    "continuous_bernoulli": layers.IndependentContinuousBernoulli,
    "coupled_mixture_of_logistics": layers.CoupledLogisticMixtureLikelihood,
    "discretized_logistic": layers.DiscretizedLogisticLikelihood,
    "logistic": layers.LogisticLikelihood,
    "mixture_of_logistics": layers.LogisticMixtureLikelihood,
    "negative_binomial": layers.NegativeBinomialLikelihood,
    "normal": layers.NormalLikelihood,
    "normal_per_pixel": partial(layers.NormalLikelihood, scale="per_pixel"),
    "poisson": layers.PoissonLikelihood,
    "student_t": layers.StudentTLikelihood,
    "zero_inflated_negative_binomial": partial(
        layers.NegativeBinomialLikelihood, zero_inflated=True
    ),
    "zero_inflated_poisson": partial(layers.PoissonLikelihood, zero_inflated=True),
}
# Of other data than images, which have no bounds.
_OF_REAL_NUMBERS: dict[str, Any] = {
    "normal": partial(layers.NormalLikelihood, support="real"),
    "normal_per_pixel": partial(layers.NormalLikelihood, scale="per_pixel", support="real"),
}


def build_decoder(
    *,
    image_shape: tuple[int, int, int] | None = None,
    event_shape: tuple[int, ...] | None = None,
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
      image_shape: (height, width, channels); None where event_shape is set.
      event_shape: the shape of an example of other data, such as (F,) of the row of a table.
      latent_dim: D, at least 1.
      backbone: a name of `list_architectures()`, or a custom `tf_keras` model or callable from
        latents [B, latent_dim] to the parameters of the pixels, [B, H, W, V] or [B, H * W * V], and
        those of other data alike. V is C (logits) for a Bernoulli, continuous or not, and "normal";
        for other likelihoods it is params_size(image_shape) / (H * W) of their layer, with the
        locations first.
      likelihood: a name, or a likelihood layer of `tfpvae.layers` for image_shape with its own
        options, which is used unchanged. For binary pixels, a mass: "bernoulli". For gray pixels, a
        density: "continuous_bernoulli", "beta", "normal" (one learned scale) and
        "normal_per_pixel". For 8-bit pixels, a mass: "discretized_logistic",
        "mixture_of_logistics" and "coupled_mixture_of_logistics". For any
        finite numbers, with event_shape, a density: "normal", "normal_per_pixel", "student_t",
        "logistic". For counts: "poisson", "negative_binomial" and, with "zero_inflated_" before
        them, those with more zeros. For one-hot vectors or ids: "categorical".
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
    shape = _checks.example_shape(image_shape, event_shape)
    latent_dim = _checks.whole_number("latent_dim", latent_dim)
    head = likelihood_layer(likelihood, shape, is_of_images=event_shape is None)
    *sides, channels = shape
    values = head.params_size(shape) // math.prod(sides)
    params_shape = (*sides, values)
    latents = tf_keras.Input((latent_dim,), name="latents")
    labels, code = build_label_inputs(num_classes, label_embedding)
    inputs = conditioning.join(latents, *labels)
    use_bias = pixel_mean is not None
    network = backbone_layers(backbone, DECODERS, backbone_options, shape, params_shape, use_bias)
    params = apply_layers(network, concatenate([latents, *code]))
    if tuple(params.shape[1:]) not in (params_shape, (math.prod(params_shape),)):
        refuse_channels_first(tf_keras.Model(inputs, params))
        expected = "one parameter" if values == channels else f"{values} parameters"
        if event_shape is None:
            expected = "one logit a pixel" if values == channels else f"{expected} a pixel"
        raise ValueError(
            f"backbone: wanted {expected}, [B, {', '.join(map(str, params_shape))}], "
            f"got {tuple(params.shape)}."
        )
    if pixel_mean is not None:
        if head.support != _checks.UNIT_INTERVAL:
            raise ValueError(
                "pixel_mean: wanted None for a likelihood of other values than those in [0, 1], "
                f"got {likelihood!r}."
            )
        decoder = tf_keras.Model(inputs, params)
        start_last_bias(decoder, pixel_mean, shape, values, head.locations)
    if len(params.shape) > 2:
        params = tf_keras.layers.Flatten("channels_last")(params)
    return tf_keras.Model(inputs, head(params), name=name)


def likelihood_layer(
    likelihood: str | LikelihoodLayer, shape: tuple[int, ...], is_of_images: bool
) -> LikelihoodLayer:
    """Returns the layer that ends a decoder; a layer that is passed is returned unchanged.

    Raises:
      ValueError, TypeError: for an unknown name, or a layer of another event shape.
    """
    if isinstance(likelihood, str):
        _checks.one_of("likelihood", likelihood, LIKELIHOODS)
        make = LIKELIHOODS[likelihood]
        if not is_of_images:
            make = _OF_REAL_NUMBERS.get(likelihood, make)
        # As a tensor a likelihood is its mean; a draw would draw every pixel in each step.
        return make(shape, "mean", name="likelihood")
    if not isinstance(likelihood, LikelihoodLayer):
        raise TypeError(
            f"likelihood: wanted a name or a likelihood layer of tfpvae.layers, got {likelihood!r}."
        )
    if likelihood.event_shape != shape:
        name = "image_shape" if is_of_images else "event_shape"
        raise ValueError(
            f"likelihood: wanted a layer of event shape {shape} ({name}), got one of "
            f"{likelihood.event_shape}."
        )
    return likelihood
