"""Loads SavedModels where nothing but TensorFlow can be imported, and asks their signatures.

`python tensorflow_alone.py FOLDER` reads FOLDER/*/questions.npz and writes answers_alone.npz.
"""

import json
import sys
from pathlib import Path


def answer(folder: Path) -> None:
    import numpy as np
    import tensorflow as tf

    signatures = tf.saved_model.load(str(folder / "model")).signatures
    takes = {name: sorted(one.structured_input_signature[1]) for name, one in signatures.items()}
    found = {"signatures": json.dumps(takes)}
    questions = np.load(folder / "questions.npz")
    calls = {}
    for key in questions.files:
        call, argument = key.rsplit(maxsplit=1)
        calls.setdefault(call, {})[argument] = tf.constant(questions[key])
    for call, arguments in calls.items():
        for output, value in signatures[call.split()[1]](**arguments).items():
            found[f"{call} {output}"] = value.numpy()
    np.savez(folder / "answers_alone.npz", **found)


if __name__ == "__main__":
    for module in ("tfpvae", "tensorflow_probability", "tf_keras", "keras"):
        sys.modules[module] = None  # an import of it fails from now on
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        answer(folder)
