"""Whole VAEs by the name of an architecture."""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import tf_keras
from tf_keras.src.mixed_precision.policy import policy_scope

from tfpvae import _checks, layers
from tfpvae.models import builders, encoders
from tfpvae.models.decoders import build_decoder
from tfpvae.models.encoders import build_encoder, kl_term
from tfpvae.models.vae import VAE
from tfpvae.priors import build_prior

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
    "residual": {
        "image_shape": (80, 80, 3),
        "latent_dim": 32,
        "posterior": "independent_normal",
    },
}


def build_vae(architecture: str, precision: str | None = None, **overrides: Any) -> VAE:
    """Returns a VAE of one of the named architectures.

    Args:
      architecture: a name of `list_architectures()`.
      precision: "float32", or "bfloat16" for the arithmetic of the two backbones, where weights,
        heads and losses stay in float32: faster on processors that have it (python -m tfpvae says
        so), for convolutions above all. None for the global policy of `tf_keras.mixed_precision`,
        which follows `tf_keras.backend.floatx()`, float32 or float64, unless it was set. A backbone
        that is a model already keeps its own.
      **overrides: arguments of `build_encoder`, `build_decoder` and `VAE` in place of the
        architecture's own; `encoder_backbone` and `decoder_backbone` for the two backbones.

    Returns:
      A `VAE`, ready for `compile()` and `fit(images)`.

    Raises:
      ValueError, TypeError: as the two builders do.

    >>> build_vae("flowers").count_params()
    2394337
    """
    _checks.one_of("architecture", architecture, ARCHITECTURES)
    if precision is not None:
        _checks.one_of("precision", precision, _POLICIES)
        if (floatx := tf_keras.backend.floatx()) == "float64":
            raise ValueError(
                f"precision: wanted None where Keras' floatx is {floatx!r}, got {precision!r}, "
                "whose weights are float32. Leave it out, or write "
                "tf_keras.backend.set_floatx('float32')."
            )
    unknown = sorted(set(overrides) - _ENCODER_OVERRIDES - _DECODER_OVERRIDES - _VAE_OVERRIDES)
    if unknown:
        known = ", ".join(sorted(_ENCODER_OVERRIDES | _DECODER_OVERRIDES | _VAE_OVERRIDES))
        raise TypeError(f"overrides: wanted some of {known}, got {', '.join(unknown)}.")
    backbones = {"encoder_backbone": architecture, "decoder_backbone": architecture}
    options = backbones | ARCHITECTURES[architecture] | overrides
    encoder_options = {k: v for k, v in options.items() if k in _ENCODER_OVERRIDES}
    decoder_options = {k: v for k, v in options.items() if k in _DECODER_OVERRIDES}
    prior = None
    if encoders.is_made_of_the_encoder(encoder_options.get("prior")):
        prior = builders.vampprior_term(**encoder_options)
        encoder_options["prior"] = None
    with _policy(precision):
        encoder = build_encoder(backbone=encoder_options.pop("encoder_backbone"), **encoder_options)
        decoder = build_decoder(backbone=decoder_options.pop("decoder_backbone"), **decoder_options)
    vae_options = {k: v for k, v in options.items() if k in _VAE_OVERRIDES}
    return VAE(encoder, decoder, prior=prior, name=architecture, **vae_options)


def _policy(precision: str | None) -> contextlib.AbstractContextManager:
    """Returns a scope of Keras' global policy, which is left unset if it was never set."""
    return contextlib.nullcontext() if precision is None else policy_scope(_POLICIES[precision])


def list_architectures() -> list[str]:
    """Returns the names that `build_vae` knows.

    >>> list_architectures()
    ['cnn', 'conv', 'deep', 'dense', 'flowers', 'kmnist', 'residual']
    """
    return sorted(ARCHITECTURES)


def _overrides(builder: Callable, backbone: str) -> set[str]:
    return {*inspect.signature(builder).parameters, backbone} - {"name", "backbone"}


_ENCODER_OVERRIDES = _overrides(build_encoder, "encoder_backbone")


_DECODER_OVERRIDES = _overrides(build_decoder, "decoder_backbone")


_VAE_OVERRIDES = {"objective", "num_samples", "free_bits", "target_rate", "dequantize"}


def vampprior_term(
    prior: Any, image_shape: Any, latent_dim: Any, start_images: Any = None, **options: Any
) -> layers.KLDivergenceRegularizer:
    """Returns the KL term that the VAE holds, of an encoder's arguments."""
    if isinstance(prior, str):
        given = {"image_shape": image_shape, "start_images": start_images}
        prior = build_prior(prior, latent_dim=latent_dim, **given)
    names = ("kl_weight", "use_exact_kl", "kl_samples")
    return kl_term(prior, latent_dim, **{name: options[name] for name in names if name in options})
