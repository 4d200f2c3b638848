"""The commands of the pages on saving and serving, as they stand there."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import tfpvae

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
# Both are programs of TensorFlow alone.
ENVIRONMENT = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}


def commands(page: str, program: str) -> list[list[str]]:
    """Returns the words of a page's commands, each after the program's name."""
    text = (HOWTO / page).read_text().replace("\\\n", " ")
    result = [shlex.split(line) for line in re.findall(rf"^    {program} .*$", text, re.MULTILINE)]
    return [words[1:] for words in result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the pages' commands find a model and pictures; with it goes what the model says."""
    folder = tmp_path_factory.mktemp("served")
    images = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    np.save(folder / "pictures.npy", images)
    vae = tfpvae.build_vae("dense", image_shape=(8, 8, 1))
    vae.compile("adam", run_eagerly=True)
    vae.fit(images, verbose=0)
    vae.save(folder / "model")
    np.save(folder / "reconstructed.npy", vae.reconstruct(images))
    np.save(folder / "decoded.npy", vae.decoder(np.float32([[0.5, -1], [0, 0]])).mean())
    return folder


@pytest.mark.slow
def test_saved_model_cli_shows_and_runs_a_signature(folder):
    shown, run = commands("saving.md", "saved_model_cli")
    assert (shown[0], run[0]) == ("show", "run")
    # What the program that pip writes runs; that is not on the path of every environment.
    program = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    options = {"cwd": folder, "env": ENVIRONMENT, "capture_output": True, "text": True}
    # Both at once, as most of the time is TensorFlow's import.
    running = subprocess.Popen(
        [*program, *run],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    done = subprocess.run([*program, *shown], check=False, **options)
    assert done.returncode == 0, done.stderr
    for line in ("shape: (-1, 8, 8, 1)", "shape: (-1, 2)", "outputs['stddev']"):
        assert line in done.stdout
    said, _ = running.communicate(timeout=300)
    assert running.returncode == 0, said.decode()
    answer = np.load(folder / "answers" / "mean.npy")
    np.testing.assert_allclose(answer, np.load(folder / "reconstructed.npy"), atol=1e-6)


@pytest.fixture
def port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.slow
def test_litserve_answers_as_the_model_does(folder, port):
    pytest.importorskip("litserve")
    (program,) = re.findall(r"```python\n(.*?)```", (HOWTO / "serving.md").read_text(), re.DOTALL)
    assert "port=8000" in program
    (folder / "serve.py").write_text(program.replace("port=8000", f"port={port}"))
    server = subprocess.Popen(
        [sys.executable, *commands("serving.md", "python")[0]],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # it starts processes of its own, which end with it
    )
    try:
        result = _answer(server, commands("serving.md", "curl")[-1], port)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()
    np.testing.assert_allclose(result["mean"], np.load(folder / "decoded.npy"), atol=1e-6)


def _answer(server: subprocess.Popen, curl: list[str], port: int) -> dict:
    url, _, header, _, data = curl
    url = url.replace(":8000", f":{port}")
    headers = dict([header.split(": ")])
    for _ in range(120):
        try:
            request = urllib.request.Request(url, data.encode(), headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except OSError:  # it has not begun to listen
            assert server.poll() is None, server.stderr.read().decode()
            time.sleep(0.5)
    raise TimeoutError("serve.py has not answered in a minute.")
