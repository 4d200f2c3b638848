"""Variational autoencoders on TensorFlow Probability."""

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tfpvae import _imports

if TYPE_CHECKING:
    from tfpvae import callbacks, datasets, evaluation, ex_post, figures

# Imported when a program first uses them.
_LATER = ("callbacks", "datasets", "evaluation", "ex_post", "figures")


@contextlib.contextmanager
def _naming_the_fix() -> Iterator[None]:
    """Adds the command that installs a missing dependency to the error of an import."""
    try:
        yield
    except ModuleNotFoundError as error:
        fix = _imports.message(error.name)
        if fix is None:
            raise
        raise ImportError(fix, name=error.name) from error


with _naming_the_fix():
    _imports.import_tensorflow()
    from tfpvae import layers, priors, saving, schedules
    from tfpvae.models.builders import build_vae, list_architectures
    from tfpvae.models.decoders import build_decoder
    from tfpvae.models.encoders import build_encoder
    from tfpvae.models.vae import VAE
    from tfpvae.priors import build_prior

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
    if name in _LATER:
        with _naming_the_fix():
            return importlib.import_module(f"tfpvae.{name}")
    if name == "serialization":
        warnings.warn(
            "tfpvae.serialization is now tfpvae.saving; the old name goes with version 0.3.",
            DeprecationWarning,
            stacklevel=2,
        )
        return saving
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
