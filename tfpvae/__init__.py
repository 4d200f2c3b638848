"""Variational autoencoders on TensorFlow Probability."""

from tfpvae import _missing

try:
    from tfpvae import callbacks, datasets, evaluation, ex_post, figures, layers, schedules
    from tfpvae.builders import build_decoder, build_encoder, build_vae, list_architectures
    from tfpvae.priors import build_prior
    from tfpvae.vae import VAE
except ModuleNotFoundError as error:
    fix = _missing.message(error.name)
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
    "schedules",
]
