"""Samples of a VAE as one picture."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfpvae.figures import tiles
from tfpvae.models.vae import VAE

_GAP = 2  # white pixels between two images


def check_pictures(callback: str, model: Any) -> None:
    """Raises unless a model is a VAE of images that make a picture."""
    if not isinstance(model, VAE):
        raise TypeError(f"{callback}: wanted a tfpvae.VAE to train, got {model!r}.")
    spec = model.data_spec
    if not spec.is_of_images or spec.shape[-1] not in (1, 3):
        raise ValueError(
            f"{callback}: wanted a VAE of images of 1 channel or 3, got the image_shape "
            f"{spec.shape}."
        )


def draw_samples(vae: VAE, num_samples: int, seed: int) -> np.ndarray:
    """Draws samples, uint8 [S, H, W, C]; a conditional VAE takes its classes in turn."""
    classes = vae.num_classes
    labels = None if classes is None else np.arange(num_samples) % classes
    return to_bytes(vae.sample(num_samples, seed=seed, labels=labels).numpy())


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Returns float images in [0, 1] as uint8."""
    return np.round(255 * images).astype(np.uint8)


def assemble(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Returns images [S, H, W, C] as one picture, close to a square unless `columns` is set."""
    return tiles.assembled(images, columns or tiles.square_columns(images.shape), _GAP, 255)


def write_mosaic(images: np.ndarray, path: Path) -> None:
    """Writes images [S, H, W, C], uint8, as one picture, whole or not at all."""
    picture = assemble(images)
    partial = path.with_name(f"{path.name}.partial")
    try:
        Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(partial, "PNG")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
