"""Canvas with coordinates of its own, and the geometry and colors of what is drawn on it.

The origin is the center of the picture, x points right, y points down, and the shorter side of the
picture is 2 long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Array = np.ndarray
Rng = np.random.Generator


def direction(angle: Any) -> Array:
    """Returns the unit vectors [..., 2] of angles [...] in radians.

    >>> direction(0.0).tolist()
    [1.0, 0.0]
    """
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def rotation(angle: Any) -> Array:
    """Returns the rotation matrices [..., 2, 2] of angles [...] in radians.

    >>> np.round(rotation(np.pi / 2) @ [1, 0], 6).tolist()
    [0.0, 1.0]
    """
    return np.stack([direction(angle), direction(angle + np.pi / 2)], -1)


def bezier(points: Any, t: Array) -> tuple[Array, Array]:
    """Evaluates a quadratic Bezier curve.

    Args:
      points: start, control point and end, [3, 2].
      t: positions on the curve from 0 to 1, [T, 1].

    Returns:
      The points and the unit normals of the curve at the T positions, [T, 2] each.

    >>> curve, normals = bezier([[0, 0], [1, 0], [2, 0]], np.array([[0.0], [0.5]]))
    >>> curve.tolist(), np.abs(normals).tolist()
    ([[0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]])
    """
    a, b, c = np.array(points)
    curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
    slope = (1 - t) * (b - a) + t * (c - b)
    normals = slope @ [[0, 1], [-1, 0]]
    return curve, normals / np.linalg.norm(normals, axis=1, keepdims=True)


CIRCLE = direction(np.linspace(0, 2 * np.pi, 28, endpoint=False))


def mix(a: Array, b: Array, t: Any) -> Array:
    """Interpolates linearly from `a` at t = 0 to `b` at t = 1.

    >>> mix(np.array([0, 100]), np.array([100, 200]), 0.25).tolist()
    [25.0, 125.0]
    """
    return a * (1 - t) + b * t


def to_bytes(values: Array) -> Array:
    """Returns the values clipped to [0, 255] and truncated to uint8.

    >>> to_bytes(np.array([-3.0, 12.9, 300.0])).tolist()
    [0, 12, 255]
    """
    return np.clip(values, 0, 255).astype(np.uint8)


def pick(rng: Rng, colors: Sequence[tuple[int, int, int]], jitter: float = 9) -> Array:
    """Draws one of the colors and adds normal noise of standard deviation `jitter` to it.

    >>> pick(np.random.default_rng(0), [(250, 120, 30)], jitter=0).tolist()
    [250.0, 120.0, 30.0]
    """
    return np.array(colors[int(rng.integers(len(colors)))]) + rng.normal(0, jitter, 3)


@dataclass
class Canvas:
    """Drawing surface with coordinates of its own and one light source.

    Attributes:
      opaque: draws on the picture and covers what is below.
      translucent: draws on the same picture and blends with what is below.
      matrix: [2, 2], from canvas coordinates to pixels.
      origin: [2], the pixel at which the canvas has its origin.
      light: [2], unit vector toward the light, in pixels.

    >>> picture = Image.new("RGB", (40, 40))
    >>> canvas = Canvas.over(picture, light=direction(0.0))
    >>> canvas.paint([[[0, 0], [1, 0], [0, 1]]], [[250, 0, 0]])
    >>> picture.getpixel((25, 25)), picture.getpixel((10, 10))
    ((250, 0, 0), (0, 0, 0))
    """

    opaque: ImageDraw.ImageDraw
    translucent: ImageDraw.ImageDraw
    matrix: np.ndarray
    origin: np.ndarray
    light: np.ndarray

    @classmethod
    def over(cls, picture: Image.Image, light: Array) -> Canvas:
        """Returns the canvas of a whole picture.

        >>> canvas = Canvas.over(Image.new("RGB", (40, 20)), light=direction(0.0))
        >>> canvas.matrix.tolist(), canvas.origin.tolist()
        ([[10.0, 0.0], [0.0, 10.0]], [20.0, 10.0])
        """
        center = np.array(picture.size) / 2
        draws = ImageDraw.Draw(picture), ImageDraw.Draw(picture, "RGBA")
        return cls(*draws, np.eye(2) * center.min(), center, light)

    def moved(self, shift: Any, matrix: Array) -> Canvas:
        """Returns a canvas on the same picture, with its coordinates transformed and then shifted.

        >>> canvas = Canvas.over(Image.new("RGB", (40, 40)), light=direction(0.0))
        >>> canvas.moved([0.5, 0], rotation(0.1)).origin.tolist()
        [30.0, 20.0]
        """
        origin = self.origin + self.matrix @ shift
        return replace(self, matrix=self.matrix @ matrix, origin=origin)

    def light_on(self, directions: Array) -> Array:
        """Returns the brightness [...], about 1, of surfaces that face directions [..., 2].

        >>> canvas = Canvas.over(Image.new("RGB", (40, 40)), light=direction(0.0))
        >>> canvas.light_on(np.array([[1.0, 0.0], [-1.0, 0.0]])).tolist()
        [1.15, 0.85]
        """
        pixels = directions @ self.matrix.T
        return 1 + 0.15 * pixels @ self.light / np.linalg.norm(pixels, axis=-1)

    def toward_light(self) -> Array:
        """Returns the unit vector [2] toward the light in the coordinates of this canvas.

        >>> canvas = Canvas.over(Image.new("RGB", (40, 40)), light=direction(0.0))
        >>> np.abs(canvas.moved([0, 0], rotation(np.pi / 2)).toward_light()).round(6).tolist()
        [0.0, 1.0]
        """
        toward = np.linalg.solve(self.matrix, self.light)
        return toward / np.linalg.norm(toward)

    def paint(self, shapes: Any, colors: Any, alphas: Sequence[int] | None = None) -> None:
        """Paints polygons, each over those before it.

        Args:
          shapes: corners of the polygons, [S, K, 2].
          colors: RGB in [0, 255], [S, 3].
          alphas: opacity of each polygon from 0 to 255, S of them; None for opaque ones.

        >>> picture = Image.new("RGB", (40, 40))
        >>> canvas = Canvas.over(picture, light=direction(0.0))
        >>> canvas.paint(CIRCLE[None], [[200, 100, 50]], alphas=[128])
        >>> picture.getpixel((20, 20))
        (100, 50, 25)
        """
        pixels = shapes @ self.matrix.T + self.origin
        inks = to_bytes(colors).tolist()
        alphas = [255] * len(inks) if alphas is None else alphas
        outlines = pixels.reshape(len(inks), -1).tolist()
        for points, ink, alpha in zip(outlines, inks, alphas, strict=True):
            draw = self.opaque if alpha == 255 else self.translucent
            draw.polygon(points, fill=(*ink, alpha))

    def ball(self, radius: float, color: Array) -> None:
        """Paints a dome at the origin, with the shadow that it casts.

        >>> picture = Image.new("RGB", (40, 40))
        >>> Canvas.over(picture, light=direction(0.0)).ball(0.5, np.array([200, 200, 200]))
        >>> picture.getpixel((20, 20)) > picture.getpixel((11, 20)) > picture.getpixel((1, 20))
        True
        """
        s = np.array([-0.1, 0, 0.2, 0.4, 0.6, 0.8, 1])[:, None]
        centers = 0.45 * radius * s * self.toward_light()
        shapes = centers[:, None] + radius * (1 - 0.8 * s[..., None]) * CIRCLE
        tones = np.where(s < 0, 0.3, 0.78 + 0.36 * s)
        self.paint(shapes, color * tones, [90] + [255] * 6)

    def dots(self, spots: Array, size: Any, colors: Any) -> None:
        """Paints small discs.

        Args:
          spots: centers of the discs, [S, 2].
          size: their radius, one number or [S, 1].
          colors: RGB in [0, 255], [S, 3].

        >>> picture = Image.new("RGB", (40, 40))
        >>> canvas = Canvas.over(picture, light=direction(0.0))
        >>> canvas.dots(np.array([[0.5, 0.0]]), 0.1, [[0, 0, 255]])
        >>> picture.getpixel((30, 20)), picture.getpixel((20, 20))
        ((0, 0, 255), (0, 0, 0))
        """
        pixels = spots @ self.matrix.T + self.origin
        radius = size * abs(np.linalg.det(self.matrix)) ** 0.5
        boxes = np.concatenate([pixels - radius, pixels + radius], 1).tolist()
        for box, ink in zip(boxes, to_bytes(colors).tolist(), strict=True):
            self.opaque.ellipse(box, fill=tuple(ink))
