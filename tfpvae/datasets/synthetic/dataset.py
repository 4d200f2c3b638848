"""What every drawn data set is: classes taking turns, and a random stream for each picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfpvae import _checks
from tfpvae.datasets.decoding import check_image_shape
from tfpvae.datasets.pictures import Pictures
from tfpvae.datasets.synthetic.canvas import Array, Rng

Draw = Callable[[int, tuple[int, int, int], Rng], Array]


def draw_pictures(
    draw: Draw,
    class_names: tuple[str, ...],
    num_images: int,
    image_shape: tuple[int, int, int],
    seed: int,
) -> Pictures:
    """Pictures drawn by `draw(label, image_shape, rng)`, the classes taking turns.

    Picture i depends on the seed, i and the shape alone, not on how many are drawn.

    Args:
        draw: function to one uint8 image [height, width, channels].
        class_names: one for each label.
        num_images: how many, >= 1.
        image_shape: (height, width, channels), channels 1 (grey) or 3 (RGB).
        seed: integer >= 0.

    Returns:
        `Pictures` with uint8 images [num_images, height, width, channels], int32
        labels (i modulo the number of classes), the class names and no paths.

    Raises:
        TypeError: if num_images or seed is no integer.
        ValueError: if an argument is out of its range.

    >>> dark = draw_pictures(lambda label, shape, rng: np.zeros(shape), ("a", "b"), 3, (4, 4, 1), 0)
    >>> dark.images.shape, dark.labels.tolist()
    ((3, 4, 4, 1), [0, 1, 0])
    """
    _checks.whole_number("num_images", num_images)
    check_image_shape(image_shape)
    _checks.whole_number("seed", seed, minimum=0)
    labels = np.arange(num_images, dtype=np.int32) % len(class_names)
    images = np.empty((num_images, *image_shape), np.uint8)
    for index, label in enumerate(labels):
        # One child stream a picture makes it independent of those before it.
        stream = np.random.SeedSequence(seed, spawn_key=(index,))
        images[index] = draw(int(label), image_shape, np.random.Generator(np.random.PCG64(stream)))
    return Pictures(images, labels, class_names, ())
