"""Tests of petals, leaves and stems."""

import numpy as np
import pytest
from PIL import Image

from tfpvae.datasets.synthetic.canvas import Canvas, direction
from tfpvae.datasets.synthetic.plants import (
    gradient_coats,
    paint_blade,
    paint_petals,
    petal_outline,
)


@pytest.mark.parametrize("width, base, tip", [(0.2, 0.4, 0.4), (1.3, 0.6, 0.3), (0.3, 0.75, 1.0)])
def test_petal_outlines_are_symmetric_and_of_the_given_width(width, base, tip):
    outline = petal_outline(width, base, tip)
    mirrored = outline[::-1] * [1, -1]
    np.testing.assert_allclose(np.roll(mirrored, 1, axis=0), outline, atol=1e-12)
    assert np.ptp(outline[:, 0]) == 1
    assert np.ptp(outline[:, 1]) == pytest.approx(width)


@pytest.mark.parametrize("vein", [0, 40])
def test_gradient_coats_have_one_entry_for_each_coat(vein):
    coats = gradient_coats(4, vein=vein)
    expected = 5 + (vein > 0)
    assert [len(part) for part in coats] == [expected] * 4
    assert coats.tones[0] == 0.3  # the shadow is dark


def painted_blade(width, is_stem):
    """Returns where a horizontal blade covers a picture, bool [200, 200]."""
    picture = Image.new("RGB", (200, 200))
    canvas, green = Canvas.over(picture, direction(-1.5)), np.array([0.0, 200.0, 0.0])
    paint_blade(canvas, [[-0.9, 0], [0, 0], [0.9, 0]], width, green, is_stem=is_stem)
    return np.asarray(picture)[..., 1] > 0


@pytest.mark.parametrize("width", [0.2, 0.4])
def test_stems_keep_their_width_and_leaves_end_in_a_point(width):
    stem, leaf = painted_blade(width, is_stem=True), painted_blade(width, is_stem=False)
    assert stem[:, 100].sum() == pytest.approx(100 * width, abs=2)
    assert stem[:, 185].sum() == stem[:, 100].sum()
    assert leaf[:, 185].sum() < 0.5 * leaf[:, 100].sum()


def test_petals_point_away_from_their_roots():
    picture = Image.new("RGB", (100, 100))
    canvas = Canvas.over(picture, direction(0.0))
    angles, color = np.array([0.0, np.pi / 2]), np.array([200.0, 200.0, 200.0])
    outline = petal_outline(0.5, 0.4, 0.4)
    paint_petals(canvas, outline, angles, np.full(2, 0.8), color, color, gradient_coats())
    bright = np.asarray(picture)[..., 0] > 100
    assert bright[50, 70] and bright[70, 50]
    assert not bright[50, 30] and not bright[30, 50]
