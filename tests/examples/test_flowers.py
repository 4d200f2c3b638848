"""The example as a user runs it: its results, its words on the screen, its errors."""

import csv
import importlib
import json
import os
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from PIL import Image

import tfpvae
from tests.contracts.registry import OF_PIXELS
from tests.examples.running import EXAMPLES, finish, start

RESULTS = {
    *("history.csv", "summary.json", "model"),
    *("history.png", "reconstructions.png", "samples.png"),
    *("interpolation.png", "posterior_samples.png"),
}
HEAVY = ["numpy", "tensorflow", "tf_keras", "tensorflow_probability", "matplotlib"]
LOSSES = [f"{part}{name}" for part in ("", "val_") for name in ("loss", "nll", "kl", "elbo")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run on drawn flowers and one on files, with all else different; both at once."""
    drawn, files = (tmp_path_factory.mktemp(name) for name in ("drawn", "files"))
    pictures = files / "pictures"
    for index, image in enumerate(tfpvae.datasets.draw_flowers(24, seed=1).images):
        path = pictures / ("odd" if index % 2 else "even") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((100, 90)).save(path)
    (pictures / "odd" / "broken.png").write_bytes(b"no picture")
    (files / "out").mkdir()
    for name in ("summary.json", "mine.txt"):
        (files / "out" / name).write_text("old")
    options = "--data pictures --output out --posterior independent_normal --latent-dim 3"
    options += " --likelihood bernoulli --seed 4 --kl-weight 0.5"
    options += " --batch-size 7 --learning-rate 1e-4"
    processes = {
        "drawn": start("flowers", drawn, "--smoke"),
        "files": start(
            "flowers", files, "--smoke", "--data", "pictures", "--output", "out", *options.split()
        ),
    }
    result = {name: finish(process) for name, process in processes.items()}
    result["drawn"].output, result["files"].output = drawn / "runs" / "flowers", files / "out"
    return result


@pytest.fixture(params=["drawn", "files"])
def run(request, runs):
    return runs[request.param]


@pytest.mark.slow
def test_run_succeeds_and_says_what_it_does(run):
    assert run.code == 0, run.stderr
    for words in (
        "Training 1 epoch",
        "val_kl",
        "reloads and agrees",
        "evidence lower bound",
        "Results",
    ):
        assert words in run.stdout
    assert not re.search(r"WARNING|absl|cuda|oneDNN|cpu_feature_guard", run.stdout)
    assert max(map(len, run.stdout.splitlines())) <= 100


@pytest.mark.slow
def test_run_keeps_the_noise_of_tensorflow_off_the_screen(runs):
    assert runs["drawn"].stderr == []
    assert "skipped 1 of" in runs["files"].stderr[0]  # and the line of the code that warns
    assert len(runs["files"].stderr) <= 2


@pytest.mark.slow
def test_run_leaves_all_results_and_other_files_alone(runs):
    assert set(os.listdir(runs["drawn"].output)) == RESULTS
    assert set(os.listdir(runs["files"].output)) == RESULTS | {"mine.txt"}


@pytest.mark.slow
def test_history_has_a_row_an_epoch(run):
    with open(run.output / "history.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["epoch", *LOSSES, "lr"]
    assert row["epoch"] == "1"
    assert np.isfinite([float(row[name]) for name in LOSSES]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "columns", "rows"),
    [
        ("samples", 6, 6),
        ("interpolation", 9, 3),
        ("reconstructions", 2, 2),
        ("posterior_samples", 2, 5),
    ],
)
def test_figures_hold_so_many_pictures(run, name, columns, rows):
    with Image.open(run.output / f"{name}.png") as figure:
        pixels = np.asarray(figure.convert("RGB"))
    height, width, _ = pixels.shape
    assert width >= 80 * columns and height >= 80 * rows
    if name == "samples":
        assert width == height
    assert pixels.std() > 5


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kl_weight"), [("drawn", 1.0), ("files", 0.5)])
def test_summary_is_finite_and_consistent(runs, name, kl_weight):
    summary = json.loads((runs[name].output / "summary.json").read_text())
    scores, speed = summary["test"], summary["training"]
    bounds = scores.pop("importance_weighted")
    assert np.isfinite([*scores.values(), *bounds.values(), *speed.values()]).all()
    assert summary["settings"]["kl_weight"] == kl_weight
    np.testing.assert_allclose(scores["loss"], scores["nll"] + kl_weight * scores["kl"], rtol=1e-6)
    np.testing.assert_allclose(scores["elbo"], -scores["nll"] - scores["kl"], rtol=1e-6)
    assert scores["kl"] > 0
    assert 0 < scores["squared_error"] < 1
    assert bounds["log_likelihood"] > bounds["elbo"]
    assert speed["images_per_second"] > 0
    assert summary["versions"]["tfpvae"] == tfpvae.__version__


ERRORS = [
    ("--epochs 0", "argument --epochs: wanted a whole number, at least 1, got '0'."),
    ("--epochs two", "argument --epochs: wanted a whole number, at least 1, got 'two'."),
    ("--batch-size -3", "argument --batch-size: wanted a whole number, at least 1, got '-3'."),
    ("--latent-dim 1.5", "argument --latent-dim: wanted a whole number, at least 1, got '1.5'."),
    ("--kl-weight nan", "argument --kl-weight: wanted a number, at least 0.0, got 'nan'."),
    ("--learning-rate inf", "argument --learning-rate: wanted a number, at least 0.0, got 'inf'."),
    ("--data nowhere", "argument --data: wanted a folder of pictures, got 'nowhere'."),
    ("--output file/out", "argument --output: wanted a folder, got 'file/out', Not a directory."),
    ("--posterior cauchy", "argument --posterior: invalid choice: 'cauchy'"),
    ("--colour", "unrecognized arguments: --colour"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS)
def test_a_wrong_option_is_told_in_one_line_and_at_once(tmp_path, arguments, message):
    (tmp_path / "file").touch()
    run = finish(start("flowers", tmp_path, *arguments.split(), without=["numpy", "tensorflow"]))
    assert (run.code, run.stdout) == (2, "")
    (line,) = run.stderr
    assert line.startswith(f"flowers.py: error: {message}")


def test_help_names_the_options_and_their_defaults_and_imports_nothing_slow(tmp_path):
    run = finish(start("flowers", tmp_path, "--help", without=HEAVY))
    assert (run.code, run.stderr) == (0, [])
    assert "--data DIR" in run.stdout
    assert " ".join(run.stdout.split()).count("(default: ") == 17


@pytest.mark.parametrize(
    ("module", "install"), [("matplotlib", '"tfpvae[figures]"'), ("tfpvae", '".[figures]"')]
)
def test_a_missing_module_is_told_at_once(tmp_path, module, install):
    run = finish(start("flowers", tmp_path, without=[module, "tensorflow"]))
    assert (run.code, run.stdout) == (2, "")
    wanted = f"flowers.py: error: wanted {module}, got none installed; pip install {install}"
    assert run.stderr == [wanted]


# The parts, in this process.


@pytest.fixture
def parts(monkeypatch, tmp_path):
    """The example's two modules, and the arguments of a smoke run."""
    monkeypatch.syspath_prepend(EXAMPLES)
    flowers, training = importlib.import_module("flowers"), importlib.import_module("_training")
    parser = training.parser("", **flowers.DEFAULTS)
    args = parser.parse_args(["--smoke", "--latent-dim", "2", "--output", str(tmp_path)])
    args.data = None
    yield flowers, training, args
    for name in ("flowers", "_training"):
        del sys.modules[name]


@pytest.mark.parametrize("option", ["posterior", "likelihood", "prior"])
def test_the_options_list_what_the_library_knows(parts, option):
    _, training, _ = parts
    with pytest.raises(ValueError, match=f"{option}: wanted one of ") as error:
        tfpvae.build_vae("dense", **{option: "none such"})
    known = re.findall("'(.*?)'", str(error.value))[:-1]
    if option == "likelihood":  # the others are of other data
        known = sorted(OF_PIXELS)
    listed = {"posterior": "POSTERIORS", "likelihood": "LIKELIHOODS", "prior": "PRIORS"}[option]
    assert list(getattr(training, listed)) == known


def test_bfloat16_is_the_precision_of_the_networks_but_not_of_the_distributions(parts):
    flowers, training, args = parts
    args.precision = "bfloat16"
    try:
        training.start(None, args)
        vae = flowers.build(flowers.drawn(args)[0], args)
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    assert vae.decoder.layers[1].compute_dtype == "bfloat16"
    assert vae.decoder(np.zeros([1, 2])).dtype == tf.float32


def test_a_plain_autoencoder_has_reconstructions_and_no_new_flowers(parts):
    flowers, training, args = parts
    args.posterior = "deterministic"
    images, _, test = flowers.drawn(args)
    vae = flowers.build(images, args)
    vae.compile()
    means = {"loss", "nll", "squared_error"}  # and standard errors; a point has no kl
    assert set(training.score(vae, test, args)) == means | {f"{name}_error" for name in means}
    drawings = flowers.figures(vae, test, {"loss": [1.0]}, args)
    assert drawings["samples"] is None
    assert len(drawings["interpolation"].axes[0].images) == 27


def test_the_vae_starts_at_what_the_pictures_say(parts):
    flowers, _, args = parts
    images, _, _ = flowers.drawn(args)
    vae = flowers.build(images, args)
    bias = vae.decoder.weights[-1].numpy()
    np.testing.assert_allclose(tf.sigmoid(bias), images.mean(axis=(0, 1, 2)) / 255, rtol=1e-5)
    codes = vae.encoder(images / np.float32(255)).mean().numpy()
    np.testing.assert_allclose(codes.std(axis=0), 1, atol=1e-2)


def test_the_cosine_falls_from_the_rate_given_to_nearly_nothing(parts):
    _, training, args = parts
    args.learning_rate, args.epochs = 0.5, 10
    rates = [training._cosine(args)(epoch) for epoch in range(10)]
    np.testing.assert_allclose(rates, 0.25 * (1 + np.cos(np.pi * np.arange(10) / 10)))
    assert rates[0] == 0.5 and 0 < rates[-1] < 0.02


def test_the_first_steps_of_the_cosine_are_a_warm_up(parts):
    _, training, args = parts
    args.learning_rate, args.epochs = 0.5, 2
    schedule = training._schedule(args)
    schedule.params = {"steps": 200}
    schedule.model = SimpleNamespace(optimizer=tf_keras.optimizers.SGD())
    rates = []
    for epoch in range(2):
        schedule.on_epoch_begin(epoch)
        for batch in range(200):
            schedule.on_train_batch_begin(batch)
            rates.append(float(schedule.model.optimizer.learning_rate.numpy()))
    cosine = 0.25 * (1 + np.cos(np.pi * np.arange(400) / 400))
    warm_up = np.minimum(1, (np.arange(400) + 1) / 150)
    np.testing.assert_allclose(rates, cosine * warm_up, rtol=1e-4)  # of float32


def test_an_epoch_is_a_line_that_fits_the_screen(parts, capsys):
    _, training, args = parts
    args.epochs = 100
    losses = {f"{part}{name}": 19200.25 for part in ("", "val_") for name in ("loss", "nll", "kl")}
    progress = training._progress(args)
    progress.set_model(SimpleNamespace(prior="standard_normal"))
    progress.on_epoch_begin(8)
    progress.on_epoch_end(8, losses)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("epoch   9/100  loss 19200.2  nll 19200.2  kl 19200.2  val_loss 19200.2")
    assert len(line) <= 100


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {"architecture": "residual", "hold_encoder": 0, "clipnorm": 1e4}),
        (
            "--architecture flowers",
            {"architecture": "flowers", "hold_encoder": 3, "clipnorm": None},
        ),
        ("--source-settings", {"architecture": "flowers", "optimizer": "adamax", "epochs": 50}),
        ("--source-settings --epochs 2", {"architecture": "flowers", "epochs": 2}),
    ],
)
def test_the_network_brings_its_settings_along(parts, monkeypatch, options, expected):
    flowers, training, _ = parts
    monkeypatch.setattr(sys, "argv", ["flowers.py", *options.split()])
    monkeypatch.setattr(training, "start", lambda parser, args: sys.exit(args))
    with pytest.raises(SystemExit) as stopped:
        flowers.main()
    args = vars(stopped.value.code)
    assert {name: args[name] for name in expected} == expected


