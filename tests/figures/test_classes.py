"""Tests of the colors and markers of classes."""

from itertools import combinations

import numpy as np
import pytest

from tfpvae.figures import classes

# Linear RGB as seen without one kind of cone: Machado, Oliveira and Fernandes (2009), severity 1.
SIGHTS = {
    "normal": np.eye(3),
    "no green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def _oklab(colors, sight: str) -> np.ndarray:
    """Returns the colors in OKLab, [N, 3], where distances are perceived differences."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(SIGHTS[sight]), 0, 1)
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.cbrt(seen @ np.transpose(cones)) @ np.transpose(lab)


@pytest.mark.parametrize("sight", SIGHTS)
def test_colors_are_distinguishable(sight):
    # Two of the ten colors of matplotlib are closer than 0.03 without green or red cones.
    tab10 = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"]
    tab10 += ["#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"]
    smallest = [
        min(np.linalg.norm(a - b) for a, b in combinations(_oklab(colors, sight), 2))
        for colors in (classes.COLORS, tab10)
    ]
    assert smallest[0] > 0.12 and len(classes.COLORS) == 10
    assert smallest[1] < (0.12 if sight == "normal" else 0.03)


@pytest.mark.parametrize("sight", SIGHTS)
def test_colors_differ_from_white(sight):
    white = _oklab(["#ffffff"], sight)
    assert np.linalg.norm(_oklab(classes.COLORS, sight) - white, axis=1).min() > 0.12


def test_fifty_classes_differ_in_color_or_marker():
    assert len({(classes.color(label), classes.marker(label)) for label in range(50)}) == 50
