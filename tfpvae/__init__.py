"""Variational autoencoders on TensorFlow Probability."""

import warnings
from typing import Any

from tfpvae import _imports

try:
    _imports.import_tensorflow()
    from tfpvae import (
        callbacks,
        datasets,
        evaluation,
        ex_post,
        figures,
        layers,
        priors,
        saving,
        schedules,
    )
    from tfpvae.models.builders import build_vae, list_architectures
    from tfpvae.models.decoders import build_decoder
    from tfpvae.models.encoders import build_encoder
    from tfpvae.models.vae import VAE
    from tfpvae.priors import build_prior
except ModuleNotFoundError as error:
    fix = _imports.message(error.name)
    if fix is None:
        raise
    raise ImportError(fix, name=error.name) from error

__version__ = "0.1.0"

__all__ = [
    "VAE",
    "build_decoder",
    "build_encoder",
    "build_prior",
    "build_vae",
    "callbacks",
    "datasets",
    "evaluation",
    "ex_post",
    "figures",
    "layers",
    "list_architectures",
    "priors",
    "saving",
    "schedules",
]


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def __getattr__(name: str) -> Any:
    if name == "serialization":
        warnings.warn(
            "tfpvae.serialization is now tfpvae.saving; the old name goes with version 0.3.",
            DeprecationWarning,
            stacklevel=2,
        )
        return saving
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
