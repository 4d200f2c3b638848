"""The programs of docs/howto/logging.md run with the tools that are installed, and log the ELBO."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "logging.md"
SETUP, *PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
# The module that each program imports first, beside the standard library's.
TOOLS = ("wandb", "mlflow", "optuna", "keras_tuner")

# Warnings of the tools' own code are no errors here.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Returns a function that runs a tool's program in an empty folder and returns its names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")

    def run(tool: str) -> dict:
        pytest.importorskip(tool)
        names: dict = {"__name__": "page"}
        exec(compile(SETUP, PAGE, "exec"), names)
        exec(compile(PROGRAMS[TOOLS.index(tool)], PAGE, "exec"), names)
        return names

    return run


def test_each_tool_has_a_program():
    imported = [
        {alias.name for node in ast.walk(ast.parse(program)) for alias in _aliases(node)}
        for program in PROGRAMS
    ]
    assert len(PROGRAMS) == len(TOOLS)
    assert all(tool in names for tool, names in zip(TOOLS, imported, strict=True))


def _aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, ast.Import) else []


def test_wandb_logs_every_epoch(run, tmp_path):
    names = run("wandb")
    summary, history = names["logged"], names["vae"].history.history
    for name in ("loss", "nll", "kl", "elbo", "val_elbo"):
        assert summary[f"epoch/{name}"] == history[name][-1]
    assert summary["epoch/epoch"] == 1
    assert (tmp_path / "best.keras").is_file()


def test_mlflow_logs_every_epoch(run, tmp_path):
    names = run("mlflow")
    run_id, history = names["run"].info.run_id, names["vae"].history.history
    client = names["mlflow"].MlflowClient()
    for name in ("loss", "nll", "kl", "elbo", "val_elbo"):
        logged = [metric.value for metric in client.get_metric_history(run_id, name)]
        assert logged == history[name]
    assert {file.path for file in client.list_artifacts(run_id)} == {
        "model_summary.txt",
        "vae.keras",
    }


def test_optuna_sees_every_epoch(run):
    names = run("optuna")
    trials = names["study"].trials
    assert len(trials) == 3
    for trial in trials:
        values = trial.intermediate_values
        assert list(values) == [0, 1, 2] and trial.value == values[2]
    assert names["study"].best_value == max(trial.value for trial in trials)


def test_keras_tuner_takes_the_largest_elbo(run, tmp_path):
    names = run("keras_tuner")
    trials = names["tuner"].oracle.trials.values()
    scores = [trial.score for trial in trials]
    assert len(scores) == 3 and np.isfinite(scores).all()
    best = max(trials, key=lambda trial: trial.score)
    assert names["tuner"].get_best_hyperparameters()[0].values == best.hyperparameters.values
    assert len(list(tmp_path.glob("tuning/**/vae.keras"))) == 3
