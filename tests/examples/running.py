"""Runs examples in processes of their own, as a user does."""

import contextlib
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def start(example, folder, *arguments, without=()):
    """Starts an example in a folder, where the modules `without` cannot be imported."""
    site = folder / "site"
    site.mkdir()
    missing = [f"sys.modules[{name!r}] = None\n" for name in without]
    # To collect garbage would take a tenth of the time.
    lines = ["import gc, sys\n", "gc.disable()\n", *missing]
    (site / "sitecustomize.py").write_text("".join(lines))
    return subprocess.Popen(
        [sys.executable, EXAMPLES / f"{example}.py", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    stdout, stderr = process.communicate(timeout=600)
    # In a new environment Matplotlib reports once that it builds its font cache.
    lines = [line for line in stderr.splitlines() if "font cache" not in line]
    return SimpleNamespace(code=process.returncode, stdout=stdout, stderr=lines)


@contextlib.contextmanager
def imported(name: str) -> Iterator[ModuleType]:
    """Imports an example into this process, and removes it and its helpers in the end."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(EXAMPLES))
        for path in EXAMPLES.glob("*.py"):
            sys.modules.pop(path.stem, None)
