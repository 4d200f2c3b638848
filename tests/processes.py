"""Runs modules of the tests in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The last keeps TensorFlow from importing Keras 3, which takes a quarter of the time of its import.
SETTINGS = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}


def run_module(name: str, *arguments: object, **settings: str) -> str:
    """Returns what `python -m name` with these arguments prints; fails with its errors.

    Args:
      name: of the module.
      *arguments: of its command line.
      **settings: environment variables of the process.
    """
    process = subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)],
        env={key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
        | SETTINGS
        | settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
