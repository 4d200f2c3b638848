"""Trains the published network on the real MNIST, for `tests.test_real_data`.

`python -m tests.dense_on_mnist FOLDER` prints the scores of the test images as JSON.
"""

import json
import sys
from pathlib import Path

import tf_keras

import tfpvae


def main(folder: Path) -> None:
    training, test = tfpvae.datasets.load_mnist(source=folder)
    vae = tfpvae.build_vae("dense")
    vae.compile(tf_keras.optimizers.RMSprop(1e-3), jit_compile=True)
    vae.fit(training.images, batch_size=100, epochs=10, verbose=0)
    print(json.dumps(vae.evaluate(test.images, batch_size=500, verbose=0, return_dict=True)))


if __name__ == "__main__":
    tf_keras.utils.set_random_seed(0)
    main(Path(sys.argv[1]))
