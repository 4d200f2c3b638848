"""Whole VAEs by the name of an architecture."""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import tf_keras
from tf_keras.src.mixed_precision.policy import policy_scope

from tfpvae import _checks, layers
from tfpvae.layers.likelihoods.base import LikelihoodLayer
from tfpvae.layers.posteriors.base import SCALE_FLOOR
from tfpvae.models import kl_terms
from tfpvae.models.decoders import build_decoder
from tfpvae.models.encoders import build_encoder, posterior_layer
from tfpvae.models.ladders import ladder_parts
from tfpvae.models.vae import VAE
from tfpvae.networks.custom_backbones import Backbone
from tfpvae.networks.initialization import mean_image

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "cnn": {"image_shape": (28, 28, 1), "latent_dim": 10, "posterior": "independent_normal"},
    "conv": {"image_shape": (28, 28, 1), "latent_dim": 2, "posterior": "independent_normal"},
    "deep": {"image_shape": (28, 28, 1), "latent_dim": 2, "posterior": "deterministic"},
    "dense": {"image_shape": (28, 28, 1), "latent_dim": 2, "posterior": "independent_normal"},
    "flowers": {
        "image_shape": (80, 80, 3),
        "latent_dim": 10,
        "posterior": "multivariate_normal_tril",
    },
    "kmnist": {"image_shape": (28, 28, 1), "latent_dim": 128, "posterior": "independent_normal"},
    "ladder": {"image_shape": (80, 80, 3), "latent_dim": None, "posterior": "ladder"},
    "residual": {"image_shape": (80, 80, 3), "latent_dim": 32, "posterior": "independent_normal"},
}


def build_vae(
    architecture: str,
    precision: str | None = None,
    *,
    image_shape: tuple[int, int, int] | None = None,
    event_shape: tuple[int, ...] | None = None,
    latent_dim: int | None = None,
    posterior: str | layers.Posterior | None = None,
    prior: Any = "standard_normal",
    likelihood: str | LikelihoodLayer = "bernoulli",
    kl_weight: float | Callable = 1.0,
    use_exact_kl: bool | None = None,
    kl_samples: int = 1,
    scale_floor: float = SCALE_FLOOR,
    start_images: Any = None,
    pixel_mean: Any = None,
    num_classes: int | None = None,
    label_embedding: int | None = None,
    encoder_backbone: Backbone | None = None,
    decoder_backbone: Backbone | None = None,
    backbone_options: dict[str, Any] | None = None,
    objective: str = "elbo",
    num_samples: int = 1,
    free_bits: float = 0.0,
    target_rate: float | None = None,
    dequantize: bool = False,
    missing: str | None = None,
    **unknown: Any,
) -> VAE:
    """Builds a VAE of one of the named architectures.

    Args:
      architecture: a name of `list_architectures()`.
      precision: "float32"; or "bfloat16" for the arithmetic of the two backbones, while weights,
        heads and losses stay in float32. It is faster on processors that support it
        (`python -m tfpvae` tells), above all for convolutions. None for the global policy of
        `tf_keras.mixed_precision`, which follows `tf_keras.backend.floatx()`, float32 or float64,
        unless it was set. A backbone that is a model keeps its own policy.
      image_shape: (height, width, channels); None for that of the architecture.
      event_shape: the shape of an example of other data, in place of image_shape: (F,) of the row
        of a table, (T, F) of a series, or any other. "dense" and "deep" take all, and so may
        backbones of your own.
      latent_dim: D, at least 1; None for that of the architecture.
      posterior: see `build_encoder`; None for that of the architecture.
      prior: see `build_encoder`; or "vampprior", or a `tfpvae.priors.VampPrior`.
      likelihood: see `build_decoder`.
      kl_weight: see `build_encoder`.
      use_exact_kl: see `build_encoder`.
      kl_samples: see `build_encoder`.
      scale_floor: see `build_encoder`.
      start_images: see `build_encoder`.
      pixel_mean: see `build_decoder`; None for the mean of start_images, where they are images in
        [0, 1] or uint8, and likelihood and decoder are named ones.
      num_classes: C of a conditional VAE, at least 1; None for no labels.
      label_embedding: see `build_encoder`.
      encoder_backbone: see `backbone` of `build_encoder`; None for that of the architecture.
      decoder_backbone: see `backbone` of `build_decoder`; None for that of the architecture.
      backbone_options: of both backbones, see `build_encoder`.
      objective: see `VAE`.
      num_samples: see `VAE`.
      free_bits: see `VAE`.
      target_rate: see `VAE`.
      dequantize: see `VAE`.
      missing: see `VAE`.
      **unknown: raises TypeError, which names the nearest argument.

    Returns:
      A `VAE`, ready for `compile()` and `fit(images)`.

    Raises:
      ValueError, TypeError: as the two builders and `VAE` do.

    >>> build_vae("flowers").count_params()
    2394337
    >>> build_vae("dense", event_shape=(30,), likelihood="normal")
    <VAE 'dense': examples [30], latent_dim 2, ...>
    """
    _refuse_unknown(unknown)
    _checks.one_of("architecture", architecture, ARCHITECTURES)
    defaults = ARCHITECTURES[architecture]
    if image_shape is None and event_shape is None:
        image_shape = defaults["image_shape"]
    shared: dict[str, Any] = {
        "image_shape": image_shape,
        "event_shape": event_shape,
        "latent_dim": defaults["latent_dim"] if latent_dim is None else latent_dim,
        "num_classes": num_classes,
        "label_embedding": label_embedding,
        "backbone_options": backbone_options,
    }
    kl_options: dict[str, Any]
    kl_options = {"kl_weight": kl_weight, "use_exact_kl": use_exact_kl, "kl_samples": kl_samples}
    kl_term = None
    posterior = defaults["posterior"] if posterior is None else posterior
    if architecture == "ladder":
        if event_shape is not None:
            raise ValueError(
                f"event_shape: wanted None for 'ladder', which is of images, got {event_shape!r}."
            )
        parts = ladder_parts(shared["image_shape"], likelihood, scale_floor, backbone_options)
        _check_ladder(parts, latent_dim, posterior, encoder_backbone, decoder_backbone)
        shared |= {"latent_dim": parts["latent_dim"], "backbone_options": None}
        posterior, scale_floor = parts["posterior"], SCALE_FLOOR  # which the posterior has
        encoder_backbone = parts["encoder_backbone"]
        decoder_backbone = parts["decoder_backbone"]
    if kl_terms.is_vampprior(prior):
        shape = _checks.example_shape(image_shape, event_shape)
        sizes = shape, posterior_layer(posterior, shared["latent_dim"], scale_floor)
        kl_term = kl_terms.build_vampprior_term(prior, *sizes, start_images, **kl_options)
        prior = None
    with _policy(precision):
        encoder = build_encoder(
            backbone=architecture if encoder_backbone is None else encoder_backbone,
            posterior=posterior,
            prior=prior,
            scale_floor=scale_floor,
            start_images=start_images,
            **kl_options,
            **shared,
        )
        are_named = isinstance(likelihood, str) and decoder_backbone is None
        if pixel_mean is None and start_images is not None and are_named:
            pixel_mean = mean_image(start_images, image_shape)
        decoder = build_decoder(
            backbone=architecture if decoder_backbone is None else decoder_backbone,
            likelihood=likelihood,
            pixel_mean=pixel_mean,
            **shared,
        )
    return VAE(
        encoder,
        decoder,
        prior=kl_term,
        name=architecture,
        objective=objective,
        num_samples=num_samples,
        free_bits=free_bits,
        target_rate=target_rate,
        dequantize=dequantize,
        missing=missing,
    )


