"""Models that are saved, and loaded where nothing of this process is left."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.contracts import saved
from tests.contracts.registry import CASES, LATENT_DIM, Case, images, parameters, to_save

ROOT = Path(__file__).parents[2]
SAVED = to_save()


def run(*arguments) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def eagerly():
    """Leaves out what is seconds a model: the graphs of what is asked of it but once."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Every model, trained a step and saved in three formats, with what it answers."""
    folder = tmp_path_factory.mktemp("models")
    for i, case in enumerate(SAVED):
        tf_keras.utils.set_random_seed(i)
        vae = case.build()
        # Eagerly, as the loaded models then do too: a graph a model would take minutes.
        vae.compile(tf_keras.optimizers.Adam(0.01), run_eagerly=True)
        vae.fit(case.given(images(8)), batch_size=8, verbose=0)
        saved.write(folder / f"{i:02}", str(case), vae)
        _write_questions(folder / f"{i:02}", vae, case)
    return folder


def _write_questions(folder: Path, vae: tfpvae.VAE, case: Case) -> None:
    """What TensorFlow alone is to be asked, and what the live model says to it."""
    questions, wanted = {}, {}
    for batch in (1, 5):
        x, z = images(batch), np.random.default_rng(2).normal(size=(batch, LATENT_DIM))
        z, labels = z.astype("float32"), case.labels(batch)
        seed = np.array(saved.SEED, np.int32)
        posterior = vae.encoder(case.given(x))
        asked = {
            "encode": {"images": x},
            "decode": {"latents": z},
            "reconstruct": {"images": x},
            "serving_default": {"images": x},
        }
        answers = {
            "encode mean": posterior.mean(),
            "encode stddev": posterior.stddev(),
            "decode mean": vae.decoder(case.given(z)).mean(),
            "reconstruct mean": vae.reconstruct(x, **labels),
            "serving_default mean": vae.reconstruct(x, **labels),
        }
        if "scale_tril" in posterior.parameters:
            answers["encode scale_tril"] = posterior.scale_tril
        if vae.prior is not None:
            asked["sample"] = {"num_samples": np.int32(batch), "seed": seed}
            asked["elbo"] = {"images": x, "seed": seed}
            with eagerly():
                answers["sample images"] = vae.sample(batch, seed=saved.SEED, **labels)
                answers["elbo elbo"] = vae.elbo(x, seed=saved.SEED, **labels)
        for name, arguments in asked.items():
            for argument, value in (arguments | labels).items():
                value = value.astype(np.int32) if argument == "labels" else value
                questions[f"{batch} {name} {argument}"] = value
        wanted |= {f"{batch} {key}": np.asarray(value) for key, value in answers.items()}
    np.savez(folder / "questions.npz", **questions)
    np.savez(folder / "answers_live.npz", **wanted)


# What each signature takes; of a conditional VAE labels too.
SIGNATURES = {
    "encode": ["images"],
    "decode": ["latents"],
    "reconstruct": ["images"],
    "serving_default": ["images"],
    "sample": ["num_samples", "seed"],
    "elbo": ["images", "seed"],
}


@pytest.mark.slow
def test_every_model_comes_back_bit_for_bit_in_a_new_process(folder):
    reports = [json.loads(line) for line in run("-m", "tests.contracts.saved", folder).splitlines()]
    assert len(reports) == len(saved.FORMATS) * len(SAVED) >= 24
    for report in reports:
        assert report["type"] == "VAE"
        assert report["compared"] > 10
        assert report["differing"] == [], report
        assert report["steps"] == ([0, 1] if report["format"] == "weights" else [1, 2]), report
        assert np.isfinite(report["loss"])


@pytest.mark.slow
def test_tensorflow_alone_gives_what_the_live_model_gives(folder):
    run(ROOT / "tests" / "contracts" / "tensorflow_alone.py", folder)
    for i, case in enumerate(SAVED):
        live, alone = (
            dict(np.load(folder / f"{i:02}" / f"answers_{who}.npz")) for who in ("live", "alone")
        )
        names = set(SIGNATURES) - (
            {"sample", "elbo"} if case.posterior == "deterministic" else set()
        )
        labels = [*case.labels(1)]
        assert json.loads(str(alone.pop("signatures"))) == {
            name: sorted(SIGNATURES[name] + labels) for name in names
        }
        for key, value in live.items():
            # The same graph; only Grappler may put float32 sums in another order.
            np.testing.assert_allclose(alone[key], value, rtol=2e-5, atol=1e-6, err_msg=str(case))
        for batch in (1, 5):
            if "elbo" in names:
                terms = alone[f"{batch} elbo nll"] + alone[f"{batch} elbo kl"]
                np.testing.assert_allclose(alone[f"{batch} elbo elbo"], -terms, rtol=1e-6)
                assert alone[f"{batch} elbo kl"].shape == (batch,)
        assert set(alone) - set(live) <= {f"{b} elbo {t}" for b in (1, 5) for t in ("nll", "kl")}


