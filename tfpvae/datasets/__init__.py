"""Image data sets: folders of pictures, MNIST and its variants, and drawn pictures."""

from tfpvae.datasets.batching import batches, binarize
from tfpvae.datasets.folders import PictureFiles, list_pictures, split_pictures
from tfpvae.datasets.mnist import load_mnist
from tfpvae.datasets.pictures import Pictures, load_pictures, load_splits, stream_pictures
from tfpvae.datasets.synthetic.digits import draw_digits
from tfpvae.datasets.synthetic.flowers import draw_flowers

__all__ = [
    "PictureFiles",
    "Pictures",
    "batches",
    "binarize",
    "draw_digits",
    "draw_flowers",
    "list_pictures",
    "load_mnist",
    "load_pictures",
    "load_splits",
    "split_pictures",
    "stream_pictures",
]