def list_architectures() -> list[str]:
    """Returns the names that `build_vae` knows.

    >>> list_architectures()
    ['cnn', 'conv', 'deep', 'dense', 'flowers', 'kmnist', 'ladder', 'residual']
    """
    return sorted(ARCHITECTURES)


def _check_ladder(
    parts: dict[str, Any],
    latent_dim: int | None,
    posterior: Any,
    encoder_backbone: Backbone | None,
    decoder_backbone: Backbone | None,
) -> None:
    """Checks that a convolutional ladder got no arguments that follow from its maps.

    Raises:
      ValueError: naming the argument.
    """
    if latent_dim not in (None, parts["latent_dim"]):
        raise ValueError(
            f"latent_dim: wanted None for 'ladder', or {parts['latent_dim']}, which follows from "
            f"image_shape and backbone_options, got {latent_dim!r}."
        )
    if posterior != "ladder":
        raise ValueError(f"posterior: wanted None or 'ladder' for 'ladder', got {posterior!r}.")
    backbones = {"encoder_backbone": encoder_backbone, "decoder_backbone": decoder_backbone}
    for name, backbone in backbones.items():
        if backbone is not None:
            raise ValueError(
                f"{name}: wanted None for 'ladder', whose networks share their weights, got "
                f"{backbone!r}. posterior='ladder' goes with any."
            )


def _refuse_unknown(unknown: dict[str, Any]) -> None:
    """Checks that `build_vae` got no other arguments than its own.

    Raises:
      TypeError: naming the first one, and the nearest argument.
    """
    if unknown:
        names = [name for name in inspect.signature(build_vae).parameters if name != "unknown"]
        name = next(iter(unknown))
        raise TypeError(
            f"{name}: wanted an argument of build_vae, got {name!r}."
            f"{_checks.did_you_mean(name, names)} The arguments are {', '.join(names)}."
        )


def _policy(precision: str | None) -> contextlib.AbstractContextManager:
    """Returns a scope of Keras' global policy, which stays unset if it was never set.

    Raises:
      ValueError: for an unknown precision, or for one where Keras' floatx is float64.
    """
    if precision is None:
        return contextlib.nullcontext()
    _checks.one_of("precision", precision, _POLICIES)
    if (floatx := tf_keras.backend.floatx()) == "float64":
        raise ValueError(
            f"precision: wanted None where Keras' floatx is {floatx!r}, got {precision!r}, "
            "whose weights are float32. Leave it out, or write "
            "tf_keras.backend.set_floatx('float32')."
        )
    return policy_scope(_POLICIES[precision])
