"""Handwritten digits drawn from a seed, as a data set that needs no download.

The strokes of a digit fit into the box from -0.45 to 0.45 by -0.65 to 0.65 of a canvas. A round pen
writes them at four times the final size, and the picture is averaged down, so that its edges are
smooth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tfpvae.datasets.pictures import Pictures
from tfpvae.datasets.synthetic.canvas import Array, Canvas, Rng, bezier, direction, rotation
from tfpvae.datasets.synthetic.dataset import draw_pictures

_OVERSAMPLING = 4

Strokes = list[Array]  # the control points [K, 2] of each stroke


def draw_digits(
    num_images: int, *, image_shape: tuple[int, int, int] = (28, 28, 1), seed: int = 0
) -> Pictures:
    """Draws handwritten digits, 0 to 9 in turn, white on black as in MNIST.

    Their shape, slant, width, size, place and pen vary. Picture i depends on the seed, i and the
    image shape alone, not on the number of pictures.

    Args:
      num_images: number of pictures, at least 1.
      image_shape: (height, width, channels), channels 1 (gray) or 3 (RGB).
      seed: an int, at least 0.

    Returns:
      `Pictures` with uint8 images [num_images, H, W, C], int32 labels (i modulo 10), the class
      names "0" to "9" and no paths.

    Raises:
      TypeError: if `num_images` or `seed` is not an integer.
      ValueError: if an argument is out of its range.

    >>> digits = draw_digits(20)
    >>> digits.images.shape, digits.images.dtype.name
    ((20, 28, 28, 1), 'uint8')
    >>> [digits.class_names[label] for label in digits.labels[:3]]
    ['0', '1', '2']
    """
    return draw_pictures(_draw_digit, tuple("0123456789"), num_images, image_shape, seed)


def _draw_digit(label: int, image_shape: tuple[int, int, int], rng: Rng) -> Array:
    strokes = _WRITERS[label](rng)
    height, width, channels = image_shape
    picture = Image.new("RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    canvas = _posed(Canvas.over(picture, direction(0.0)), rng)
    pen = rng.uniform(0.055, 0.11)
    wobble = _wobble(rng)
    curves = [np.insert(s, 1, s.mean(0), 0) if len(s) == 2 else s for s in strokes]
    spots = np.concatenate([_spots_along(wobble(points), 0.4 * pen) for points in curves])
    spots -= spots.mean(0)  # as in MNIST, the center of mass is the center of the picture
    pressure = 1 + 0.15 * np.sin(spots @ rng.normal(0, 3, 2) + rng.uniform(0, 6.3))
    canvas.dots(spots, pen * pressure[:, None], np.full([len(spots), 3], 255))
    small = picture.reduce(_OVERSAMPLING)
    return np.asarray(small if channels == 3 else small.convert("L")).reshape(image_shape)


def _posed(canvas: Canvas, rng: Rng) -> Canvas:
    """Returns the canvas shifted, rotated, slanted and stretched at random."""
    slant = np.array([[1, rng.uniform(-0.42, 0.08)], [0, 1]])
    size = np.diag(rng.uniform(0.84, 1.04) * np.array([rng.uniform(0.85, 1.25), 1]))
    return canvas.moved(rng.normal(0, 0.035, 2), rotation(rng.normal(0, 0.06)) @ slant @ size)


def _wobble(rng: Rng) -> Callable[[Array], Array]:
    """Returns a function that shifts points by slow waves and keeps joined strokes joined."""
    pace, phase = rng.uniform(-4, 4, (2, 2)), rng.uniform(0, 6.3, 2)
    swing = rng.uniform(-0.085, 0.085, (2, 2))
    return lambda points: points + np.sin(points @ pace + phase) @ swing


def _spots_along(points: Array, step: float) -> Array:
    """Returns spots [S, 2] about a step apart on a smooth curve with at least 3 control points."""
    joints = (points[1:-2] + points[2:-1]) / 2
    starts, ends = np.concatenate([points[:1], joints]), np.concatenate([joints, points[-1:]])
    pieces = []
    for start, control, end in zip(starts, points[1:-1], ends, strict=True):
        length = np.hypot(*(control - start)) + np.hypot(*(end - control))
        t = np.linspace(0, 1, 2 + int(length / step))[:, None]
        pieces.append(bezier([start, control, end], t)[0])
    return np.concatenate(pieces)


def _arc(center: Any, radii: Any, start: float, end: float, num_points: int = 11) -> Array:
    """Returns control points of an elliptic arc between two angles in degrees, [K, 2]."""
    # The curve stays inside its control points by about this factor.
    outside = 1 / np.cos(np.radians(end - start) / (num_points - 1) / 2)
    around = direction(np.radians(np.linspace(start, end, num_points)))
    return center + outside * np.array(radii) * around


def _zero(rng: Rng) -> Strokes:
    start = rng.uniform(-100, -50)
    return [_arc([0, 0], [rng.uniform(0.3, 0.44), 0.62], start, start - rng.uniform(345, 385), 15)]


def _one(rng: Rng) -> Strokes:
    strokes = [np.array([[0.04, -0.62], [0, 0.62]])]
    kind = rng.random()
    if kind > 0.5:
        flag = [-rng.uniform(0.16, 0.3), -rng.uniform(0.3, 0.42)]
        strokes.append(np.array([flag, [-0.04, -0.5], [0.04, -0.62]]))
    if kind > 0.85:
        strokes.append(np.array([[-0.28, 0.62], [0.28, 0.61]]))
    return strokes


def _two(rng: Rng) -> Strokes:
    hook = [[-0.38, -rng.uniform(0.28, 0.42)], [-0.3, -0.66], [0.1, -0.76]]
    neck = [[0.46, -0.5], [0.34, -0.08], [0.0, 0.26]]
    if rng.random() < 0.4:  # a loop at the foot
        loop = [[-0.34, 0.66], [-0.5, 0.5], [-0.3, 0.32], [0.02, 0.5], [0.2, 0.66], [0.46, 0.5]]
        return [np.array(hook + neck + loop)]
    foot = [-0.4, 0.6]
    low = 0.6 + rng.uniform(-0.06, 0.06)
    return [np.array([*hook, *neck, foot]), np.array([foot, [0.05, 0.54], [0.44, low]])]


def _three(rng: Rng) -> Strokes:
    waist = np.array([rng.uniform(-0.12, 0.06), -0.06])
    if rng.random() < 0.2:  # with a flat top
        top = [np.array([[-0.32, -0.6], [0.34, -0.6]]), np.array([[0.34, -0.6], waist])]
    else:
        top = [np.array([[-0.34, -0.44], [-0.2, -0.7], [0.38, -0.76], [0.4, -0.1], waist])]
    low = rng.uniform(0.36, 0.5)
    bowl = [waist, [0.44, -0.14], [0.5, 0.62], [-0.12, 0.74], [-0.4, low]]
    return [*top, np.array(bowl)]


def _four(rng: Rng) -> Strokes:
    bar = rng.uniform(0.04, 0.2)
    corner, end = np.array([-0.4, bar]), np.array([0.42, bar - 0.02])
    if rng.random() < 0.65:  # open
        start = [-rng.uniform(0.26, 0.42), -0.6]
        stem = np.array([[rng.uniform(0.16, 0.3), -rng.uniform(0.3, 0.6)], [0.16, 0.65]])
    else:
        start = [0.16, -0.63]
        stem = np.array([start, [0.14, 0.65]])
    return [np.array([start, corner]), np.array([corner, end]), stem]


def _five(rng: Rng) -> Strokes:
    corner, waist = np.array([-0.24, -0.6]), np.array([-0.3, -0.08])
    bar = np.array([corner, [rng.uniform(0.28, 0.42), -rng.uniform(0.58, 0.66)]])
    low = rng.uniform(0.4, 0.54)
    bowl = [waist, [0.0, -0.26], [0.5, -0.16], [0.46, 0.7], [-0.12, 0.72], [-0.38, low]]
    return [bar, np.array([corner, waist]), np.array(bowl)]


def _six(rng: Rng) -> Strokes:
    top = [[rng.uniform(0.1, 0.34), -0.63], [-0.2, -0.46], [-0.38, 0.05]]
    loop = _arc([0, 0.3], [rng.uniform(0.3, 0.38), 0.32], 170, -170 - rng.uniform(0, 30), 11)
    return [np.concatenate([top, loop])]


def _seven(rng: Rng) -> Strokes:
    corner = np.array([0.38, -0.58])
    start = [-0.38, rng.uniform(-0.62, -0.52)]
    foot = [rng.uniform(-0.22, 0.02), rng.uniform(0.45, 0.58)]
    strokes = [np.array([start, corner]), np.array([corner, [0.06, -0.06], foot])]
    if rng.random() < 0.35:
        strokes.append(np.array([[-0.2, 0.04], [0.32, 0.0]]))
    return strokes


def _eight(rng: Rng) -> Strokes:
    turn = np.linspace(0, 2 * np.pi, 21) + rng.uniform(0.1, 0.8)
    wide = rng.uniform(0.28, 0.38)
    x, y = wide * np.sin(2 * turn), -0.66 * np.cos(turn)
    return [np.stack([x * (1.06 + 0.3 * y), y], 1)]


def _nine(rng: Rng) -> Strokes:
    wide = rng.uniform(0.28, 0.36)
    loop = _arc([0, -0.3], [wide, 0.31], -rng.uniform(20, 50), -350, 11)
    side = [wide + 0.01, -0.5]
    if rng.random() < 0.35:  # curled
        tail = [[wide + 0.02, 0.3], [0.2, 0.7], [-0.24, 0.62], [-0.32, rng.uniform(0.4, 0.5)]]
        return [loop, np.array([side, *tail])]
    return [
        loop,
        np.array([side, [wide - 0.04, 0.1], [rng.uniform(-0.04, 0.24), rng.uniform(0.5, 0.62)]]),
    ]


_WRITERS: tuple[Callable[[Rng], Strokes], ...] = (
    _zero,
    _one,
    _two,
    _three,
    _four,
    _five,
    _six,
    _seven,
    _eight,
    _nine,
)
