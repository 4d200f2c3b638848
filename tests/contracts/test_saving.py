"""Models that are saved, and loaded in a new process."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.contracts import saved
from tests.contracts.registry import CASES, LATENT_DIM, Case, images, parameters, to_save
from tests.processes import run_module

SAVED = to_save()


@contextlib.contextmanager
def eagerly():
    """Runs functions without graphs, which take seconds per model and would be used once."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Returns a folder of all models, each trained one step and saved."""
    folder = tmp_path_factory.mktemp("models")
    for i, case in enumerate(SAVED):
        tf_keras.utils.set_random_seed(i)
        vae = case.build()
        # The loaded models then run eagerly too: graphs for all would take minutes.
        vae.compile(tf_keras.optimizers.Adam(0.01), run_eagerly=True)
        vae.fit(case.with_labels(case.images(8)), batch_size=8, verbose=0)
        saved.write(folder / f"{i:02}", str(case), vae)
        if "savedmodel" in saved.formats(case):
            with eagerly():
                _write_calls(folder / f"{i:02}", vae, case)
    return folder


def _write_calls(folder: Path, vae: tfpvae.VAE, case: Case) -> None:
    """Writes inputs of the signatures, and the outputs of the live model."""
    inputs, outputs = {}, {}
    for size in (1, 5):
        x, z = case.images(size), np.random.default_rng(2).normal(size=(size, LATENT_DIM))
        z, labels = z.astype("float32"), case.labels(size)
        seed = np.array(saved.SEED, np.int32)
        posterior, reconstructions = vae.encoder(case.with_labels(x)), vae.reconstruct(x, **labels)
        calls = {
            "encode": {"images": x},
            "decode": {"latents": z},
            "reconstruct": {"images": x},
            "serving_default": {"images": x},
        }
        results = {
            "encode mean": posterior.mean(),
            "encode stddev": posterior.stddev(),
            "decode mean": vae.decoder(case.with_labels(z)).mean(),
            "reconstruct mean": reconstructions,
            "serving_default mean": reconstructions,
        }
        if "scale_tril" in posterior.parameters:
            results["encode scale_tril"] = posterior.scale_tril
        if vae.prior is not None:
            calls["sample"] = {"num_samples": np.int32(size), "seed": seed}
            calls["elbo"] = {"images": x, "seed": seed}
            results["sample images"] = vae.sample(size, seed=saved.SEED, **labels)
            results["elbo elbo"] = vae.elbo(x, seed=saved.SEED, **labels)
        for name, arguments in calls.items():
            for argument, value in (arguments | labels).items():
                value = value.astype(np.int32) if argument == "labels" else value
                inputs[f"{size} {name} {argument}"] = value
        outputs |= {f"{size} {key}": np.asarray(value) for key, value in results.items()}
    np.savez(folder / "inputs.npz", **inputs)
    np.savez(folder / "outputs_live.npz", **outputs)


# The arguments of each signature; a conditional VAE also takes labels.
SIGNATURES = {
    "encode": ["images"],
    "decode": ["latents"],
    "reconstruct": ["images"],
    "serving_default": ["images"],
    "sample": ["num_samples", "seed"],
    "elbo": ["images", "seed"],
}


@pytest.mark.slow
def test_every_model_loads_bit_for_bit_in_a_new_process(folder):
    reports = [
        json.loads(line) for line in run_module("tests.contracts.saved", folder).splitlines()
    ]
    assert len(reports) == sum(len(saved.formats(case)) for case in SAVED) >= 24
    for report in reports:
        assert report["type"] == "VAE"
        assert report["compared"] > 10
        assert report["differing"] == [], report
        assert report["steps"] == ([0, 1] if report["format"] == "weights" else [1, 2]), report
        assert np.isfinite(report["loss"])


@pytest.mark.slow
def test_tensorflow_alone_computes_what_the_live_model_computes(folder):
    run_module("tests.contracts.tensorflow_alone", folder)
    for i, case in enumerate(SAVED):
        if "savedmodel" not in saved.formats(case):
            continue
        live, alone = (
            dict(np.load(folder / f"{i:02}" / f"outputs_{who}.npz")) for who in ("live", "alone")
        )
        names = set(SIGNATURES) - (
            {"sample", "elbo"} if case.posterior == "deterministic" else set()
        )
        labels = [*case.labels(1)]
        assert json.loads(str(alone.pop("signatures"))) == {
            name: sorted(SIGNATURES[name] + labels) for name in names
        }
        for key, value in live.items():
            # The same graph, but Grappler may reorder float32 sums.
            np.testing.assert_allclose(alone[key], value, rtol=2e-5, atol=1e-6, err_msg=str(case))
        for size in (1, 5):
            if "elbo" in names:
                terms = alone[f"{size} elbo nll"] + alone[f"{size} elbo kl"]
                np.testing.assert_allclose(alone[f"{size} elbo elbo"], -terms, rtol=1e-6)
                assert alone[f"{size} elbo kl"].shape == (size,)
        assert set(alone) - set(live) <= {f"{b} elbo {t}" for b in (1, 5) for t in ("nll", "kl")}


def test_a_loaded_model_continues_training_as_the_saved_one_would(tmp_path):
    """Includes the optimizer's state, without which Adam would take another step."""
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
        for weight, expected in zip(model.get_weights(), vae.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.spread(1)
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
def test_the_layers_are_saved_in_a_custom_keras_model(tmp_path, written_as):
    inner = CASES[0].build().encoder
    encoder = tf_keras.Sequential([tf_keras.Input(inner.input_shape[1:]), *inner.layers[1:]])
    encoder.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as, compile=False)
    originals, copies = (parameters(model(images(3))) for model in (encoder, loaded))
    for original, copy in zip(originals, copies, strict=True):
        np.testing.assert_array_equal(original, copy)
    assert len(loaded.losses) == 1


def test_save_model_of_keras_saves_a_vae(tmp_path):
    vae = CASES[0].build()
    vae.compile()
    tf_keras.models.save_model(vae, tmp_path / "folder")
    loaded = tf_keras.models.load_model(tmp_path / "folder")
    assert isinstance(loaded, tfpvae.VAE)
    for weight, expected in zip(loaded.get_weights(), vae.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.spread(4)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "name"),
    # A folder takes long; these two have layers that no other case has.
    [*((a, "model.keras") for a in tfpvae.list_architectures()), ("kmnist", "km"), ("cnn", "cnn")],
)
def test_every_architecture_is_saved_and_loaded(architecture, name, tmp_path):
    """One step first, so that batch normalization has statistics and dropout a state."""
    # About the smallest of each, and no multiple of a stride.
    shape = (49, 50, 1) if architecture == "flowers" else (28, 27, 1)
    vae = tfpvae.build_vae(architecture, image_shape=shape)
    vae.compile(run_eagerly=True)
    x = np.random.default_rng(0).uniform(size=(4, *shape)).astype("float32")
    vae.fit(x, verbose=0)
    vae.save(tmp_path / name)
    loaded = tf_keras.models.load_model(tmp_path / name)
    assert len(loaded.weights) == len(vae.weights)
    for result, expected in zip(loaded.weights, vae.weights, strict=True):
        np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(loaded.encoder(x).mean(), vae.encoder(x).mean())
    np.testing.assert_array_equal(loaded.reconstruct(x), vae.reconstruct(x))