def test_many_pictures_are_read_as_training_goes(parts, monkeypatch, tmp_path):
    flowers, _, args = parts
    colors = np.linspace(0, 255, 30).astype(np.uint8)
    for index, color in enumerate(colors):
        Image.new("L", (80, 80), int(color)).save(tmp_path / f"{index}.png")
    args.data = tmp_path
    args.smoke = False
    args.architecture = "flowers"
    in_memory, validation, test = flowers.photographs(args)
    monkeypatch.setattr(flowers, "IN_MEMORY", 3)
    stream, *held_out = flowers.photographs(args)
    assert isinstance(stream, tf.data.Dataset)
    streamed = np.concatenate([*stream])
    assert sorted(streamed[:, 0, 0, 0]) == sorted(in_memory[:, 0, 0, 0])
    for one, other in zip(held_out, (validation, test), strict=True):
        np.testing.assert_array_equal(one, other)
    together = np.concatenate([in_memory, validation, test])
    assert sorted(together[:, 0, 0, 0]) == sorted(colors)
    bias = flowers.build(stream, args).decoder.weights[-1].numpy()
    np.testing.assert_allclose(tf.sigmoid(bias), in_memory.mean(axis=(0, 1, 2)) / 255, rtol=1e-5)


def test_a_few_photographs_are_moved_about(parts, tmp_path):
    flowers, _, args = parts
    args.data = tmp_path
    for index, image in enumerate(tfpvae.datasets.draw_flowers(30).images):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    moved, *_ = flowers.photographs(args)
    args.architecture = "flowers"
    still, *_ = flowers.photographs(args)
    assert moved.element_spec.shape == (None, 80, 80, 3)
    first, second = (np.concatenate([*moved]) for _ in range(2))
    assert len(first) == len(still) and not np.array_equal(first, second)
    # Each is one of the pictures, mirrored or not, within 8 pixels.
    edges = [[0, 0], [8, 8], [8, 8], [0, 0]]
    sides = np.concatenate(
        [np.pad(part, edges, "symmetric") for part in (still, still[:, :, ::-1])]
    )
    windows = np.lib.stride_tricks.sliding_window_view(sides, (80, 80), axis=(1, 2))
    corners = windows[..., ::20, ::20].reshape(-1, 3 * 4 * 4)
    for image in first:
        part = np.moveaxis(image[::20, ::20], -1, 0).reshape(-1)
        assert (corners == part).all(axis=1).any()


def test_a_folder_without_pictures_is_told_in_one_line(parts, monkeypatch, tmp_path, capsys):
    flowers, _, _ = parts
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["flowers.py", "--data", "empty"])
    with pytest.raises(SystemExit) as error:
        flowers.main()
    assert error.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("flowers.py: error: folder: wanted pictures")
    assert os.listdir(tmp_path / "runs" / "flowers") == []


def test_a_reloaded_model_that_disagrees_is_an_error_and_leaves_no_summary(parts, monkeypatch):
    _, training, args = parts
    (args.output / "summary.json").touch()
    saved = SimpleNamespace(save=lambda path, card: None, reconstruct=lambda images: images * 0.5)
    other = SimpleNamespace(reconstruct=lambda images: images * 0.6)
    monkeypatch.setattr(tf_keras.models, "load_model", lambda path: other)
    with pytest.raises(SystemExit, match="disagrees, by 0.1 in a pixel"):
        training.save(saved, np.ones([1, 2, 2, 1]), args, {})
    assert not (args.output / "summary.json").exists()
