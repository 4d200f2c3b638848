"""Writes the golden models of this release: `python -m tests.golden.make`, once per release.

The folder of a version has each model as a `.keras` file and as a zipped SavedModel, and its
outputs as .npz. `tests/saving/test_golden.py` compares every later version with them.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

import tfpvae

GOLDEN = Path(__file__).parent
SHAPE, LATENT_DIM = (4, 4, 1), 2
MODELS = {
    "plain": {},
    "learned_prior": {
        "posterior": "multivariate_normal_tril",
        "likelihood": "normal",
        "prior": ("mixture", {"num_components": 2}),
        "kl_weight": ("LinearWarmup", 1, 0.5),
    },
}


def images() -> np.ndarray:
    return (np.arange(3 * 16).reshape(3, *SHAPE) % 7 / 7).astype("float32")


def latents() -> np.ndarray:
    return np.array([[0.0, 0.0], [1.0, -1.0], [0.5, 2.0]], "float32")


def build(posterior="independent_normal", likelihood="bernoulli", prior=None, kl_weight=None):
    """Returns a dense VAE of 2 hidden units, trained for one step."""
    layers = tf_keras.layers
    if prior is not None:
        prior = tfpvae.build_prior(prior[0], latent_dim=LATENT_DIM, **prior[1])
    if kl_weight is not None:
        kl_weight = getattr(tfpvae.schedules, kl_weight[0])(*kl_weight[1:])
    vae = tfpvae.build_vae(
        "dense",
        image_shape=SHAPE,
        latent_dim=LATENT_DIM,
        encoder_backbone=tf_keras.Sequential([layers.Flatten(), layers.Dense(2, "tanh")]),
        decoder_backbone=tf_keras.Sequential([layers.Dense(2, "tanh"), layers.Dense(16)]),
        posterior=posterior,
        likelihood=likelihood,
        prior="standard_normal" if prior is None else prior,
        kl_weight=1.0 if kl_weight is None else kl_weight,
    )
    vae.compile(tf_keras.optimizers.Adam(0.01), run_eagerly=True)
    vae.fit(images(), verbose=0)
    return vae


def outputs(vae) -> dict[str, np.ndarray]:
    """Returns the deterministic outputs of a model, its weights and its optimizer's state."""
    posterior, likelihood = vae.encoder(images()), vae.decoder(latents())
    result = {
        "posterior mean": posterior.mean(),
        "posterior stddev": posterior.stddev(),
        "log q(z|x)": posterior.log_prob(latents()),
        "likelihood mean": likelihood.mean(),
        "log p(x|z)": likelihood.log_prob(images()),
        "log p(z)": vae.prior.log_prob(latents()),
        "reconstruction": vae.reconstruct(images()),
        "kl weight": vae.kl_weight,
    }
    result |= {f"weight {i}": weight for i, weight in enumerate(vae.get_weights())}
    result |= {f"optimizer {i}": v.numpy() for i, v in enumerate(vae.optimizer.variables)}
    return {name: np.asarray(value) for name, value in result.items()}


def main() -> None:
    folder = GOLDEN / tfpvae.__version__
    folder.mkdir()
    for name, options in MODELS.items():
        tf_keras.utils.set_random_seed(0)
        vae = build(**options)
        vae.save(folder / f"{name}.keras")
        with tempfile.TemporaryDirectory() as temporary:
            vae.save(Path(temporary, "model"))
            shutil.make_archive(str(folder / name), "zip", Path(temporary, "model"))
        np.savez_compressed(folder / f"{name}.npz", tensorflow=tf.__version__, **outputs(vae))


if __name__ == "__main__":
    main()
