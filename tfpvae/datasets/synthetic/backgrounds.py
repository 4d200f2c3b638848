"""What lies behind a drawn flower, and the light over the whole picture.

Painted at the final size: neither has edges to smooth.
"""

from __future__ import annotations

import numpy as np

from tfpvae.datasets.synthetic.canvas import Array, Rng, mix, pick


def _grid(height: int, width: int) -> tuple[Array, Array]:
    """Flower coordinates of the pixels: y [H, 1] and x [1, W]."""
    half = min(height, width) / 2
    y = (np.arange(height)[:, None] + 0.5 - height / 2) / half
    x = (np.arange(width)[None, :] + 0.5 - width / 2) / half
    return y, x


def paint_ground(height: int, width: int, rng: Rng) -> Array:
    y, x = _grid(height, width)
    paint = (_sky, _meadow, _bokeh, _studio)[rng.integers(4)]
    return paint(y, x, rng)


def _fade(y: Array, x: Array, top: Array, low: Array) -> Array:
    """From the top colour to the low one, [H, W, 3]."""
    return mix(top, low, np.clip((y + 0 * x)[..., None] / 2 + 0.5, 0, 1))


def _spot(y: Array, x: Array, rng: Rng, size: float) -> Array:
    """A soft spot [H, W, 1] somewhere."""
    down, right = rng.uniform(-1.1, 1.1, 2)
    spot = np.exp(-(((y - down) / size) ** 2)) * np.exp(-(((x - right) / size) ** 2))
    return spot[..., None]


def _glaze(ground: Array, colour: Array, weight: Array) -> None:
    """Blends a colour into the ground, in place."""
    ground += weight * (colour - ground)


def _sky(y: Array, x: Array, rng: Rng) -> Array:
    top = pick(rng, [(84, 146, 214), (110, 170, 226), (150, 150, 210)])
    low = pick(rng, [(206, 228, 244), (250, 224, 206), (226, 236, 246)])
    sky = _fade(y, x, top, low)
    for size in rng.uniform(0.25, 0.5, 4):
        _glaze(sky, np.array([252, 250, 248]), 0.55 * _spot(y * 1.8, x, rng, size))
    return sky


def _meadow(y: Array, x: Array, rng: Rng) -> Array:
    far = pick(rng, [(168, 204, 120), (190, 214, 150), (140, 190, 120)])
    near = pick(rng, [(58, 112, 50), (74, 128, 54), (44, 98, 56)])
    meadow = _fade(y, x, far, near)
    for size in rng.uniform(0.12, 0.35, 8):
        tint = pick(rng, [(110, 170, 70), (40, 90, 44), (230, 220, 120), (220, 150, 190)])
        _glaze(meadow, tint, 0.5 * _spot(y, x, rng, size))
    return meadow


def _bokeh(y: Array, x: Array, rng: Rng) -> Array:
    dark = pick(rng, [(34, 60, 44), (40, 44, 70), (66, 44, 60), (52, 70, 50)])
    night = _fade(y, x, dark * 1.5, dark)
    for size in rng.uniform(0.12, 0.32, 7):
        down, right = rng.uniform(-1.1, 1.1, 2)
        distance = np.sqrt((y - down) ** 2 + (x - right) ** 2)
        disc = np.clip((size - distance) / 0.06 + 0.5, 0, 1)[..., None]
        glow = pick(rng, [(250, 226, 150), (170, 220, 150), (240, 170, 180), (170, 200, 240)])
        _glaze(night, glow, rng.uniform(0.12, 0.4) * disc)
    return night


def _studio(y: Array, x: Array, rng: Rng) -> Array:
    colours = [(236, 226, 212), (214, 226, 232), (60, 62, 74), (232, 210, 216), (150, 170, 160)]
    return pick(rng, colours) * (0.72 + 0.36 * _spot(y, x, rng, 1.1))


def light_field(height: int, width: int, light: Array, rng: Rng) -> Array:
    """Factors [H, W, 3]: brighter towards the light, dim in the corners, warm or cool."""
    y, x = _grid(height, width)
    slope = 1 + rng.uniform(0.04, 0.14) * (x * light[0] + y * light[1])
    vignette = 1 - rng.uniform(0, 0.16) * (x**2 + y**2) / 2
    warmth = rng.normal(0, 0.04)
    tint = rng.uniform(0.93, 1.07) * np.array([1 + warmth, 1, 1 - warmth])
    return (slope * vignette)[..., None] * tint
