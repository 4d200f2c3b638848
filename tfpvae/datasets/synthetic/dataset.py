"""Data sets of drawn pictures: classes in turn, and one random stream per picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfpvae import _checks
from tfpvae.datasets.decoding import check_image_shape
from tfpvae.datasets.pictures import Pictures
from tfpvae.datasets.synthetic.canvas import Array, Rng

DrawFn = Callable[[int, tuple[int, int, int], Rng], Array]


def draw_pictures(
    draw_fn: DrawFn,
    class_names: tuple[str, ...],
    num_images: int,
    image_shape: tuple[int, int, int],
    seed: int,
) -> Pictures:
    """Draws pictures of all classes in turn.

    Picture i depends on the seed, i and the image shape alone, not on the number of pictures.

    Args:
      draw_fn: `draw_fn(label, image_shape, rng)` returns one uint8 image [H, W, C].
      class_names: name of each class.
      num_images: number of pictures, at least 1.
      image_shape: (height, width, channels), channels 1 (gray) or 3 (RGB).
      seed: an int, at least 0.

    Returns:
      `Pictures` with uint8 images [num_images, H, W, C], int32 labels (i modulo the number of
      classes), the class names and no paths.

    Raises:
      TypeError: if `num_images` or `seed` is not an integer.
      ValueError: if an argument is out of its range.

    >>> def black(label, image_shape, rng):
    ...     return np.zeros(image_shape, np.uint8)
    >>> pictures = draw_pictures(black, ("a", "b"), 3, image_shape=(4, 4, 1), seed=0)
    >>> pictures.images.shape, pictures.labels.tolist()
    ((3, 4, 4, 1), [0, 1, 0])
    """
    _checks.whole_number("num_images", num_images)
    check_image_shape(image_shape)
    _checks.whole_number("seed", seed, minimum=0)
    labels = np.arange(num_images, dtype=np.int32) % len(class_names)
    images = np.empty((num_images, *image_shape), np.uint8)
    for i, label in enumerate(labels):
        # A child stream per picture makes it independent of the pictures before it.
        stream = np.random.SeedSequence(seed, spawn_key=(i,))
        rng = np.random.Generator(np.random.PCG64(stream))
        images[i] = draw_fn(int(label), image_shape, rng)
    return Pictures(images, labels, class_names, ())
