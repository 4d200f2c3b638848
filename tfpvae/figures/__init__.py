"""Figures of a training run and of what a model draws, as for a paper.

Every function takes plain arrays and gives back a `matplotlib.figure.Figure`; `.savefig(path)`
writes it.  No window is opened and no global state of matplotlib is touched.
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
