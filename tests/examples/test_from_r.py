"""The example in R, where there is an R that reaches a Python with tfpvae; and its page."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.examples.running import EXAMPLES

PYTHON = os.environ.get("RETICULATE_PYTHON", sys.executable)
REACHES = "reticulate::import('numpy')$zeros(1L); reticulate::import('tfpvae')"
PAGE = (EXAMPLES.parent / "docs" / "howto" / "from_r.md").read_text()


def rscript(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["Rscript", *map(str, arguments)],
        env=os.environ | {"RETICULATE_PYTHON": PYTHON},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def r(tmp_path_factory):
    """Runs a script in a folder; skips where that is not to be had."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    here = tmp_path_factory.mktemp("reaches")
    done = rscript("-e", REACHES, cwd=here)
    if done.returncode:
        pytest.skip(f"R does not reach tfpvae in {PYTHON}: {done.stderr.strip()[-200:]}")
    return rscript


@pytest.mark.slow
def test_it_trains_draws_saves_and_is_loaded_by_another_r(r, tmp_path):
    done = r(EXAMPLES / "from_r.R", "out", "--smoke", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("digits", "flowers"):
        assert f"{name}: loaded in a new R" in done.stdout
        assert (tmp_path / "out" / name / "saved_model.pb").exists()
    for name in ("digits", "flowers", "history", "plane"):
        picture = np.asarray(Image.open(tmp_path / "out" / f"{name}.png").convert("RGB"))
        assert picture.std() > 5  # something is drawn


@pytest.mark.slow
def test_the_lines_of_the_page_run(r, tmp_path):
    (block,) = re.findall(r"```r\n(.*?)```", PAGE, re.DOTALL)
    block, changed = re.subn(r"2000L", "40L", block.replace("epochs = 10L", "epochs = 1L"))
    assert changed == 1
    (tmp_path / "page.R").write_text(block)
    done = r("page.R", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model" / "saved_model.pb").exists()


@pytest.mark.slow
def test_what_the_page_says_of_numbers_and_labels_is_what_happens(r, tmp_path):
    script = """
    tfpvae <- reticulate::import("tfpvae")
    said <- function(expr) tryCatch({expr; cat("taken\\n")}, error = function(e) print(e))
    digits <- tfpvae$datasets$draw_digits(20L)
    said(tfpvae$build_vae("dense", latent_dim = 10))
    said(tfpvae$build_vae("dense", image_shape = c(28, 28, 1)))
    vae <- tfpvae$build_vae("dense", num_classes = 10L)
    vae$compile(run_eagerly = TRUE)
    said(vae$fit(digits$images, digits$labels, verbose = 0L))
    images <- digits$images / 255
    said(vae$fit(images, digits$labels + 1L, verbose = 0L))
    said(vae$fit(images, factor(digits$labels), verbose = 0L))
    said(vae$fit(images, array(as.integer(factor(digits$labels)) - 1L), verbose = 0L))
    # The same indices on both sides.
    third <- reticulate::import("numpy")$take(images, 2L, axis = 0L)
    cat(all(c(third) == c(images[3, , , ])), "\\n")
    """
    (tmp_path / "said.R").write_text(script)
    done = r("said.R", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    wanted = [
        "latent_dim: wanted a whole number, at least 1, got 10.0",
        "image_shape: wanted",
        "x: wanted float pixels in [0, 1] or uint8 ones, got int32",
        "0 <= label < 10, got some from 1 to 10",
        "0 <= label < 10, got list",
        "taken",
        "TRUE",
    ]
    place = 0
    for text in wanted:  # one after the other
        assert text in done.stdout[place:], done.stdout
        place = done.stdout.index(text, place)
