"""Loads SavedModels where nothing but TensorFlow can be imported, and asks their signatures.

`python tensorflow_alone.py FOLDER` reads FOLDER/*/questions.npz and writes answers_alone.npz.
"""

import sys
from pathlib import Path


def answer(folder: Path) -> None:
    import numpy as np
    import tensorflow as tf

    signatures = tf.saved_model.load(str(folder / "model")).signatures
    found = {"signatures": np.array(sorted(signatures))}
    questions = np.load(folder / "questions.npz")
    for key in questions.files:
        batch, name, argument = key.split()
        if argument != "seed":
            given = {argument: tf.constant(questions[key])}
            if f"{batch} {name} seed" in questions.files:
                given["seed"] = tf.constant(questions[f"{batch} {name} seed"])
            for output, value in signatures[name](**given).items():
                found[f"{batch} {name} {output}"] = value.numpy()
    np.savez(folder / "answers_alone.npz", **found)


if __name__ == "__main__":
    for module in ("tfpvae", "tensorflow_probability", "tf_keras", "keras"):
        sys.modules[module] = None  # an import of it fails from now on
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        answer(folder)
