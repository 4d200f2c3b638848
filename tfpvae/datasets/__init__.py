"""Pictures to learn from: a folder of your own, or flowers drawn on the spot."""

from tfpvae.datasets.drawn_flowers import draw_flowers
from tfpvae.datasets.folders import (
    PictureFiles,
    Pictures,
    list_pictures,
    load_pictures,
    split_pictures,
    stream_pictures,
)

__all__ = [
    "PictureFiles",
    "Pictures",
    "draw_flowers",
    "list_pictures",
    "load_pictures",
    "split_pictures",
    "stream_pictures",
]
