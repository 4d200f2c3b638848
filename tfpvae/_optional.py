"""What to do where a dependency is missing: the first minute's message."""

import importlib.metadata
import re
import sys

# What is imported, and the package that brings it.
_PACKAGES = {
    "PIL": "pillow",
    "distutils": "setuptools",
    "numpy": "numpy",
    "tensorflow": "tensorflow",
    "tensorflow_probability": "tensorflow-probability",
    "tf_keras": "tf-keras",
}


_HINTS = {
    "distutils": "TensorFlow Probability imports it, and Python has none since 3.12.",
    "tensorflow": "TensorFlow has wheels for Python 3.10 to 3.13; this is Python {python}.",
    "tf_keras": "It is Keras 2, on which TensorFlow Probability runs; `keras` itself is Keras 3.",
}


def message(module: str | None) -> str | None:
    """Returns what is missing and the command that installs it; None for a module not of ours.

    >>> print(message("PIL").split(". ")[0])
    PIL: wanted it installed, got none
    """
    if module not in _PACKAGES:
        return None
    python = ".".join(map(str, sys.version_info[:3]))
    hint = _HINTS.get(module, "").format(python=python)
    command = f'python -m pip install "{_requirement(_PACKAGES[module])}"'
    return f"{module}: wanted it installed, got none. {command}  {hint}".rstrip()


def _requirement(package: str) -> str:
    """Returns a package with the versions that tfpvae asks for, where they are known."""
    try:
        wanted = importlib.metadata.requires("tfpvae") or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        wanted = []
    requirements = (line.partition(";")[0].strip() for line in wanted)
    return next((r for r in requirements if re.split(r"[^\w.-]", r)[0] == package), package)
