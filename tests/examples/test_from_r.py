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
# By a look for the files, not by an import of seconds. NumPy 2 can be imported from an old
# reticulate, which then takes no array of it.
REACHES = """
library(reticulate)
if (!py_numpy_available(TRUE)) stop("reticulate cannot use the NumPy there")
if (is.null(import("importlib.util")$find_spec("tfpvae"))) stop("tfpvae is not installed there")
"""
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
        assert f"{name}: loaded by another R" in done.stdout
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
    library(reticulate)
    tfpvae <- import("tfpvae")
    said <- function(expr) tryCatch({expr; cat("taken\\n")}, error = function(e) print(e))
    said(tfpvae$build_vae("dense", latent_dim = 10))
    said(tfpvae$build_vae("dense", image_shape = c(28, 28, 1)))
    digits <- tfpvae$datasets$draw_digits(20L)
    images <- digits$images / 255
    vae <- tfpvae$build_vae("dense", num_classes = 10L)
    vae$compile(run_eagerly = TRUE)
    fit <- function(x, y, ...) said(vae$fit(x, y, ..., verbose = 0))
    fit(images, digits$labels, epochs = 1)
    fit(images, digits$labels, batch_size = 10)
    fit(digits$images, digits$labels)
    fit(np_array(digits$images, "uint8"), digits$labels)
    fit(images[, , , 1], digits$labels)
    fit(images, digits$labels + 1L)
    fit(images, digits$labels + 0)
    fit(images, factor(digits$labels))
    fit(images, array(as.integer(factor(digits$labels)) - 1L), batch_size = 10L)
    said(vae$sample(2L, seed = 0, labels = 1L))
    # The same indices on both sides, and a table whose rows are images written row by row.
    third <- import("numpy")$take(images, 2L, axis = 0L)
    cat(all(c(third) == c(images[3, , , ])), "\\n")
    flowers <- tfpvae$datasets$draw_flowers(3L, image_shape = c(6L, 5L, 3L))$images
    table <- as.data.frame(import("numpy")$reshape(flowers, c(3L, 90L)))
    cat(all(aperm(array(t(as.matrix(table)), c(3, 5, 6, 3)), 4:1) == flowers), "\\n")
    """
    (tmp_path / "said.R").write_text(script)
    done = r("said.R", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = [
        "latent_dim: wanted a whole number, at least 1, got 10.0",
        "image_shape: wanted",
        "epochs: wanted a whole number, at least 1, got 1.0",
        "batch_size: wanted a whole number, at least 1, got 10.0",
        "x: wanted float pixels in [0, 1] or uint8 ones, got int32",
        "taken",
        "x: wanted images [B, 28, 28, 1], got shape (20, 28, 28)",
        "0 <= label < 10, got some from 1 to 10",
        "0 <= label < 10, got float64",
        "0 <= label < 10, got list",
        "taken",
        "seed: wanted None, an int or two of them, got 0.0",
        "TRUE",
        "TRUE",
    ]
    place = 0
    for text in expected:  # one after the other
        assert text in done.stdout[place:], done.stdout
        place = done.stdout.index(text, place) + len(text)
