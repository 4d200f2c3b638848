"""Calls the signatures of SavedModels where only TensorFlow can be imported.

`python -m tests.contracts.tensorflow_alone FOLDER` reads inputs.npz in each folder of FOLDER and
writes outputs_alone.npz beside it.
"""

import json
import sys
from pathlib import Path


def run(folder: Path) -> None:
    import numpy as np
    import tensorflow as tf

    signatures = tf.saved_model.load(str(folder / "model")).signatures
    arguments = {
        name: sorted(signature.structured_input_signature[1])
        for name, signature in signatures.items()
    }
    outputs = {"signatures": json.dumps(arguments)}
    inputs = np.load(folder / "inputs.npz")
    calls = {}
    for key in inputs.files:
        call, argument = key.rsplit(maxsplit=1)
        calls.setdefault(call, {})[argument] = tf.constant(inputs[key])
    for call, arguments in calls.items():
        for output, value in signatures[call.split()[1]](**arguments).items():
            outputs[f"{call} {output}"] = value.numpy()
    np.savez(folder / "outputs_alone.npz", **outputs)


if __name__ == "__main__":
    for module in ("tfpvae", "tensorflow_probability", "tf_keras", "keras"):
        sys.modules[module] = None  # makes its import fail
    for inputs in sorted(Path(sys.argv[1]).glob("*/inputs.npz")):
        run(inputs.parent)
