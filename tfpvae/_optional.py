"""Packages that may be missing: the command that installs them, and imports of the extras."""

import importlib
import importlib.metadata
import re
import sys
from typing import Any

# Modules that tfpvae cannot do without, and the packages that bring them.
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

# Modules that some functions need: the package of each, and the extra of tfpvae that installs it.
_EXTRAS = {
    "matplotlib": ("matplotlib", "figures"),
    "sklearn": ("scikit-learn", "figures"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "threadpoolctl": ("scikit-learn", "figures"),
}


def load(module: str, user: str) -> Any:
    """Imports a module of an extra package when a function first needs it.

    Args:
      module: name of the module, such as "sklearn.mixture".
      user: the function or class that needs it, for the message.

    Returns:
      The module.

    Raises:
      ImportError: if it cannot be imported; the message has the command that installs it.

    >>> load("json", "a function").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package, extra = _EXTRAS[module.partition(".")[0]]
        raise ImportError(
            f'{user}: wanted {package}, got none installed; pip install "tfpvae[{extra}]".'
        ) from error


def message(module: str | None) -> str | None:
    """Returns the message about a missing module and the command that installs it.

    Args:
      module: name of the module, or None where the import system names none.

    Returns:
      The message, or None for a module that tfpvae does not depend on.

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
    """Returns a package with the versions that tfpvae requires, if it is installed itself."""
    try:
        requirements = importlib.metadata.requires("tfpvae") or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        requirements = []
    lines = (line.partition(";")[0].strip() for line in requirements)
    return next((line for line in lines if re.split(r"[^\w.-]", line)[0] == package), package)
