"""Runs modules of the tests in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def run_module(name: str, *arguments: object) -> str:
    """Returns what `python -m name` with these arguments prints; fails with its errors."""
    process = subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)],
        env={key: value for key, value in os.environ.items() if key != "TF_CONFIG"} | SETTINGS,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
