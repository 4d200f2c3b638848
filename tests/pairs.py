"""Fewer combinations of test parameters: every pair of values instead of the full product."""

import itertools
import os
from collections.abc import Iterable

EVERY = bool(os.environ.get("TFPVAE_EVERY_COMBINATION"))  # takes more than half an hour


def pairwise(*axes: Iterable) -> list[tuple]:
    """Returns rows of one value per axis in which every pair of values of two axes occurs.

    With TFPVAE_EVERY_COMBINATION=1 in the environment, returns the full product.
    """
    axes = [list(axis) for axis in axes]
    rows = [*itertools.product(*(range(len(axis)) for axis in axes))]
    if not EVERY:
        rows = _covering(rows)
    return [tuple(axis[i] for axis, i in zip(axes, row, strict=True)) for row in rows]


def once(*axes: Iterable) -> list[tuple]:
    """Returns rows of one value per axis in which every value occurs: as many as the longest axis.

    For axes that the code treats apart, as a kind of layer and the format that it is saved in. With
    TFPVAE_EVERY_COMBINATION=1 in the environment, returns the full product.

    >>> once("abc", (1, 2))
    [('a', 1), ('b', 2), ('c', 1)]
    """
    axes = [list(axis) for axis in axes]
    if EVERY:
        return [*itertools.product(*axes)]
    return [tuple(axis[i % len(axis)] for axis in axes) for i in range(max(map(len, axes)))]


def spread(cases: list, number: int) -> list:
    """Returns as many cases, evenly spread from the first to the last; for the marker `spread`.

    >>> spread([*"abcdefg"], 3), spread([*"abc"], 1), spread([*"ab"], 5)
    (['a', 'd', 'g'], ['a'], ['a', 'b'])
    """
    places = {(len(cases) - 1) * i // max(number - 1, 1) for i in range(number)}
    return [cases[place] for place in sorted(places)]


def _covering(rows: list[tuple]) -> list[tuple]:
    """Chooses rows of positions greedily until no pair is missing.

    >>> _covering([*itertools.product((0, 1), repeat=3)])
    [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    """
    missing, chosen = set().union(*map(_pairs, rows)), []
    while missing:
        best = max(rows, key=lambda row: len(missing & _pairs(row)))
        chosen.append(best)
        missing -= _pairs(best)
    return chosen


def _pairs(row: tuple) -> set[tuple]:
    return set(itertools.combinations(enumerate(row), 2))
