"""Tests of the canvas: its coordinates, curves and light."""

import numpy as np
import pytest
from PIL import Image

from tfpvae.datasets.synthetic.canvas import Canvas, bezier, direction, rotation


def canvas_of(width=40, height=20, angle=-1.2):
    picture = Image.new("RGB", (width, height))
    return picture, Canvas.over(picture, direction(angle))


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.5])
def test_rotations_are_orthogonal(angle):
    np.testing.assert_allclose(rotation(angle) @ rotation(angle).T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(rotation(angle) @ [1, 0], direction(angle))


def test_bezier_curve_starts_and_ends_at_its_points():
    points = [[0, 0], [1, 2], [3, 1]]
    curve, normals = bezier(points, np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(curve, [points[0], points[2]])
    slopes = np.array([[1, 2], [2, -1]])  # toward the control point, and away from it
    np.testing.assert_allclose((normals * slopes).sum(1), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)


def test_moves_compose():
    _, canvas = canvas_of()
    first, second = ([0.2, -0.1], 0.5 * rotation(0.3)), ([0.4, 0.6], rotation(-1.1))
    moved = canvas.moved(*first).moved(*second)
    point = np.array([0.3, 0.8])
    inner = first[0] + first[1] @ (second[0] + second[1] @ point)
    pixel = canvas.origin + canvas.matrix @ inner
    np.testing.assert_allclose(moved.origin + moved.matrix @ point, pixel)


def test_light_is_brightest_toward_the_light():
    canvas = canvas_of()[1].moved([0, 0], rotation(0.8) @ np.diag([1, 0.6]))
    toward = canvas.toward_light()
    assert np.linalg.norm(toward) == pytest.approx(1)
    assert canvas.light_on(toward) == pytest.approx(1.15)
    assert canvas.light_on(-toward) == pytest.approx(0.85)


def test_polygons_cover_those_before_them():
    picture, canvas = canvas_of()
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    canvas.paint(np.stack([square, square / 2]), [[200, 0, 0], [0, 0, 200]])
    assert picture.getpixel((20, 10)) == (0, 0, 200)
    assert picture.getpixel((12, 10)) == (200, 0, 0)
    assert picture.getpixel((2, 10)) == (0, 0, 0)
