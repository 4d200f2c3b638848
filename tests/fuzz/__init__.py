"""Random inputs, the same in every run: arguments, images, and damaged files.

A test tries a fixed number of inputs, times the environment variable TFPVAE_FUZZ. An input depends
only on its number, so that a failing one can be repeated.
"""

import os
import random

TIMES = int(os.environ.get("TFPVAE_FUZZ", "1"))


def numbered(kind: str, number: int) -> random.Random:
    """Returns the random generator of one input."""
    return random.Random(f"{kind} {number}")
