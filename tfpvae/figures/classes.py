"""Color and marker of each class in a figure."""

from __future__ import annotations

# Ten colors that color-blind readers can tell apart; tests measure their distances.
COLORS = (
    "#5FA2CE",
    "#FC7D0B",
    "#332288",
    "#EECC66",
    "#BD1F01",
    "#92DADD",
    "#AA4499",
    "#000000",
    "#CC6677",
    "#785EF0",
)
MARKERS = ("o", "^", "s", "D", "v")  # one for every ten classes


def color(label: int) -> str:
    """Returns the color of a class; it repeats after ten classes.

    >>> color(3), color(13)
    ('#EECC66', '#EECC66')
    """
    return COLORS[label % len(COLORS)]


def marker(label: int) -> str:
    """Returns the marker of a class; it changes after ten classes and repeats after fifty.

    >>> marker(3), marker(13)
    ('o', '^')
    """
    return MARKERS[label // len(COLORS) % len(MARKERS)]
