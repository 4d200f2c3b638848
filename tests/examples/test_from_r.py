"""The example in R and its page; skipped without an R that can import tfpvae."""

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
# Looks for the files instead of importing tfpvae for seconds. An old reticulate imports NumPy 2 but
# cannot use its arrays.
FIND_TFPVAE = """
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
    """Returns `rscript`; skips the test if R or tfpvae is missing."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    folder = tmp_path_factory.mktemp("r")
    process = rscript("-e", FIND_TFPVAE, cwd=folder)
    if process.returncode:
        pytest.skip(f"R does not reach tfpvae in {PYTHON}: {process.stderr.strip()[-200:]}")
    return rscript


@pytest.mark.slow
def test_the_example_trains_draws_and_saves_models_that_another_r_loads(r, tmp_path):
    process = r(EXAMPLES / "from_r.R", "out", "--smoke", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    for name in ("digits", "flowers"):
        assert f"{name}: loaded by another R" in process.stdout
        assert (tmp_path / "out" / name / "saved_model.pb").exists()
    for name in ("digits", "flowers", "history", "plane"):
        picture = np.asarray(Image.open(tmp_path / "out" / f"{name}.png").convert("RGB"))
        assert picture.std() > 5  # not blank


@pytest.mark.slow
def test_the_code_of_the_page_runs(r, tmp_path):
    (block,) = re.findall(r"```r\n(.*?)```", PAGE, re.DOTALL)
    block, changed = re.subn(r"2000L", "40L", block.replace("epochs = 10L", "epochs = 1L"))
    assert changed == 1
    (tmp_path / "page.R").write_text(block)
    process = r("page.R", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "model" / "saved_model.pb").exists()


@pytest.mark.slow
def test_numbers_and_labels_are_taken_or_refused_as_the_page_says(r, tmp_path):
    script = """
    library(reticulate)
    tfpvae <- import("tfpvae")
    report <- function(expr) tryCatch({expr; cat("taken\\n")}, error = function(e) print(e))
    report(tfpvae$build_vae("dense", latent_dim = 10))
    report(tfpvae$build_vae("dense", image_shape = c(28, 28, 1)))
    digits <- tfpvae$datasets$draw_digits(20L)
    images <- digits$images / 255
    vae <- tfpvae$build_vae("dense", num_classes = 10L)
    vae$compile(run_eagerly = TRUE)
    fit <- function(x, y, ...) report(vae$fit(x, y, ..., verbose = 0))
    fit(images, digits$labels, epochs = 1)
    fit(images, digits$labels, batch_size = 10)
    fit(digits$images, digits$labels)
    fit(np_array(digits$images, "uint8"), digits$labels)
    fit(images[, , , 1], digits$labels)
    fit(images, digits$labels + 1L)
    fit(images, digits$labels + 0)
    fit(images, factor(digits$labels))
    fit(images, array(as.integer(factor(digits$labels)) - 1L), batch_size = 10L)
    report(vae$sample(2L, seed = 0, labels = 1L))
    # The same indices on both sides, and a table whose rows are images written row by row.
    third <- import("numpy")$take(images, 2L, axis = 0L)
    cat(all(c(third) == c(images[3, , , ])), "\\n")
    flowers <- tfpvae$datasets$draw_flowers(3L, image_shape = c(6L, 5L, 3L))$images
    table <- as.data.frame(import("numpy")$reshape(flowers, c(3L, 90L)))
    cat(all(aperm(array(t(as.matrix(table)), c(3, 5, 6, 3)), 4:1) == flowers), "\\n")
    """
    (tmp_path / "report.R").write_text(script)
    process = r("report.R", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
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
    position = 0
    for text in expected:  # in this order
        assert text in process.stdout[position:], process.stdout
        position = process.stdout.index(text, position) + len(text)
