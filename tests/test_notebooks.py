"""Each notebook agrees with its source, has no outputs, and runs, as does its source."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.examples.test_digits import write_idx
from tests.pairs import EVERY
from tests.test_readme import PYTHON, write_pictures
from tfpvae.datasets import draw_digits

ROOT = Path(__file__).parents[1]
SOURCES = sorted(ROOT.glob("notebooks/*.py"))
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
PICTURES = {"digits": 100, "flowers": 50, "likelihoods": 25}
# Graphs take longer to trace than a few steps to run.
EAGERLY = "import tfpvae, tensorflow as tf; tf.config.run_functions_eagerly(True)"
SETTINGS = r"^PICTURES, EPOCHS = \d+, \d+$"


def short(text: str, name: str) -> str:
    """Returns the text of a notebook with few pictures and one epoch."""
    shortened, count = re.subn(
        SETTINGS, f"PICTURES, EPOCHS = {PICTURES[name]}, 1", text, flags=re.M
    )
    assert count == 1
    return shortened


def percent(cell: dict) -> Iterator[str]:
    """Yields the lines of a cell as in a source."""
    lines = "".join(cell["source"]).split("\n")
    if cell["cell_type"] == "markdown":
        yield "# %% [markdown]"
        yield from (f"# {line}".rstrip() for line in lines)
    else:
        yield "# %%"
        yield from (f"# {line}" if line.startswith("%") else line for line in lines)


def test_every_notebook_has_a_source():
    assert [path.stem for path in NOTEBOOKS] == [path.stem for path in SOURCES] == [*PICTURES]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_the_cells_of_its_source_and_no_outputs(path):
    notebook = json.loads(path.read_text())
    lines = [line for cell in notebook["cells"] for line in percent(cell)]
    source = path.with_suffix(".py").read_text()
    header, _, cells = source.partition("\n\n")
    assert [line for line in lines if line] == [line for line in cells.split("\n") if line]
    for value in notebook["metadata"]["kernelspec"].values():
        assert f": {value}\n" in header
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_agrees_with_jupytext(path):
    jupytext = pytest.importorskip("jupytext", reason="requires pip install '.[dev]'")
    text = jupytext.writes(jupytext.read(path.with_suffix(".py")), fmt="ipynb")
    expected, actual = json.loads(text), json.loads(path.read_text())
    for cell in [*expected["cells"], *actual["cells"]]:
        del cell["id"]  # which is random
    assert actual == expected


@pytest.mark.spread(1)
@pytest.mark.slow
@pytest.mark.eager
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_source_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = path.read_text()
    names = {"__name__": "notebook"}
    exec(compile(short(source, path.stem), path, "exec"), names)
    reports = names.get("reports") or {0: names["report"]}
    assert all(np.isfinite(report["log_likelihood"]["mean"]) for report in reports.values())
    if path.stem == "likelihoods":
        assert [row[-1] == "none" for row in names["rows"][1:]] == [True] + 4 * [False]
    # The Python in its text, for custom data.
    write_pictures(tmp_path / "my_pictures", size=(50, 36))
    (tmp_path / "mnist_files").mkdir()
    for part in ("train", "t10k"):
        drawn = draw_digits(20)
        write_idx(tmp_path / "mnist_files", f"{part}-images-idx3-ubyte", drawn.images[..., 0])
        write_idx(
            tmp_path / "mnist_files", f"{part}-labels-idx1-ubyte", drawn.labels.astype(np.uint8)
        )
    for block in re.findall(PYTHON, re.sub("^# ?", "", source, flags=re.M), re.DOTALL):
        exec(block, names)
        assert len(names["test"]) > 1
        assert names["train"].shape[1:] == names["vae"].image_shape


@pytest.mark.slow
# The code of all of them runs above; one shows that Jupyter displays what it returns.
@pytest.mark.parametrize("path", NOTEBOOKS if EVERY else NOTEBOOKS[:1], ids=lambda path: path.stem)
def test_a_notebook_runs_in_jupyter(path, tmp_path, monkeypatch):
    reason = "requires pip install '.[dev]'"
    nbformat = pytest.importorskip("nbformat", reason=reason)
    nbclient = pytest.importorskip("nbclient", reason=reason)
    pytest.importorskip("ipykernel", reason=reason)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")  # imports TensorFlow sooner, as the examples do
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code[0].source = short(code[0].source, path.stem)
    if not EVERY:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(EAGERLY))
    resources = {"metadata": {"path": tmp_path}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    drawing = [cell for cell in code if cell.source.split("\n")[-1].startswith("figures.")]
    assert len(drawing) > 3
    for cell in drawing:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs)
