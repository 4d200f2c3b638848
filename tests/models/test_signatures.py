"""Runs the commands of the documentation pages on saving and serving."""

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
# Both programs need TensorFlow only.
ENVIRONMENT = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}


def commands(page: str, program: str) -> list[list[str]]:
    """Returns the words of a page's commands, each after the program's name."""
    text = (HOWTO / page).read_text().replace("\\\n", " ")
    lines = re.findall(rf"^    {program} .*$", text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Returns a folder with the model, the pictures and the expected outputs of the commands."""
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
    # As a module: the program of pip is not on the path of every environment.
    program = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    options = {"cwd": folder, "env": ENVIRONMENT, "capture_output": True, "text": True}
    # Both at once, since importing TensorFlow takes most of the time.
    running = subprocess.Popen(
        [*program, *run],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    process = subprocess.run([*program, *shown], check=False, **options)
    assert process.returncode == 0, process.stderr
    for line in ("shape: (-1, 8, 8, 1)", "shape: (-1, 2)", "outputs['stddev']"):
        assert line in process.stdout
    output, _ = running.communicate(timeout=300)
    assert running.returncode == 0, output.decode()
    mean = np.load(folder / "answers" / "mean.npy")
    np.testing.assert_allclose(mean, np.load(folder / "reconstructed.npy"), atol=1e-6)


@pytest.fixture
def port() -> int:
    """Returns a free port."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


@pytest.mark.slow
def test_litserve_responds_as_the_model_does(folder, port):
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
        start_new_session=True,  # so that the processes it starts end with it
    )
    try:
        result = _response(server, commands("serving.md", "curl")[-1], port)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()
    np.testing.assert_allclose(result["mean"], np.load(folder / "decoded.npy"), atol=1e-6)


def _response(server: subprocess.Popen, curl: list[str], port: int) -> dict:
    url, _, header, _, data = curl
    url = url.replace(":8000", f":{port}")
    headers = dict([header.split(": ")])
    for _ in range(120):
        try:
            request = urllib.request.Request(url, data.encode(), headers)
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except OSError:  # not listening yet
            assert server.poll() is None, server.stderr.read().decode()
            time.sleep(0.5)
    raise TimeoutError("serve.py has not answered in a minute.")
