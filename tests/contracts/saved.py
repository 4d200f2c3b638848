"""What is written down of a model before it is saved, to be held against the loaded one.

`python -m tests.contracts.saved FOLDER` loads all models of a folder in a new process, each in safe
mode, and prints what it found, a JSON line a model. The tests read that.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tf_keras

from tests.contracts.registry import BY_NAME, LATENT_DIM, Case, images, parameters

FORMATS = {"keras": "model.keras", "savedmodel": "model", "weights": "model.weights.h5"}
SEED = (3, 4)


def answers(vae, case: Case) -> dict[str, np.ndarray]:
    """What the parts of a model are made of, on fixed images and latents, and its weights."""
    latents = np.random.default_rng(1).normal(size=(4, LATENT_DIM)).astype("float32")
    found = {}
    for part, given in (("encoder", images(4)), ("decoder", latents)):
        for i, value in enumerate(parameters(getattr(vae, part)(case.given(given)))):
            found[f"{part} {i}"] = value
    for i, weight in enumerate(vae.get_weights()):
        found[f"weight {i}"] = weight
    if vae.prior is not None:
        found["prior"] = vae.prior.log_prob(latents).numpy()
    return found


def write(folder: Path, name: str, vae) -> None:
    folder.mkdir()
    vae.save(folder / FORMATS["keras"])
    vae.save(folder / FORMATS["savedmodel"])
    vae.save_weights(folder / FORMATS["weights"])
    optimizer = {
        f"optimizer {i}": variable.numpy() for i, variable in enumerate(vae.optimizer.variables)
    }
    np.savez(folder / "answers.npz", **answers(vae, BY_NAME[name]), **optimizer)
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
    """Returns what differs between a loaded model and what was written down of it."""
    name = json.loads((folder / "name.json").read_text())
    vae = load(folder, name, written_as)
    wanted = dict(np.load(folder / "answers.npz"))
    found = answers(vae, BY_NAME[name])
    if written_as != "weights":
        found |= {
            f"optimizer {i}": variable.numpy() for i, variable in enumerate(vae.optimizer.variables)
        }
    else:
        wanted = {key: value for key, value in wanted.items() if not key.startswith("optimizer")}
    differing = sorted(
        key
        for key in wanted.keys() | found.keys()
        if key not in wanted or key not in found or not np.array_equal(wanted[key], found[key])
    )
    steps = int(vae.optimizer.iterations.numpy())
    vae.run_eagerly = True
    history = vae.fit(BY_NAME[name].given(images(8)), batch_size=8, verbose=0).history
    return {
        "name": name,
        "format": written_as,
        "type": type(vae).__name__,
        "compared": len(wanted),
        "differing": differing,
        "steps": [steps, int(vae.optimizer.iterations.numpy())],
        "loss": history["loss"][0],
    }


if __name__ == "__main__":
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        for written_as in FORMATS:
            print(json.dumps(check(folder, written_as)))
