"""Examples on digits: the settings of every system, and runs from end to end."""

import gzip
import json
import struct
import sys

import numpy as np
import pytest
from PIL import Image

import tfpvae
from tests.examples.running import finish, imported, start
from tests.pairs import EVERY
from tfpvae.datasets import draw_digits

RESULTS = {"history.csv", "history.png", "summary.json", "model"}
RESULTS |= {f"{name}.png" for name in ("reconstructions", "training", "errors", "embeddings")}
PRIOR_FIGURES = {"samples.png", "posterior_samples.png"}
# The results of "dense" are those of the smaller latent size of "kmnist".
RUNS = ["deep", "kmnist", "conditional", *(["dense"] if EVERY else [])]

# As the tutorials have them: latent size, optimizer, learning rate, batch, epochs, KL weight.
SOURCES = {
    "dense-a": (2, "adam", 1e-3, 32, 20, 1.0),
    "dense-b": (2, "rmsprop", 1e-3, 256, 10, 1.0),
    "deep": (2, "adamax", 0.01, 128, 5, 1.0),
    "conv": (2, "adamax", 1e-3, 32, 50, 2.0),
    "conv-autoencoder": (2, "rmsprop", 1e-3, 64, 50, 1.0),
    "cnn": (10, "adam", 1e-3, 128, 200, 1.0),
}


