"""The README's Python runs as it stands there, one block after the other in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tfpvae.datasets import draw_flowers

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_readme_runs(tmp_path):
    (tmp_path / "pictures").mkdir()
    for i, image in enumerate(draw_flowers(30).images):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{i}.png")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("reconstructions.png", "samples.png"):
        Image.open(tmp_path / name).verify()
    plain, ours = re.findall(r"KL ([\d.]+), in the loss ([\d.]+)", done.stdout)
    assert float(plain[1]) == pytest.approx(2 * float(plain[0]), rel=2e-3)
    assert float(ours[1]) == pytest.approx(float(ours[0]), rel=2e-3)
    assert done.stdout.count("cannot be saved") == 1 and "saved, and loaded" in done.stdout


def test_the_readme_has_the_two_commands_on_a_line_each():
    lines = [line.strip() for line in (ROOT / "README.md").read_text().splitlines()]
    assert sum("examples/flowers.py" in line and "pip install" in line for line in lines) == 1
    assert sum("-m pytest" in line for line in lines) == 1
