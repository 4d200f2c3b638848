"""Says which Pythons there are, which pip says later or not at all; all else is in setup.cfg."""

import sys

from setuptools import setup

if not (3, 10) <= sys.version_info < (3, 14):
    version = ".".join(map(str, sys.version_info[:2]))
    sys.exit(
        f"tfpvae: wanted Python 3.10 to 3.13, for which TensorFlow has wheels, got {version}. "
        "Make the environment with one of these: python3.13 -m venv .venv"
    )

setup()
