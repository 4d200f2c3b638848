"""Examples resume after an interruption."""

import argparse

import numpy as np
import pytest
import tf_keras

import tfpvae
from tests.examples.running import imported

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 1), dtype=np.uint8)
OPTIONS = {
    "smoke": True,
    "epochs": 5,
    "batch_size": 4,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "cosine",
    "clipnorm": None,
    "hold_encoder": 2,
    "patience": 3,
    "resume": False,
}


@pytest.fixture
def training():
    with imported("_training") as module:
        yield module


def options(folder, **other):
    return argparse.Namespace(**OPTIONS | {"output": folder} | other)


class Interrupt(tf_keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise InterruptedError


def train(training, args, *callbacks):
    tf_keras.utils.set_random_seed(0)
    vae = tfpvae.build_vae("dense", image_shape=(6, 5, 1))
    history, speed = training.train(vae, IMAGES, IMAGES[:4], args, callbacks)
    return vae.get_weights(), history, speed["epochs"]


@pytest.mark.spread(1)
@pytest.mark.parametrize(
    ("epoch", "left"),
    [(0, 4), (1, 3), (3, 1)],  # in two phases, the second from epoch 2 on
)
def test_an_example_resumes_after_its_last_backup(training, epoch, left, tmp_path):
    """It is interrupted after the backup of the epoch."""
    weights, history, _ = train(training, options(tmp_path / "whole"))
    args = options(tmp_path / "interrupted")
    with pytest.raises(InterruptedError):
        train(training, args, Interrupt(epoch))
    args.resume = True
    resumed, resumed_history, run = train(training, args)
    assert run == left
    assert resumed_history == history
    assert len(history["loss"]) == OPTIONS["epochs"]
    for one, other in zip(resumed, weights, strict=True):
        np.testing.assert_array_equal(one, other)
    training.tidy(args)
    assert not [*args.output.iterdir()]


def test_resuming_with_other_options_is_refused(training, tmp_path):
    with pytest.raises(InterruptedError):
        train(training, options(tmp_path), Interrupt(0))
    with pytest.raises(SystemExit, match="--resume: wanted .* --batch-size 4, got 6"):
        train(training, options(tmp_path, resume=True, batch_size=6))


def test_without_resume_a_run_starts_anew(training, tmp_path):
    with pytest.raises(InterruptedError):
        train(training, options(tmp_path), Interrupt(2))
    assert train(training, options(tmp_path))[2] == OPTIONS["epochs"]


def test_a_damaged_line_of_losses_is_skipped(training, tmp_path):
    path = tmp_path / "losses.jsonl"
    path.write_text('\n{"epoch": 0, "loss": 3}\n{"epoch": 1, "lo\n{"epoch": 1, "loss": 2}')
    assert training._noted(path) == [{"loss": 3}, {"loss": 2}]


def test_all_workers_resume_from_the_backup_of_the_first(training, monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CONFIG", '{"task": {"type": "worker", "index": 1}}')
    own, first = (path / "latent2" / "backup" for path in (tmp_path / "worker_1", tmp_path))
    *_, backup = training._watching(options(own.parent), own / "losses.jsonl", own / "from_0")
    assert backup.backup_dir == str(first / "from_0")


def test_scores_are_means_with_standard_errors_of_the_same_pictures(training, tmp_path):
    vae = tfpvae.build_vae("dense", image_shape=(6, 5, 1))
    args = options(tmp_path, smoke=False, seed=3)
    scores = training.score(vae, IMAGES, args, num_images=5, num_samples=7)
    terms = vae.loss_terms(IMAGES, seed=(3, 0), training=False)
    elbo = -np.asarray(terms.nll + terms.kl)
    assert scores["elbo"] == pytest.approx(elbo.mean(), rel=1e-5)
    assert scores["elbo_error"] == pytest.approx(elbo.std(ddof=1) / np.sqrt(12), rel=1e-4)
    few = scores["importance_weighted"]
    gain = vae.log_likelihood(IMAGES[:5], 7, seed=3) - vae.elbo(IMAGES[:5], 7, seed=3)
    assert few["gain"] == pytest.approx(np.mean(gain), rel=1e-3)
    assert few["num_images"] == 5


def test_an_interrupted_run_says_how_far_it_is_and_how_to_go_on(training, monkeypatch, tmp_path):
    monkeypatch.setattr(training.sys, "argv", ["mnist.py", "--epochs", "5"])
    with pytest.raises(InterruptedError):
        train(training, options(tmp_path), Interrupt(1))

    def main():
        raise KeyboardInterrupt

    command = "python mnist.py --epochs 5 --resume"
    with pytest.raises(SystemExit, match=f"Interrupted after epoch 2 of 5. To go on: {command}"):
        training.run(main)


def test_the_help_has_the_defaults_of_the_other_options(training, monkeypatch, capsys):
    monkeypatch.setattr(training.sys, "argv", ["mnist.py", "--help", "--source-settings"])
    parser = training.parser("", epochs=3)
    with pytest.raises(SystemExit):
        training.parse(parser, lambda args: {"epochs": 50} if args.source_settings else {})
    printed = capsys.readouterr().out
    assert "(default: 50)" in printed and "None" not in printed
