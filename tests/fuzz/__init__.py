"""Inputs at random, the same in every run: what a user's program, a disk or a stranger might give.

A test tries a fixed number of them, times TFPVAE_FUZZ. Each follows from its number alone, so that
one that fails is tried again by that number.
"""

import os
import random

TIMES = int(os.environ.get("TFPVAE_FUZZ", "1"))


def numbered(kind: str, number: int) -> random.Random:
    """Returns what one input is drawn from."""
    return random.Random(f"{kind} {number}")
