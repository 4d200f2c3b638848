"""Petals, leaves and stems on a canvas."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tfpvae.datasets.synthetic.canvas import Array, Canvas, bezier, direction, mix, rotation

_ALONG = (1 - np.cos(np.linspace(0, np.pi, 13))) / 2  # positions along a petal, dense at its ends


class Coats(NamedTuple):
    """Coats of paint on a petal, from the bottom to the top; the first one is its shadow.

    Attributes:
      scales: size along and across the petal, [L, 2] or [L, 1].
      mixes: color between the inner one, 0, and the outer one, 1, [L].
      tones: factors of the color, [L].
      alphas: opacity from 0 to 255, L of them.

    >>> shadow_and_petal = Coats(np.ones([2, 1]), np.zeros(2), np.array([0.3, 1]), [50, 255])
    >>> shadow_and_petal.alphas
    [50, 255]
    """

    scales: np.ndarray
    mixes: np.ndarray
    tones: np.ndarray
    alphas: list[int]


def gradient_coats(steps: int = 5, shadow: int = 50, vein: int = 0) -> Coats:
    """Returns coats that make a gradient along the petal.

    Args:
      steps: number of colors in the gradient.
      shadow: opacity of the shadow, 0 to 255.
      vein: opacity of a darker vein, 0 to 255; 0 leaves it out.

    Returns:
      The coats: a shadow, the steps and, with an opacity above 0, the vein.

    >>> gradient_coats(3, vein=40).alphas
    [50, 255, 255, 255, 40]
    """
    s = np.linspace(1, 0.2, steps)
    scales = np.array([1.03, *s, 0.9])[:, None] * [1, 1]
    scales[-1, 1] = 0.12
    mixes, tones = np.array([0, *s, 0.5]), np.array([0.3, *np.ones(steps), 0.75])
    alphas = [shadow, *[255] * steps, vein]
    end = None if vein else -1
    return Coats(scales[:end], mixes[:end], tones[:end], alphas[:end])


def petal_outline(width: float, base: float, tip: float) -> Array:
    """Returns the outline of a petal from (0, 0) to (1, 0).

    Args:
      width: width of the petal where it is widest.
      base: exponent of the shape at (0, 0); about 0.4 is round, 1 is pointed.
      tip: the same at (1, 0).

    Returns:
      The corners of the outline, [K, 2].

    >>> outline = petal_outline(0.5, 0.4, 1.0)
    >>> outline.shape, outline.min(axis=0).tolist(), outline.max(axis=0).tolist()
    ((24, 2), [0.0, -0.25], [1.0, 0.25])
    """
    profile = _ALONG**base * (1 - _ALONG) ** tip
    upper = np.stack([_ALONG, profile / profile.max() * width / 2], 1)
    return np.concatenate([upper, (upper * [1, -1])[-2:0:-1]])


def paint_petals(
    canvas: Canvas,
    outlines: Array,
    angles: Array,
    lengths: Array,
    inner: Array,
    outer: Array,
    coats: Coats,
    roots: Any = (0, 0),
) -> None:
    """Paints P petals, each over those before it.

    Args:
      canvas: canvas to paint on.
      outlines: outline of all petals, [K, 2], or of each, [P, K, 2].
      angles: direction of each petal from its root, [P], in radians.
      lengths: length of each petal, [P].
      inner: RGB in [0, 255] at the roots, [3] or [P, 3].
      outer: RGB in [0, 255] at the tips, [3] or [P, 3].
      coats: coats of paint of each petal.
      roots: root of all petals, [2], or of each, [P, 2].

    >>> from PIL import Image
    >>> picture = Image.new("RGB", (40, 40))
    >>> canvas = Canvas.over(picture, light=direction(0.0))
    >>> red, outline = np.array([200.0, 0.0, 0.0]), petal_outline(0.8, 0.4, 0.4)
    >>> paint_petals(canvas, outline, np.zeros(1), np.ones(1), red, red, gradient_coats())
    >>> picture.getpixel((30, 20))[0] > 150, picture.getpixel((10, 20))
    (True, (0, 0, 0))
    """
    turns = lengths[:, None, None] * rotation(angles).swapaxes(1, 2)
    forms = np.expand_dims(outlines, -3) * coats.scales[:, None]
    shapes = forms @ turns[:, None] + np.reshape(roots, (-1, 1, 1, 2))
    shapes[:, 0] -= 0.025 * canvas.toward_light()  # the first coat is the shadow
    light = canvas.light_on(direction(angles))[:, None] * coats.tones
    mixed = mix(np.expand_dims(inner, -2), np.expand_dims(outer, -2), coats.mixes[:, None])
    colors = mixed * light[..., None]
    shapes = shapes.reshape(-1, *shapes.shape[-2:])
    canvas.paint(shapes, colors.reshape(-1, 3), coats.alphas * len(angles))


def paint_blade(
    canvas: Canvas, points: Any, width: float, color: Array, *, is_stem: bool = False
) -> None:
    """Paints a leaf or a stem along a curve; the half away from the light is darker.

    Args:
      canvas: canvas to paint on.
      points: start, control point and end of a quadratic Bezier curve, [3, 2].
      width: width of the stem, or about that of the leaf where it is widest.
      color: RGB in [0, 255], [3].
      is_stem: whether the width is the same all along.

    >>> from PIL import Image
    >>> picture = Image.new("RGB", (40, 40))
    >>> canvas = Canvas.over(picture, light=direction(0.0))
    >>> stem = [[0, 1], [0, 0], [0, -1]]
    >>> paint_blade(canvas, stem, 0.5, np.array([0.0, 100.0, 0.0]), is_stem=True)
    >>> picture.getpixel((23, 20))[1] > picture.getpixel((17, 20))[1] > 0
    True
    """
    t = np.linspace(0, 1, 18)[:, None]
    spine, normals = bezier(points, t)
    half = width / 2 if is_stem else width / 2 * (2.6 * t**0.6 * (1 - t) ** 0.8 + 0.1 * (1 - t))
    edge = half * normals * np.sign(normals[9] @ canvas.light)
    shapes = [np.concatenate([spine + k * edge, (spine + edge)[::-1]]) for k in (-1, -0.6, 0)]
    canvas.paint(np.stack(shapes), color * np.array([[0.8], [0.92], [1.12]]))
