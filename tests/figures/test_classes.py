"""The classes' colours stay apart for all readers, and labels that name no class are refused."""

from itertools import combinations

import numpy as np
import pytest

from tfpvae import figures
from tfpvae.figures import classes

# How linear RGB looks without one kind of cone: Machado, Oliveira and Fernandes (2009), severity 1.
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


def _oklab(colours, sight: str) -> np.ndarray:
    """The colours, [N, 3], in a space where distances are about as large as they look (OKLab)."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours])
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
def test_colours_are_told_apart(sight):
    # Without green cones matplotlib's own ten come as near as 0.03, as a check of this measure.
    usual = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"]
    usual += ["#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"]
    nearest = [
        min(np.linalg.norm(a - b) for a, b in combinations(_oklab(colours, sight), 2))
        for colours in (classes.COLOURS, usual)
    ]
    assert nearest[0] > 0.12 and len(classes.COLOURS) == 10
    assert nearest[1] < (0.12 if sight == "normal" else 0.03)


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_are_told_from_the_paper(sight):
    white = _oklab(["#ffffff"], sight)
    assert np.linalg.norm(_oklab(classes.COLOURS, sight) - white, axis=1).min() > 0.12


def test_fifty_classes_differ_in_colour_or_marker():
    assert len({(classes.colour(label), classes.marker(label)) for label in range(50)}) == 50


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0] * 11, None, r"labels: wanted \[12\], one for each, got \[11\]"),
        (np.eye(12, dtype=int), None, r"labels: wanted \[12\], .*, got \[12, 12\]"),
        ([0.5] * 12, None, "labels: wanted whole numbers, got float64"),
        ([np.nan] * 12, None, "labels: wanted whole numbers, got float64"),
        ([True] * 12, None, "labels: wanted whole numbers, got bool"),
        (["rose"] * 12, None, "labels: wanted whole numbers, got <U4"),
        ([-1] * 12, None, "labels: wanted whole numbers of at least 0, got -1"),
        ([2] * 12, ["a", "b"], "labels: wanted whole numbers below 2, .*, got 2"),
        ([0] * 12, "ab", "class_names: wanted a list of names, got the text 'ab'"),
    ],
)
def test_labels_are_refused(labels, names, message):
    images, latents = np.zeros([12, 4, 4, 1]), np.zeros([12, 2])
    for draw in (
        lambda: figures.latent_scatter(latents, labels, class_names=names),
        lambda: figures.embeddings(images, latents, labels, class_names=names),
        lambda: figures.error_by_class(np.ones(12), labels, class_names=names),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            draw()