def test_a_loaded_model_trains_on_as_the_saved_one_would(tmp_path):
    """Optimizer state included: without it Adam's next step would be another."""
    x = images(16)
    case = next(case for case in CASES if case.posterior == "deterministic")  # draws nothing
    vae = case.build()
    vae.compile(tf_keras.optimizers.Adam(0.01))
    vae.fit(x, batch_size=4, epochs=2, shuffle=False, verbose=0)
    loaded = {}
    for name in ("a.keras", "folder"):
        vae.save(tmp_path / name)
        loaded[name] = tf_keras.models.load_model(tmp_path / name)
    vae.fit(x, batch_size=4, shuffle=False, verbose=0)
    for model in loaded.values():
        model.fit(x, batch_size=4, shuffle=False, verbose=0)
        for weight, wanted in zip(model.get_weights(), vae.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, wanted)


@pytest.mark.parametrize("written_as", ["a.keras", "folder"])
def test_a_prior_given_to_the_vae_is_saved(tmp_path, written_as):
    mixture = next(case for case in CASES if case.prior == "learned mixture").build()
    inner = next(case for case in CASES if case.use_exact_kl is False).build()
    vae = tfpvae.VAE(inner.encoder, inner.decoder, prior=mixture.prior)
    assert len(vae.trainable_weights) == len(inner.trainable_weights) + 3
    vae.compile()
    vae.fit(images(8), verbose=0)
    vae.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as)
    z = np.ones([2, LATENT_DIM], "float32")
    np.testing.assert_array_equal(loaded.prior.log_prob(z), vae.prior.log_prob(z))
    assert len(loaded.prior.trainable_variables) == 3


@pytest.mark.parametrize("written_as", ["a.keras", "folder", "a.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_the_layers_save_in_a_keras_model_of_ones_own(tmp_path, written_as):
    inner = CASES[0].build().encoder
    encoder = tf_keras.Sequential([tf_keras.Input(inner.input_shape[1:]), *inner.layers[1:]])
    encoder.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as, compile=False)
    originals, copies = (parameters(model(images(3))) for model in (encoder, loaded))
    for original, copy in zip(originals, copies, strict=True):
        np.testing.assert_array_equal(original, copy)
    assert len(loaded.losses) == 1


def test_keras_own_save_model_works_too(tmp_path):
    vae = CASES[0].build()
    vae.compile()
    tf_keras.models.save_model(vae, tmp_path / "folder")
    loaded = tf_keras.models.load_model(tmp_path / "folder")
    assert isinstance(loaded, tfpvae.VAE)
    for weight, wanted in zip(loaded.get_weights(), vae.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "name"),
    # A folder takes long; these two have what no other model under contract has.
    [*((a, "model.keras") for a in tfpvae.list_architectures()), ("cnn", "cnn"), ("kmnist", "km")],
)
def test_every_architecture_comes_back_from_a_file(architecture, name, tmp_path):
    """Trained a step first, so that batch normalisation has moved and dropout has been drawn."""
    shape = (49, 50, 1)  # near the least that "flowers" takes, and no multiple of any stride
    vae = tfpvae.build_vae(architecture, image_shape=shape)
    vae.compile(run_eagerly=True)
    x = np.random.default_rng(0).uniform(size=(4, *shape)).astype("float32")
    vae.fit(x, verbose=0)
    vae.save(tmp_path / name)
    again = tf_keras.models.load_model(tmp_path / name)
    assert len(again.weights) == len(vae.weights)
    for found, wanted in zip(again.weights, vae.weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(again.encoder(x).mean(), vae.encoder(x).mean())
    np.testing.assert_array_equal(again.reconstruct(x), vae.reconstruct(x))
