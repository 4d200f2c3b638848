"""What pictures are drawn with: colours, curves, petals, stems, light on surfaces.

A picture is drawn in its own coordinates: the origin is its middle, x runs right, y
down, and the frame's shorter side is 2 long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

Array = np.ndarray
Rng = np.random.Generator


def direction(angle: Any) -> Array:
    """Unit vectors [..., 2]."""
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def rotation(angle: Any) -> Array:
    return np.stack([direction(angle), direction(angle + np.pi / 2)], -1)


def mix(a: Array, b: Array, t: Any) -> Array:
    return a * (1 - t) + b * t


def to_bytes(values: Array) -> Array:
    return np.clip(values, 0, 255).astype(np.uint8)


def pick(rng: Rng, colours: Sequence[tuple[int, int, int]], jitter: float = 9) -> Array:
    return np.array(colours[int(rng.integers(len(colours)))]) + rng.normal(0, jitter, 3)


def petal_outline(width: float, base: float, tip: float) -> Array:
    """A petal [K, 2] from (0, 0) to (1, 0); exponents near 0.4 are round, 1 is pointed."""
    profile = _ALONG**base * (1 - _ALONG) ** tip
    upper = np.stack([_ALONG, profile / profile.max() * width / 2], 1)
    return np.concatenate([upper, (upper * [1, -1])[-2:0:-1]])


_ALONG = (1 - np.cos(np.linspace(0, np.pi, 13))) / 2
CIRCLE = direction(np.linspace(0, 2 * np.pi, 28, endpoint=False))


@dataclass
class Canvas:
    """Where flower coordinates fall on the picture, and where the light comes from."""

    opaque: ImageDraw.ImageDraw
    glaze: ImageDraw.ImageDraw  # blends with what lies below
    matrix: np.ndarray
    origin: np.ndarray
    light: np.ndarray

    @classmethod
    def over(cls, picture: Image.Image, light: Array) -> Canvas:
        middle = np.array(picture.size) / 2
        draws = ImageDraw.Draw(picture), ImageDraw.Draw(picture, "RGBA")
        return cls(*draws, np.eye(2) * middle.min(), middle, light)

    def moved(self, shift: Any, matrix: Array) -> Canvas:
        """A canvas for a part of the flower, with coordinates of its own."""
        origin = self.origin + self.matrix @ shift
        return replace(self, matrix=self.matrix @ matrix, origin=origin)

    def light_on(self, directions: Array) -> Array:
        """How bright surfaces are that lean towards these directions [..., 2]."""
        leaning = directions @ self.matrix.T
        return 1 + 0.15 * leaning @ self.light / np.linalg.norm(leaning, axis=-1)

    def toward_light(self) -> Array:
        """The unit vector [2] towards the light, in the coordinates of this canvas."""
        toward = np.linalg.solve(self.matrix, self.light)
        return toward / np.linalg.norm(toward)

    def paint(self, shapes: Any, colours: Any, alphas: Sequence[int] | None = None) -> None:
        """Polygons [S, K, 2], each over the one before; colours [S, 3], alphas [S]."""
        pixels = shapes @ self.matrix.T + self.origin
        inks = to_bytes(colours).tolist()
        alphas = [255] * len(inks) if alphas is None else alphas
        outlines = pixels.reshape(len(inks), -1).tolist()
        for points, ink, alpha in zip(outlines, inks, alphas, strict=True):
            draw = self.opaque if alpha == 255 else self.glaze
            draw.polygon(points, fill=(*ink, alpha))

    def ball(self, radius: float, colour: Array) -> None:
        """A dome at the origin, with the shadow it casts."""
        s = np.array([-0.1, 0, 0.2, 0.4, 0.6, 0.8, 1])[:, None]
        middles = 0.45 * radius * s * self.toward_light()
        shapes = middles[:, None] + radius * (1 - 0.8 * s[..., None]) * CIRCLE
        tones = np.where(s < 0, 0.3, 0.78 + 0.36 * s)
        self.paint(shapes, colour * tones, [90] + [255] * 6)

    def dots(self, spots: Array, size: Any, colours: Any) -> None:
        """Small discs at spots [S, 2], of one size or of their own [S, 1]."""
        pixels = spots @ self.matrix.T + self.origin
        radius = size * abs(np.linalg.det(self.matrix)) ** 0.5
        boxes = np.concatenate([pixels - radius, pixels + radius], 1).tolist()
        for box, ink in zip(boxes, to_bytes(colours).tolist(), strict=True):
            self.opaque.ellipse(box, fill=tuple(ink))


class Coats(NamedTuple):
    """How a petal is painted, coat over coat [L]; the first one is its shadow."""

    scales: np.ndarray  # [L, 2], along and across the petal
    mixes: np.ndarray  # from the inner (0) to the outer (1) colour
    tones: np.ndarray  # factors of the colour
    alphas: list[int]


def gradient_coats(steps: int = 5, shadow: int = 50, vein: int = 0) -> Coats:
    """A gradient along the petal, and a darker vein unless its alpha is 0."""
    s = np.linspace(1, 0.2, steps)
    scales = np.array([1.03, *s, 0.9])[:, None] * [1, 1]
    scales[-1, 1] = 0.12
    mixes, tones = np.array([0, *s, 0.5]), np.array([0.3, *np.ones(steps), 0.75])
    alphas = [shadow, *[255] * steps, vein]
    end = None if vein else -1
    return Coats(scales[:end], mixes[:end], tones[:end], alphas[:end])


def petals(
    canvas: Canvas,
    outlines: Array,
    angles: Array,
    lengths: Array,
    inner: Array,
    outer: Array,
    coats: Coats,
    roots: Any = (0, 0),
) -> None:
    """Petals [P] outwards from their roots; colours [3] or [P, 3], outlines [.., K, 2]."""
    turns = lengths[:, None, None] * rotation(angles).swapaxes(1, 2)
    forms = np.expand_dims(outlines, -3) * coats.scales[:, None]
    shapes = forms @ turns[:, None] + np.reshape(roots, (-1, 1, 1, 2))
    shapes[:, 0] -= 0.025 * canvas.toward_light()  # where the shadow falls
    light = canvas.light_on(direction(angles))[:, None] * coats.tones
    mixed = mix(np.expand_dims(inner, -2), np.expand_dims(outer, -2), coats.mixes[:, None])
    colours = mixed * light[..., None]
    shapes = shapes.reshape(-1, *shapes.shape[-2:])
    canvas.paint(shapes, colours.reshape(-1, 3), coats.alphas * len(angles))


def bezier(points: Any, t: Array) -> tuple[Array, Array]:
    """Points and unit normals [T, 2] of a quadratic Bezier curve."""
    a, b, c = np.array(points)
    curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
    slope = (1 - t) * (b - a) + t * (c - b)
    normals = slope @ [[0, 1], [-1, 0]]
    return curve, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def blade(canvas: Canvas, points: Any, width: float, colour: Array, *, stem: bool = False) -> None:
    """A leaf or stem along a curve; the half away from the light lies in the shade."""
    t = np.linspace(0, 1, 18)[:, None]
    spine, normals = bezier(points, t)
    half = width / 2 if stem else width / 2 * (2.6 * t**0.6 * (1 - t) ** 0.8 + 0.1 * (1 - t))
    edge = half * normals * np.sign(normals[9] @ canvas.light)
    shapes = [np.concatenate([spine + k * edge, (spine + edge)[::-1]]) for k in (-1, -0.6, 0)]
    canvas.paint(np.stack(shapes), colour * np.array([[0.8], [0.92], [1.12]]))
