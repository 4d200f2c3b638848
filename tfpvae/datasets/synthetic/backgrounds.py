"""Backgrounds of drawn flowers, and the light over a whole picture.

Both are painted at the final size, since they have no edges to smooth.
"""

from __future__ import annotations

import numpy as np

from tfpvae.datasets.synthetic.canvas import Array, Rng, mix, pick


def paint_background(height: int, width: int, rng: Rng) -> Array:
    """Draws a sky, a meadow, lights out of focus or a studio wall.

    Args:
      height: height of the picture in pixels.
      width: its width in pixels.
      rng: source of the kind, the colors and the places.

    Returns:
      RGB in about [0, 255] as floats, [H, W, 3].

    >>> paint_background(8, 6, np.random.default_rng(0)).shape
    (8, 6, 3)
    """
    y, x = _grid(height, width)
    paint_fn = (_sky, _meadow, _bokeh, _studio)[rng.integers(4)]
    return paint_fn(y, x, rng)


def light_field(height: int, width: int, light: Array, rng: Rng) -> Array:
    """Draws the light over a picture: brighter toward the light, dim in the corners, tinted.

    Args:
      height: height of the picture in pixels.
      width: its width in pixels.
      light: unit vector toward the light, [2].
      rng: source of the strengths and the tint.

    Returns:
      Factors of the RGB values, [H, W, 3].

    >>> factors = light_field(8, 8, np.array([1.0, 0.0]), np.random.default_rng(0))
    >>> factors.shape, bool((factors[:, -1] > factors[:, 0]).all())
    ((8, 8, 3), True)
    """
    y, x = _grid(height, width)
    slope = 1 + rng.uniform(0.04, 0.14) * (x * light[0] + y * light[1])
    vignette = 1 - rng.uniform(0, 0.16) * (x**2 + y**2) / 2
    warmth = rng.normal(0, 0.04)
    tint = rng.uniform(0.93, 1.07) * np.array([1 + warmth, 1, 1 - warmth])
    return (slope * vignette)[..., None] * tint


def _grid(height: int, width: int) -> tuple[Array, Array]:
    """Returns the canvas coordinates of the pixels, y [H, 1] and x [1, W]."""
    half = min(height, width) / 2
    y = (np.arange(height)[:, None] + 0.5 - height / 2) / half
    x = (np.arange(width)[None, :] + 0.5 - width / 2) / half
    return y, x


def _fade(y: Array, x: Array, top: Array, bottom: Array) -> Array:
    """Returns a vertical gradient between two colors, [H, W, 3]."""
    return mix(top, bottom, np.clip((y + 0 * x)[..., None] / 2 + 0.5, 0, 1))


def _spot(y: Array, x: Array, rng: Rng, size: float) -> Array:
    """Returns a soft spot at a random place, in [0, 1], [H, W, 1]."""
    down, right = rng.uniform(-1.1, 1.1, 2)
    spot = np.exp(-(((y - down) / size) ** 2)) * np.exp(-(((x - right) / size) ** 2))
    return spot[..., None]


def _blend(background: Array, color: Array, weight: Array) -> None:
    """Blends a color into the background, in place."""
    background += weight * (color - background)


def _sky(y: Array, x: Array, rng: Rng) -> Array:
    top = pick(rng, [(84, 146, 214), (110, 170, 226), (150, 150, 210)])
    bottom = pick(rng, [(206, 228, 244), (250, 224, 206), (226, 236, 246)])
    sky = _fade(y, x, top, bottom)
    for size in rng.uniform(0.25, 0.5, 4):
        _blend(sky, np.array([252, 250, 248]), 0.55 * _spot(y * 1.8, x, rng, size))
    return sky


def _meadow(y: Array, x: Array, rng: Rng) -> Array:
    far = pick(rng, [(168, 204, 120), (190, 214, 150), (140, 190, 120)])
    near = pick(rng, [(58, 112, 50), (74, 128, 54), (44, 98, 56)])
    meadow = _fade(y, x, far, near)
    for size in rng.uniform(0.12, 0.35, 8):
        tint = pick(rng, [(110, 170, 70), (40, 90, 44), (230, 220, 120), (220, 150, 190)])
        _blend(meadow, tint, 0.5 * _spot(y, x, rng, size))
    return meadow


def _bokeh(y: Array, x: Array, rng: Rng) -> Array:
    dark = pick(rng, [(34, 60, 44), (40, 44, 70), (66, 44, 60), (52, 70, 50)])
    night = _fade(y, x, dark * 1.5, dark)
    for size in rng.uniform(0.12, 0.32, 7):
        down, right = rng.uniform(-1.1, 1.1, 2)
        distance = np.sqrt((y - down) ** 2 + (x - right) ** 2)
        disc = np.clip((size - distance) / 0.06 + 0.5, 0, 1)[..., None]
        glow = pick(rng, [(250, 226, 150), (170, 220, 150), (240, 170, 180), (170, 200, 240)])
        _blend(night, glow, rng.uniform(0.12, 0.4) * disc)
    return night


def _studio(y: Array, x: Array, rng: Rng) -> Array:
    colors = [(236, 226, 212), (214, 226, 232), (60, 62, 74), (232, 210, 216), (150, 170, 160)]
    return pick(rng, colors) * (0.72 + 0.36 * _spot(y, x, rng, 1.1))
