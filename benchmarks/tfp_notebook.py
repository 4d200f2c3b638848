"""Runs the VAE notebook of TensorFlow Probability with `tfpvae.layers` for `tfp.layers`.

`python benchmarks/tfp_notebook.py CHECKOUT` takes the folder of a checkout of
github.com/tensorflow/probability, of which it keeps nothing. It runs the cells word for word but
for three lines: the import of the layers, TensorFlow Datasets, in whose place the MNIST of
`tfpvae.datasets` stands, and the number of steps. Then it saves the model in each format, loads
it, and compares the distributions.
"""

import argparse
import importlib
import json
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae

NOTEBOOK = "tensorflow_probability/examples/jupyter_notebooks/Probabilistic_Layers_VAE.ipynb"
FORMATS = ("vae.keras", "vae", "vae.h5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="folder of a checkout of TFP")
    parser.add_argument("--source", help="folder of MNIST; without one it is downloaded")
    parser.add_argument("--steps", type=int, default=300, help="of training")
    arguments = parser.parse_args()
    cells = json.loads((arguments.checkout / NOTEBOOK).read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    code = "\n".join(source for source in sources if "display_imgs" not in source)
    for old, new in (
        ("tfpl = tfp.layers", "from tfpvae import layers as tfpl"),
        ("epochs=15", f"epochs=1, steps_per_epoch={arguments.steps}"),
    ):
        if code.count(old) != 1:
            sys.exit(f"{NOTEBOOK}: wanted one {old!r}, got {code.count(old)}.")
        code = code.replace(old, new)
    sys.modules["tensorflow_datasets"] = types.ModuleType("tensorflow_datasets")
    sys.modules["tensorflow_datasets"].load = load_function(arguments.source)
    with tempfile.TemporaryDirectory() as folder:
        # A module, since Keras saves a lambda by its source.
        path = Path(folder) / "notebook.py"
        path.write_text("import tf_keras\n" + code)
        sys.path.insert(0, folder)
        notebook = importlib.import_module("notebook")
        print("loss:", notebook.vae.evaluate(notebook.eval_dataset, verbose=0))
        for name in FORMATS:
            check_saved(notebook, Path(folder) / name)


def check_saved(notebook: types.ModuleType, path: Path) -> None:
    """Saves the model, loads it, and compares the distributions."""
    notebook.vae.save(path)
    # The notebook has a Lambda layer, which is code; its loss is a lambda, too.
    restored = tf_keras.models.load_model(path, compile=False, safe_mode=False)
    assert isinstance(restored(notebook.x), tfp.distributions.Distribution)
    latents = notebook.prior.sample(3)
    expected, actual = (model(latents).mean() for model in (notebook.decoder, restored.layers[-1]))
    np.testing.assert_array_equal(actual, expected)
    print(f"{path.name}: loads and returns distributions, the decoder's as before")


def load_function(source: str | None) -> Callable:
    """Returns what stands for `tfds.load`, on the arrays of `tfpvae.datasets`."""

    def load(**options: Any) -> tuple[dict[str, tf.data.Dataset], types.SimpleNamespace]:
        del options
        parts = zip(("train", "test"), tfpvae.datasets.load_mnist(source=source), strict=True)
        datasets = {
            name: tf.data.Dataset.from_tensor_slices({"image": pictures.images})
            for name, pictures in parts
        }
        image = types.SimpleNamespace(shape=(28, 28, 1))
        return datasets, types.SimpleNamespace(features={"image": image})

    return load


if __name__ == "__main__":
    main()
