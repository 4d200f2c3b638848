"""Drawn flowers of six species, as a data set that needs no photographs.

A flower is painted on a canvas of four times the final size and averaged down, so that its edges
are smooth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tfpvae.datasets.pictures import Pictures
from tfpvae.datasets.synthetic.backgrounds import light_field, paint_background
from tfpvae.datasets.synthetic.canvas import (
    CIRCLE,
    Array,
    Canvas,
    Rng,
    bezier,
    direction,
    mix,
    pick,
    rotation,
    to_bytes,
)
from tfpvae.datasets.synthetic.dataset import draw_pictures
from tfpvae.datasets.synthetic.plants import (
    Coats,
    gradient_coats,
    paint_blade,
    paint_petals,
    petal_outline,
)

_OVERSAMPLING = 4
_STEM = np.array([78, 128, 58])
_POPPY_HEART = np.array([48, 14, 22])

# The petal of a rose curls: its rim is pale, its base is dark.
_ROSE_COATS = Coats(
    np.array([1.03, 1, 0.95, 0.88, 0.8, 0.71, 0.61])[:, None],
    np.array([0, 0.88, 1, 0.84, 0.63, 0.4, 0.1]),
    np.array([0.3, 1, 1, 1, 1, 1, 1]),
    [80, *[255] * 6],
)


def draw_flowers(
    num_images: int, *, image_shape: tuple[int, int, int] = (80, 80, 3), seed: int = 0
) -> Pictures:
    """Draws flowers of six species in turn, with varying shapes, poses, backgrounds and light.

    Picture i depends on the seed, i and the image shape alone, not on the number of pictures.

    Args:
      num_images: number of pictures, at least 1.
      image_shape: (height, width, channels), channels 1 (gray) or 3 (RGB).
      seed: an int, at least 0.

    Returns:
      `Pictures` with uint8 images [num_images, H, W, C], int32 labels (i modulo 6), the names of
      the species and no paths.

    Raises:
      TypeError: if `num_images` or `seed` is not an integer.
      ValueError: if an argument is out of its range.

    >>> flowers = draw_flowers(12, image_shape=(32, 32, 3))
    >>> flowers.images.shape, flowers.images.dtype.name
    ((12, 32, 32, 3), 'uint8')
    >>> flowers.class_names
    ('bluebell', 'daisy', 'poppy', 'rose', 'sunflower', 'tulip')
    """
    return draw_pictures(_draw_flower, tuple(SPECIES), num_images, image_shape, seed)


def _draw_flower(label: int, image_shape: tuple[int, int, int], rng: Rng) -> Array:
    paint_fn = [*SPECIES.values()][label]
    height, width, channels = image_shape
    large = (width * _OVERSAMPLING, height * _OVERSAMPLING)
    light = direction(rng.uniform(-2.6, -0.5))  # from above, left or right
    background = Image.fromarray(to_bytes(paint_background(height, width, rng)))
    # The mean of a repeated pixel is that pixel, so that the background does not change.
    picture = background.resize(large, Image.Resampling.NEAREST)
    paint_fn(Canvas.over(picture, light), rng)
    small = np.asarray(picture.reduce(_OVERSAMPLING))
    lit = Image.fromarray(to_bytes(small * light_field(height, width, light, rng)))
    return np.asarray(lit if channels == 3 else lit.convert("L")).reshape(image_shape)


def _head(
    canvas: Canvas, rng: Rng, *, tilt: float = 0.25, size: tuple[float, float] = (0.86, 0.98)
) -> Canvas:
    """Paints stem and leaves; returns the canvas of a head that is turned away a little."""
    center = rng.uniform(-0.09, 0.09, 2)
    foot = [rng.uniform(-0.4, 0.4), 1.7]
    green = _STEM + rng.normal(0, 9, 3)
    paint_blade(canvas, [foot, [center[0], 1.0], center], 0.11, green, is_stem=True)
    for side in (-1, 1):
        start = np.array([side * 0.03, rng.uniform(0.95, 1.1)])
        end = start + [side * rng.uniform(0.6, 0.95), -rng.uniform(0.25, 0.6)]
        bend = (start + end) / 2 + [0, -0.25]
        if rng.random() < 0.75:
            paint_blade(canvas, [start, bend, end], rng.uniform(0.2, 0.32), green * 0.9)
    axis = rotation(rng.uniform(0, np.pi))
    away = axis @ np.diag([1, 1 - rng.uniform(0, tilt)]) @ axis.T
    return canvas.moved(center, away @ rotation(rng.uniform(0, 6.3)) * rng.uniform(*size))


def _ring(
    canvas: Canvas,
    rng: Rng,
    count: int,
    outline: Array,
    length: float,
    inner: Array,
    outer: Array,
    coats: Coats,
    turn: float = 0.0,
) -> None:
    """Paints a ring of petals of slightly different angles, lengths and colors."""
    angles = turn + (rng.permutation(count) + rng.normal(0, 0.09, count)) * 2 * np.pi / count
    tones = rng.normal(1, 0.03, (count, 1))
    lengths = length * rng.normal(1, 0.035, count)
    paint_petals(canvas, outline, angles, lengths, inner * tones, outer * tones, coats)


def _florets(canvas: Canvas, rng: Rng, radius: float, count: int, color: Array) -> None:
    """Paints florets on the spiral of a sunflower: each a golden angle after the last."""
    k = np.arange(1, count + 1)
    spots = np.sqrt(k / count)[:, None] * direction(k * np.pi * (3 - 5**0.5))
    tones = (0.4 * canvas.light_on(spots) + 0.6) * rng.normal(1, 0.12, count)
    canvas.dots(radius * spots, 0.023, color * tones[:, None])


def _daisy(canvas: Canvas, rng: Rng) -> None:
    head = _head(canvas, rng)
    white = pick(rng, [(250, 248, 244), (250, 248, 244), (246, 206, 224), (222, 208, 246)], 4)
    inner = mix(white, pick(rng, [(226, 216, 170), (222, 150, 180), (190, 190, 220)]), 0.6)
    outline = petal_outline(rng.uniform(0.2, 0.27), 0.55, rng.uniform(0.28, 0.42))
    count = int(rng.integers(12, 18))
    _ring(head, rng, count, outline, 0.96, inner * 0.86, white * 0.9, gradient_coats(4))
    _ring(head, rng, count, outline, 0.88, inner, white, gradient_coats(vein=40), np.pi / count)
    yellow = pick(rng, [(246, 196, 40), (240, 176, 30)], 6)
    radius = rng.uniform(0.24, 0.31)
    head.ball(radius, yellow)
    _florets(head, rng, radius * 0.92, 40, yellow * 1.06)


def _sunflower(canvas: Canvas, rng: Rng) -> None:
    head = _head(canvas, rng, size=(0.9, 1.0))
    gold = pick(rng, [(252, 200, 30), (250, 184, 24), (246, 214, 60)], 6)
    inner = mix(gold, np.array([226, 110, 10]), rng.uniform(0.5, 0.9))
    outline = petal_outline(rng.uniform(0.24, 0.3), 0.75, rng.uniform(0.75, 1.0))
    count = int(rng.integers(15, 20))
    _ring(head, rng, count, outline, 1.0, inner * 0.8, gold * 0.86, gradient_coats(4))
    _ring(head, rng, count, outline, 0.92, inner, gold, gradient_coats(vein=60), np.pi / count)
    brown = pick(rng, [(92, 54, 24), (70, 42, 26), (110, 66, 24)], 5)
    radius = rng.uniform(0.4, 0.48)
    head.ball(radius, brown)
    _florets(head, rng, radius * 0.97, 70, mix(brown, gold, 0.32))
    _florets(head, rng, radius * 0.45, 22, brown * 0.6)


def _poppy(canvas: Canvas, rng: Rng) -> None:
    head = _head(canvas, rng, tilt=0.3)
    red = pick(rng, [(226, 44, 28), (236, 70, 34), (214, 34, 46), (250, 128, 48)], 6)
    turn = rng.uniform(0, 6)
    for k in range(6):  # three petals at the back, three in front
        front = k // 3
        angle = turn + (k + front / 2 + rng.normal(0, 0.05)) * 2 * np.pi / 3
        _poppy_petal(head, rng, angle, 0.98 - 0.14 * front, red * (0.86 + 0.14 * front))
    spots = rng.uniform(0.18, 0.32, (34, 1)) * direction(rng.uniform(0, 2 * np.pi, 34))
    head.dots(spots, 0.022, mix(_POPPY_HEART, np.array([96, 74, 86]), rng.random((34, 1))))
    head.ball(0.15, pick(rng, [(150, 170, 96), (120, 140, 90)]))
    rays = 0.13 * petal_outline(0.18, 0.5, 0.5) @ rotation(np.arange(8) * np.pi / 4)
    head.paint(rays, [_POPPY_HEART] * 8, [120] * 8)


def _poppy_petal(canvas: Canvas, rng: Rng, angle: Any, length: float, red: Array) -> None:
    outline = petal_outline(rng.uniform(1.25, 1.4), 0.6, 0.3)
    wave = np.sin(np.linspace(0, 2 * np.pi, len(outline)) * rng.integers(5, 8))
    outline *= 1 + rng.uniform(0.015, 0.035) * wave[:, None]
    size = np.array([length])
    paint_petals(
        canvas, outline, np.array([angle]), size, red * 0.62, red * 1.08, gradient_coats(6, 70)
    )
    creases = rotation(angle + rng.uniform(-0.45, 0.45, 4)).swapaxes(1, 2)
    marks = 0.9 * length * petal_outline(0.03, 0.5, 0.5) @ creases
    blotch = rng.uniform(0.36, 0.44) * length * outline @ rotation(angle).T
    colors = [red * 0.5] * 4 + [_POPPY_HEART]
    canvas.paint(np.stack([*marks, blotch]), colors, [60] * 4 + [215])


def _rose(canvas: Canvas, rng: Rng) -> None:
    head = _head(canvas, rng, tilt=0.18)
    colors = [(224, 40, 62), (240, 128, 150), (252, 182, 136), (252, 222, 120), (250, 240, 232)]
    rim = pick(rng, colors, 6)
    # Red roses darken toward the center, pale ones turn pink.
    blush = mix(rim * 0.75, np.array([216, 80, 60]), 0.35)
    deep = rim * [0.45, 0.36, 0.42] if rim[1] < 100 else blush
    turn = rng.uniform(0, 6)
    for ring, length in enumerate((0.96, 0.8, 0.64, 0.49, 0.35, 0.23)):
        count = 5 if ring < 4 else 3
        outline = petal_outline(rng.uniform(1.2, 1.32), 0.5, 0.24)
        tint = rim * (1.04 - 0.03 * ring)
        _ring(head, rng, count, outline, length, deep, tint, _ROSE_COATS, turn + ring * 0.63)
    head.paint(CIRCLE * [[[0.1]], [[0.05]]], [deep * 0.8, mix(deep, rim, 0.5)])


def _tulip(canvas: Canvas, rng: Rng) -> None:
    base = rng.uniform([-0.1, 0.3], [0.1, 0.44])
    lean = rng.uniform(-0.2, 0.2)
    green = mix(_STEM, np.array([110, 160, 100]), rng.random()) + rng.normal(0, 6, 3)
    foot = [base[0] - lean * 2, 1.8]
    for side in rng.permutation([-1, 1]):
        end = [side * rng.uniform(0.65, 0.95), rng.uniform(-0.1, 0.4)]
        bend = [side * rng.uniform(0.25, 0.6), 0.95]
        paint_blade(canvas, [[foot[0], 1.5], bend, end], rng.uniform(0.26, 0.36), green * 0.9)
    paint_blade(canvas, [foot, [base[0], 1.0], base], 0.11, green, is_stem=True)
    cup = canvas.moved(base, rotation(lean - np.pi / 2) * rng.uniform(0.96, 1.12))
    colors = [(222, 36, 50), (248, 196, 40), (238, 120, 160), (140, 60, 150), (246, 130, 50)]
    color = pick(rng, [*colors, (246, 240, 228)])
    glow = mix(color, np.array([250, 226, 140]), rng.uniform(0.1, 0.5))
    outline = petal_outline(rng.uniform(0.56, 0.66), 0.42, rng.uniform(0.45, 0.85))
    # Two petals at the back, two at the sides, one in front.
    angles = np.array([-0.16, 0.16, -0.34, 0.34, 0]) * rng.uniform(0.7, 1.25)
    lengths = np.array([1.08, 1.06, 1.04, 1.04, 0.98])
    tones = np.array([[0.68], [0.72], [0.86], [0.9], [1.02]])
    paint_petals(
        cup, outline, angles, lengths, glow * tones, color * tones, gradient_coats(8, 80, vein=50)
    )


def _bluebell(canvas: Canvas, rng: Rng) -> None:
    mirror = np.diag([rng.choice([-1, 1]), 1])
    plant = canvas.moved(rng.uniform(-0.06, 0.06, 2), mirror @ rotation(rng.uniform(-0.12, 0.12)))
    green = _STEM + rng.normal(0, 9, 3)
    for reach in rng.uniform(-0.9, 0.9, 3):
        paint_blade(
            plant, [[-0.4, 1.6], [reach * 0.4 - 0.3, 0.6], [reach, -0.1]], 0.16, green * 0.85
        )
    stem = [[-0.55, 1.6], [-0.75, -1.45], [0.62, -0.62]]
    paint_blade(plant, stem, 0.07, green, is_stem=True)
    color = pick(rng, [(82, 92, 214), (110, 92, 222), (134, 110, 220), (196, 130, 206)])
    where = np.linspace(0.45, 1, rng.integers(4, 6))[:, None]
    for k, at in enumerate(bezier(stem, where)[0]):
        swing = rng.normal(0, 0.1) + (0.45 if k % 2 else -0.25) * (k < len(where) - 1)
        size = rng.uniform(0.56, 0.66) * (1.15 - 0.3 * where[k])
        _bell(plant.moved(at, rotation(swing) * size), color, green)


def _bell(canvas: Canvas, color: Array, green: Array) -> None:
    """Paints a hanging bell of length 1: a tube whose lip curls up."""
    paint_blade(canvas, [[0, 0], [0.02, 0.08], [0, 0.18]], 0.1, green, is_stem=True)
    t = np.linspace(0, 1, 12)
    half = 0.15 + 0.2 * np.sqrt(t) - 0.08 * t + 0.22 * t**5
    right = np.stack([half, 0.12 + 0.8 * t], 1)
    tube = np.concatenate([right * [-1, 1], right[::-1]])
    toward = canvas.toward_light()
    canvas.paint([tube * [1.05, 1.02] - 0.04 * toward], [color * 0.3], [80])
    s = np.linspace(1, 0.15, 7)[:, None]
    shift = 0.12 * np.sign(toward) * [1, 0] * (1 - s)
    shapes = tube * (s * [1, 0] + [0, 1])[:, None] + shift[:, None]
    canvas.paint(shapes, color * (1.3 - 0.55 * s))
    angles = np.array([0.35, np.pi - 0.35, np.pi / 2])
    roots = [[0.3, 0.86], [-0.3, 0.86], [0, 0.86]]
    lip, lengths = petal_outline(0.5, 0.4, 0.6), np.full(3, 0.27)
    paint_petals(canvas, lip, angles, lengths, color * 0.95, color * 1.32, gradient_coats(4), roots)


PaintFn = Callable[[Canvas, Rng], None]

SPECIES: dict[str, PaintFn] = {
    "bluebell": _bluebell,
    "daisy": _daisy,
    "poppy": _poppy,
    "rose": _rose,
    "sunflower": _sunflower,
    "tulip": _tulip,
}
