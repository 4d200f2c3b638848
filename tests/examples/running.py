"""Examples in processes of their own, as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def start(example, folder, *arguments, without=()):
    """Starts an example in a folder; modules `without` are missing there."""
    poison = folder / "poison"
    poison.mkdir()
    missing = [f"sys.modules[{name!r}] = None\n" for name in without]
    (poison / "sitecustomize.py").write_text("import sys\n" + "".join(missing))
    return subprocess.Popen(
        [sys.executable, EXAMPLES / f"{example}.py", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{poison}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    stdout, stderr = process.communicate(timeout=600)
    # Matplotlib may say once, in a new environment, that it collects the fonts.
    lines = [line for line in stderr.splitlines() if "font cache" not in line]
    return SimpleNamespace(code=process.returncode, stdout=stdout, stderr=lines)
