"""Records the outputs of a model when it is saved, and compares them with the loaded model.

`python -m tests.contracts.saved FOLDER` loads all models of a folder in a new process, in safe
mode, and prints one line of JSON per model for the tests to read.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tf_keras

from tests.contracts.registry import BY_NAME, EVERY, LATENT_DIM, Case, parameters

FORMATS = {"keras": "model.keras", "savedmodel": "model", "weights": "model.weights.h5"}
SEED = (3, 4)
CUSTOM = "learned mixture"  # the prior that is an object


def formats(case: Case) -> list[str]:
    """Returns the formats of a case: all, or a file alone where others have its parts."""
    is_repeated = case.posterior != "deterministic" and case.prior in ("standard_normal", CUSTOM)
    return ["keras"] if is_repeated and not EVERY else [*FORMATS]


def outputs(vae, case: Case) -> dict[str, np.ndarray]:
    """Returns the weights of a model, and the parameters of its distributions on fixed inputs."""
    latents = np.random.default_rng(1).normal(size=(4, LATENT_DIM)).astype("float32")
    result = {}
    for part, inputs in (("encoder", case.images(4)), ("decoder", latents)):
        for i, value in enumerate(parameters(getattr(vae, part)(case.with_labels(inputs)))):
            result[f"{part} {i}"] = value
    for i, weight in enumerate(vae.get_weights()):
        result[f"weight {i}"] = weight
    if vae.prior is not None:
        result["prior"] = vae.prior.log_prob(latents).numpy()
    return result


def write(folder: Path, name: str, vae) -> None:
    folder.mkdir()
    for written_as in formats(BY_NAME[name]):
        save = vae.save_weights if written_as == "weights" else vae.save
        save(folder / FORMATS[written_as])
    optimizer = {
        f"optimizer {i}": variable.numpy() for i, variable in enumerate(vae.optimizer.variables)
    }
    np.savez(folder / "outputs.npz", **outputs(vae, BY_NAME[name]), **optimizer)
    (folder / "name.json").write_text(json.dumps(name))


def load(folder: Path, name: str, written_as: str):
    path = folder / FORMATS[written_as]
    if written_as != "weights":
        return tf_keras.models.load_model(path)  # safe mode is the default
    vae = BY_NAME[name].build()
    vae.compile()
    vae.load_weights(path)
    return vae


def check(folder: Path, written_as: str) -> dict:
    """Loads a model, compares it with its record, trains it one step, and returns a report."""
    name = json.loads((folder / "name.json").read_text())
    vae = load(folder, name, written_as)
    expected = dict(np.load(folder / "outputs.npz"))
    result = outputs(vae, BY_NAME[name])
    if written_as != "weights":
        result |= {
            f"optimizer {i}": variable.numpy() for i, variable in enumerate(vae.optimizer.variables)
        }
    else:
        expected = {
            key: value for key, value in expected.items() if not key.startswith("optimizer")
        }
    differing = sorted(
        key
        for key in expected.keys() | result.keys()
        if key not in expected
        or key not in result
        or not np.array_equal(expected[key], result[key])
    )
    steps = int(vae.optimizer.iterations.numpy())
    vae.run_eagerly = True
    history = vae.fit(
        BY_NAME[name].with_labels(BY_NAME[name].images(8)), batch_size=8, verbose=0
    ).history
    return {
        "name": name,
        "format": written_as,
        "type": type(vae).__name__,
        "compared": len(expected),
        "differing": differing,
        "steps": [steps, int(vae.optimizer.iterations.numpy())],
        "loss": history["loss"][0],
    }


if __name__ == "__main__":
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        name = json.loads((folder / "name.json").read_text())
        for written_as in formats(BY_NAME[name]):
            print(json.dumps(check(folder, written_as)))
