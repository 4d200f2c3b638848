"""Figures of training runs, images and latent space, in the quality of a paper.

Each function takes plain arrays and returns a `matplotlib.figure.Figure`, which `.savefig(path)`
writes. No function opens a window or changes the global state of matplotlib.
"""

from tfpvae.figures.curves import error_by_class, history
from tfpvae.figures.images import interpolation, mosaic, mosaics, reconstructions, traversal
from tfpvae.figures.information import active_units, rate_distortion
from tfpvae.figures.latents import embeddings, latent_grid, latent_scatter, latent_square

__all__ = [
    "active_units",
    "embeddings",
    "error_by_class",
    "history",
    "interpolation",
    "latent_grid",
    "latent_scatter",
    "latent_square",
    "mosaic",
    "mosaics",
    "rate_distortion",
    "reconstructions",
    "traversal",
]