def write_idx(folder, name, values):
    folder.mkdir(exist_ok=True)
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    (folder / f"{name}.gz").write_bytes(gzip.compress(header + values.tobytes()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs examples: a plain autoencoder on files, two latent sizes, a conditional VAE; a VAE."""
    folders = {name: tmp_path_factory.mktemp(name) for name in RUNS}
    digits = draw_digits(240)
    for name, part in (("train", slice(144)), ("t10k", slice(144, None))):
        images, labels = digits.images[part, ..., 0], digits.labels[part].astype(np.uint8)
        write_idx(folders["deep"] / "files", f"{name}-images-idx3-ubyte", images)
        write_idx(folders["deep"] / "files", f"{name}-labels-idx1-ubyte", labels)
    source = ["--system", "deep", "--source-settings", "--batch-size", "16", "--data", "files"]
    arguments = {
        "deep": ("mnist", folders["deep"], *source, "--patience", "1"),
        "kmnist": ("kmnist", folders["kmnist"], "--smoke", "--latent-dim", "12", "2"),
        "conditional": ("conditional", folders["conditional"], "--smoke"),
        "dense": ("mnist", folders.get("dense"), "--smoke"),
    }
    processes = {name: start(*arguments[name]) for name in RUNS}
    results = {name: finish(process) for name, process in processes.items()}
    for name, run in results.items():
        run.folder = folders[name] / "runs"
    return results


def files(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_succeeds_and_reports_its_stages(runs, name):
    assert (runs[name].code, runs[name].stderr) == (0, [])
    for words in ("Training", "reloads and agrees", "negative log likelihood", "Results"):
        assert words in runs[name].stdout


@pytest.mark.slow
def test_every_kind_of_model_has_its_figures(runs):
    if "dense" in RUNS:
        dense = runs["dense"].folder / "dense-a"
        assert files(dense) == RESULTS | PRIOR_FIGURES | {"latents.png", "grid.png"}
    deep = runs["deep"].folder / "deep"
    assert files(deep) == RESULTS | {"latents.png", "codes.png"}
    large, small = (runs["kmnist"].folder / "kmnist" / f"latent{size}" for size in (12, 2))
    assert files(large) == RESULTS | PRIOR_FIGURES | {"traversal.png", "mosaics", "mosaics.png"}
    assert files(small) == RESULTS | PRIOR_FIGURES | {
        *("latents.png", "grid.png", "mosaics", "mosaics.png")
    }
    classes = runs["conditional"].folder / "conditional"
    names = ("classes", "styles", "history", "reconstructions")
    assert files(classes) == {f"{name}.png" for name in names} | {
        *("history.csv", "summary.json", "model")
    }
    with Image.open(large.parent / "comparison.png") as figure:  # ten digits, three rows
        assert figure.width >= 280 and figure.height >= 84
        assert np.asarray(figure.convert("L")).std() > 5


@pytest.mark.slow
def test_the_conditional_example_reports_its_accuracy(runs):
    folder = runs["conditional"].folder / "conditional"
    summary = json.loads((folder / "summary.json").read_text())
    assert 0 <= summary["test"]["accuracy"] <= 1
    assert "The class of the highest ELBO" in runs["conditional"].stdout


@pytest.mark.slow
def test_options_override_the_source_settings(runs):
    settings = json.loads((runs["deep"].folder / "deep" / "summary.json").read_text())["settings"]
    assert (settings["optimizer"], settings["learning_rate"]) == ("adamax", 0.01)
    assert settings["batch_size"] == 16
    assert settings["architecture"] == "deep"


@pytest.mark.slow
def test_runs_of_two_latent_sizes_differ_only_in_that_size(runs):
    one, other = (
        json.loads((runs["kmnist"].folder / f"kmnist/latent{size}/summary.json").read_text())
        for size in (12, 2)
    )
    differing = {k for k, v in one["settings"].items() if v != other["settings"][k]}
    assert differing == {"latent_dim", "output"}
    assert (one["settings"]["latent_dim"], other["settings"]["latent_dim"]) == (12, 2)
    assert one["test"]["nll"] != other["test"]["nll"]


@pytest.mark.parametrize("example", ["mnist", "kmnist", "conditional"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--data nowhere", "argument --data: wanted a folder or one of mnist, fashion_mnist, kuz"),
        ("--epochs 0", "argument --epochs: wanted a whole number, at least 1, got '0'."),
        ("--optimizer sgd", "argument --optimizer: invalid choice: 'sgd'"),
    ],
)
def test_a_wrong_option_is_reported_in_one_line_without_importing_tensorflow(
    tmp_path, example, arguments, message
):
    run = finish(start(example, tmp_path, *arguments.split(), without=["numpy", "tensorflow"]))
    assert (run.code, run.stdout) == (2, "")
    (line,) = run.stderr
    assert line.startswith(f"{example}.py: error: {message}")


@pytest.fixture
def mnist():
    with imported("mnist") as module:
        yield module


def options(mnist, *arguments):
    parser = mnist._training.parser("", **mnist.DEFAULTS)
    parser.add_argument("--system", default="dense-a")
    mnist._digits.add_data(parser)
    sys.argv = ["mnist.py", *arguments]
    return mnist._training.parse(parser, mnist.settings)


def test_every_system_has_source_settings(mnist):
    assert list(mnist.SYSTEMS) == list(mnist.SOURCES) == list(SOURCES)


@pytest.mark.parametrize("system", SOURCES)
def test_source_settings_are_those_of_the_tutorial(mnist, monkeypatch, system):
    monkeypatch.setattr(sys, "argv", ["mnist.py"])
    args = options(mnist, "--system", system, "--source-settings")
    settings = (args.latent_dim, args.optimizer, args.learning_rate, args.batch_size)
    assert (*settings, args.epochs, args.kl_weight) == SOURCES[system]
    assert args.patience == (5 if system == "cnn" else None)


@pytest.mark.parametrize("system", SOURCES)
def test_every_system_is_a_named_architecture(mnist, monkeypatch, system):
    monkeypatch.setattr(sys, "argv", ["mnist.py"])
    args = options(mnist, "--system", system)
    vae = mnist._training.build(args)
    assert (
        vae.count_params()
        == tfpvae.build_vae(
            args.architecture, latent_dim=args.latent_dim, posterior=args.posterior
        ).count_params()
    )
    assert (vae.prior is None) == (system in ("deep", "conv-autoencoder"))


def test_validation_pictures_are_the_last_twelfth_of_the_training_files(mnist, monkeypatch):
    images = np.arange(24, dtype=np.uint8).reshape(24, 1, 1, 1)
    labels = np.arange(24, dtype=np.int32)
    pictures = tfpvae.datasets.Pictures(images, labels, ("0",), ())
    monkeypatch.setattr(tfpvae.datasets, "load_mnist", lambda name, source: (pictures, pictures))
    monkeypatch.setattr(sys, "argv", ["mnist.py"])
    training, validation, test = mnist._digits.load(options(mnist, "--data", "mnist"))
    assert training.labels.tolist() == [*range(22)]
    assert validation.labels.tolist() == [22, 23]
    assert len(test.images) == 24
