"""The first import of TensorFlow is silent, unless its log is asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfpvae import _imports

ROOT = Path(__file__).parents[1]
LOG = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1795771081.127427   18257 port.cc:153] oneDNN custom operations are on.\n"
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild.\n"
    "E0000 00:00:1795771110.778785   18355 cuda_platform.cc:52] failed call to cuInit\n"
    "2024-11-02 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN is on.\n"
)


def standard_error(*arguments: str, level: str | None) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop(_imports._LEVEL, None)
    if level is not None:
        environment[_imports._LEVEL] = level
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stderr


@pytest.mark.spread(1)  # The report for a bug, below, imports it with None.
@pytest.mark.parametrize("level", ["0", "3", None])
def test_an_import_prints_the_log_only_where_it_is_asked_for(level):
    # Makes a tensor, too: TensorFlow looks for a GPU then.
    program = "import tfpvae, tensorflow as tf; tf.zeros([])"
    printed = standard_error("-c", program, level=level)
    assert bool(printed) is (level == "0"), printed


@pytest.mark.slow
def test_the_report_for_a_bug_prints_no_log():
    assert standard_error("-m", "tfpvae", level=None) == ""


def test_a_tensorflow_that_is_imported_already_is_left_alone(monkeypatch):
    monkeypatch.delenv(_imports._LEVEL, raising=False)
    _imports.import_tensorflow()
    assert _imports._LEVEL not in os.environ


def test_only_log_lines_are_left_out(capfd):
    with _imports.without_log_lines():
        os.write(2, LOG.encode())
        print("module.py:1: UserWarning: kept", file=sys.stderr)
    assert capfd.readouterr().err == "module.py:1: UserWarning: kept\n"


def test_an_import_that_fails_shows_its_log(capfd):
    with pytest.raises(ImportError), _imports.without_log_lines():
        os.write(2, LOG.encode())
        raise ImportError
    assert capfd.readouterr().err == LOG


def test_without_a_temporary_folder_the_lines_are_shown(monkeypatch, capfd):
    def nowhere():
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr("tempfile.TemporaryFile", nowhere)
    with _imports.without_log_lines():
        os.write(2, LOG.encode())
    assert capfd.readouterr().err == LOG
