"""The signatures of a VAE give the same results in LiteRT and in ONNX Runtime."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfpvae
from tests.pairs import EVERY
from tfpvae import datasets
from tfpvae.models import decoders, encoders, signatures

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "devices.md"
DIGITS, FLOWERS = (28, 28, 1), (80, 80, 3)
MODELS = {
    "dense": {"image_shape": DIGITS},
    "conv": {"image_shape": DIGITS},
    "flowers": {"image_shape": FLOWERS, "posterior": "multivariate_normal_tril"},
    "residual": {"image_shape": (29, 30, 1)},
}
SIGNATURES = ("encode", "decode")
TOLERANCE = 1e-4  # as documented; float32 sums in another order differ by a hundredth of it


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    """Returns a trained VAE, the folder it is saved in, and inputs of each signature."""
    options = MODELS[request.param]
    draw = datasets.draw_flowers if request.param == "flowers" else datasets.draw_digits
    images = draw(8, image_shape=options["image_shape"]).images / np.float32(255)
    vae = tfpvae.build_vae(request.param, **options)
    vae.compile("adam", run_eagerly=True)
    vae.fit(images, batch_size=4, verbose=0)
    folder = tmp_path_factory.mktemp(request.param) / "model"
    vae.save(folder)
    latents = np.random.default_rng(0).normal(size=(5, vae.decoder.input_shape[-1]))
    return vae, folder, {"encode": images[:5], "decode": latents.astype(np.float32)}


def outputs_of(vae, signature: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the outputs of the model itself."""
    if signature == "decode":
        return {"mean": vae.decoder(values).mean().numpy()}
    posterior = vae.encoder(values)
    outputs = {"mean": posterior.mean(), "stddev": posterior.stddev()}
    if "scale_tril" in posterior.parameters:
        outputs["scale_tril"] = posterior.scale_tril
    return {name: value.numpy() for name, value in outputs.items()}


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert sorted(actual) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=0, atol=TOLERANCE, err_msg=name)


@pytest.mark.spread(2)
def test_litert_agrees_with_the_model(model):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    vae, folder, inputs = model
    keys = list(SIGNATURES)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=keys)
    interpreter = litert.Interpreter(model_content=converter.convert())
    for signature, values in inputs.items():
        runner = interpreter.get_signature_runner(signature)
        (argument,) = runner.get_input_details()
        for size in (1, 5):
            result = runner(**{argument: values[:size]})
            assert_same(result, outputs_of(vae, signature, values[:size]))


# Warnings of the converter are not ours.
@pytest.mark.filterwarnings("default")
def test_onnx_agrees_with_the_model_after_the_commands_of_the_page(model, monkeypatch):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    vae, folder, inputs = model
    monkeypatch.chdir(folder.parent)
    commands = re.findall(r"^    python (-m tf2onnx.*)$", PAGE.read_text(), re.MULTILINE)
    for command, (signature, values) in zip(commands, inputs.items(), strict=True):
        _, name, *arguments = shlex.split(command)
        assert signature in arguments
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        importlib.import_module(name).main()
        session = runtime.InferenceSession(arguments[-1])
        names = [output.name for output in session.get_outputs()]
        (argument,) = session.get_inputs()
        for size in (1, 5):
            result = session.run(names, {argument.name: values[:size]})
            expected = outputs_of(vae, signature, values[:size])
            assert_same(dict(zip(names, result, strict=True)), expected)


@pytest.mark.skipif(not EVERY, reason="takes a minute; two models always run")
@pytest.mark.parametrize(
    ("signature", "choice"),
    [
        *(("encode", name) for name in encoders.POSTERIORS),
        *(("decode", name) for name in decoders.LIKELIHOODS),
    ],
)
def test_every_choice_converts(signature, choice):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    kind = {"encode": "posterior", "decode": "likelihood"}[signature]
    prior = None if choice == "deterministic" else "standard_normal"
    vae = tfpvae.build_vae("dense", image_shape=(8, 8, 1), prior=prior, **{kind: choice})
    function = signatures.build_signatures(vae)[signature]
    file = tf.lite.TFLiteConverter.from_concrete_functions([function], vae).convert()
    runner = litert.Interpreter(model_content=file).get_signature_runner()
    ((argument, details),) = runner.get_input_details().items()
    values = np.random.default_rng(0).random((3, *details["shape"][1:]), np.float32)
    assert_same(runner(**{argument: values}), outputs_of(vae, signature, values))
