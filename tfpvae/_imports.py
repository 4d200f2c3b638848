"""Imports: TensorFlow without its start-up lines, and packages that may be missing."""

import contextlib
import importlib
import importlib.metadata
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ASKED = ("0", "1")

# "I0000 00:00:1795771081.127427   18257 port.cc:153] ...", until TensorFlow 2.18 with the date.
_LOG_LINE = re.compile(
    rb"[IWE]\d{4} [\d:.]+ +\d+ |\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
    rb"|WARNING: All log messages before absl::InitializeLog|To enable the following instructions: "
)

# Devices of NVIDIA's driver on Linux and in WSL.
_GPU = ("/dev/nvidiactl", "/dev/dxg")
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


def import_tensorflow() -> None:
    """Imports TensorFlow, unless a program has, without its start-up lines.

    The environment variable TF_CPP_MIN_LOG_LEVEL decides: 0 or 1 shows all lines. Otherwise those
    of the import are left out, and if the variable is not set it becomes 2, which logs errors, or 3
    on a machine without an NVIDIA GPU, where TensorFlow's search for one ends in an error.
    """
    if "tensorflow" in sys.modules:
        return
    has_gpu = any(map(os.path.exists, _GPU))
    level = os.environ.setdefault(_LEVEL, "2" if has_gpu else "3")
    with contextlib.nullcontext() if level in _ASKED else without_log_lines():
        import tensorflow  # noqa: F401


@contextlib.contextmanager
def without_log_lines() -> Iterator[None]:
    """Leaves out the log lines of C++ code from standard error; an exception brings them back.

    The code writes to file descriptor 2, past `sys.stderr`. Other lines appear at the end.
    """
    try:
        lines, screen = tempfile.TemporaryFile(), os.dup(2)  # noqa: SIM115
    except OSError:  # no standard error, or no folder for temporary files
        yield
        return
    has_failed = True
    os.dup2(lines.fileno(), 2)
    try:
        yield
        has_failed = False
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(screen, 2)
        lines.seek(0)
        shown = [line for line in lines if has_failed or not _LOG_LINE.match(line)]
        os.write(screen, b"".join(shown))
        os.close(screen)
        lines.close()


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
