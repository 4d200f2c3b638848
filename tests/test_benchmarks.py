"""Benchmarks on a few drawn images: every row runs, resumes, and keeps its results."""

import importlib
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tfpvae.datasets import draw_digits
from tfpvae.training import execution

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RUNS = {
    "A": ["dense"],
    "B": ["dense"],
    "C": ["k1", "k5", "k50"],
    "D": ["standard_normal", "vampprior"],
    "E": ["continuous_bernoulli", "bernoulli"],
    "G": ["residual", "ladder", "two_groups"],
    # Last, and so among those that run by default: the dense network trains by IWAE soonest.
    "F": ["standard_normal", "vampprior", "vampprior_iwae"],
}


def module(name):
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module(name)
    sys.path.remove(str(BENCHMARKS))
    for new in set(sys.modules) - before:
        if BENCHMARKS in Path(getattr(sys.modules[new], "__file__", None) or "/").parents:
            del sys.modules[new]


@pytest.fixture(scope="module")
def reproduce():
    yield from module("reproduce")


@pytest.fixture
def throughput():
    yield from module("throughput")


@pytest.fixture
def networks():
    yield from module("networks")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Returns a folder of four IDX files; 600 training images are enough for the pseudo-inputs."""
    folder = tmp_path_factory.mktemp("idx")
    rng = np.random.default_rng(0)
    for part, number in (("train", 600), ("t10k", 24)):
        images = draw_digits(number, seed=number).images[..., 0]
        labels = rng.integers(0, 10, number, np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return folder


def run(reproduce, data, work, row, *more):
    arguments = ["--row", row, "--data", data, "--work", work, "--smoke", *more]
    return reproduce.main([str(argument) for argument in arguments])


@pytest.mark.spread(2)
@pytest.mark.slow
@pytest.mark.parametrize("row", RUNS)
def test_every_row_runs_and_writes_its_results(reproduce, data, tmp_path, capsys, row):
    assert [*reproduce.ROWS[row].RUNS] == RUNS[row]
    results = run(reproduce, data, tmp_path, row, "--only", RUNS[row][-1])
    (name,) = results
    folder = tmp_path / f"{row}_seed0_smoke" / name
    written = json.loads((folder / "result.json").read_text())
    assert written == results[name]
    assert written["settings"]["row"] == row and written["settings"]["seed"] == 0
    assert {"python", "tensorflow", "tf_keras", "tfpvae"} < set(written["versions"])
    assert all(np.isfinite(v) for v in written["scores"].values() if not isinstance(v, str))
    assert len(json.loads((folder / "log.json").read_text())) == written["scores"]["epochs"] == 1
    assert reproduce.ROWS[row].PUBLISHED in capsys.readouterr().out


def test_a_run_resumes_after_its_last_epoch_and_is_not_repeated(reproduce, data, tmp_path, capsys):
    first = run(reproduce, data, tmp_path, "A")["dense"]
    log = tmp_path / "A_seed0_smoke" / "dense" / "log.json"
    (epoch,) = json.loads(log.read_text())
    longer = run(reproduce, data, tmp_path, "A", "--epochs", "2")["dense"]
    assert json.loads(log.read_text())[0] == epoch
    assert longer["scores"]["epochs"] == 2
    seconds = [line["cpu_seconds"] for line in json.loads(log.read_text())]
    assert longer["scores"]["training_cpu_seconds"] == pytest.approx(sum(seconds))
    assert min(seconds) > 0
    assert longer["scores"]["steps"] == 2 * first["scores"]["steps"]  # the optimizer resumed too
    assert longer["scores"]["negative_elbo_1"] == first["scores"]["negative_elbo_1"]
    assert longer["scores"]["negative_elbo_2"] < first["scores"]["negative_elbo_1"]
    capsys.readouterr()
    assert run(reproduce, data, tmp_path, "A", "--epochs", "2")["dense"] == longer
    assert "epoch 2 " not in capsys.readouterr().out


def test_an_epoch_that_was_logged_but_not_backed_up_is_repeated(reproduce, data, tmp_path):
    run(reproduce, data, tmp_path, "A")
    log = tmp_path / "A_seed0_smoke" / "dense" / "log.json"
    lines = json.loads(log.read_text())
    log.write_text(json.dumps([*lines, {"epoch": 2, "seconds": 1e9}]))  # killed before the backup
    scores = run(reproduce, data, tmp_path, "A", "--epochs", "2")["dense"]["scores"]
    assert scores["epochs"] == 2 and scores["training_seconds"] < 1e9


def test_scoring_resumes_where_it_stopped(reproduce, tmp_path, monkeypatch):
    scoring = sys.modules["rows.scoring"]
    monkeypatch.setattr(scoring, "IMAGES_A_TIME", 4)
    images, calls = np.arange(10.0), []

    class Vae:
        def log_likelihood(self, images, num_samples, seed):
            if len(calls) == 2 and len(images) == 2:
                calls.append("stopped")
                raise KeyboardInterrupt
            calls.append(seed)
            return -images

        def elbo(self, images, num_samples, seed):
            return -images - 1

    task = reproduce.Task(tmp_path, tmp_path, 7, 1, 5, 10, True)
    with pytest.raises(KeyboardInterrupt):
        scoring.elbo_and_nll(Vae(), images, task)
    scores = scoring.elbo_and_nll(Vae(), images, task)
    assert calls == [7, 11, "stopped", 15]
    assert scores["nll"] == 4.5 and scores["negative_elbo"] == 5.5
    # The standard deviation of 0..9 is sqrt(99 / 12).
    assert scores["nll_standard_error"] == pytest.approx(np.sqrt(99 / 12 / 10), rel=1e-6)


def test_the_learning_rate_of_row_c_follows_burda(reproduce):
    expected = [1e-3 * 10 ** (-i / 7) for i in range(8) for _ in range(3**i)]
    assert len(expected) == 3280
    rates = [reproduce.c.learning_rate(epoch) for epoch in range(len(expected))]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_active_units_have_means_that_vary(reproduce):
    scoring = sys.modules["rows.scoring"]

    class Vae:
        def encode(self, images):
            # Variances of uniform pixels, 1/12, times 1, 1/4 and 1/100: two are above 0.01.
            return tf.constant(images.reshape(len(images), -1)[:, :3] * np.array([1, 0.5, 0.1]))

    images = np.random.default_rng(0).uniform(size=(2500, 2, 2, 1))
    assert scoring.active_units(Vae(), images) == 2


def test_an_unknown_run_is_named(reproduce, data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(reproduce, data, tmp_path, "C", "--only", "k7")
    assert "--only: wanted some of k1, k5, k50, got k7." in capsys.readouterr().err


@pytest.mark.spread(2)
@pytest.mark.parametrize("network", ["conv", "cnn", "kmnist", "flowers"])
def test_other_libraries_get_layers_of_keras_only(throughput, monkeypatch, tmp_path, network):
    monkeypatch.setitem(throughput.NETWORKS, network, (2, 2, 1))
    task = throughput.describe(network, tmp_path, None)["task"]
    for name, config, _ in task["encoder"] + task["decoder"]:
        layer = getattr(tf_keras.layers, name).from_config(config)
        assert type(layer).__module__.startswith("tf_keras.")
        activation = getattr(layer, "activation", tf_keras.activations.linear)
        assert activation.__module__.startswith(("tf_keras.", "tensorflow."))


@pytest.mark.spread(4)
@pytest.mark.parametrize("architecture", tfpvae.list_architectures())
def test_operations_agree_with_those_of_the_package(networks, architecture):
    vae = tfpvae.build_vae(architecture)
    for network in (vae.encoder, vae.decoder):
        assert networks.operations(network) == execution.operations(network) > 0
