"""Scores of a trained VAE on test images, in nats per image."""

import time

import numpy as np

import tfpvae
from rows.training import Task

IMAGES_A_TIME = 500  # per line of progress
ACTIVE = 0.01  # least variance of a posterior mean over images, Burda et al. 2016


def elbo_and_nll(vae: tfpvae.VAE, images: np.ndarray, task: Task) -> dict:
    """Returns -ELBO, a mean over 10 draws, and the importance-weighted NLL of test images."""
    images = images[: task.test_images]
    bounds, seconds = _log_likelihoods(vae, images, task)
    return {
        "negative_elbo": float(-np.mean(vae.elbo(images, 10, seed=task.seed))),
        "nll": float(-bounds.mean()),
        "nll_standard_error": float(bounds.std() / np.sqrt(len(bounds))),
        "nll_seconds": seconds,
    }


def _log_likelihoods(vae: tfpvae.VAE, images: np.ndarray, task: Task) -> tuple[np.ndarray, float]:
    """Returns log p(x) of each image and the seconds; resumes an interrupted run."""
    path = task.folder / f"log_likelihoods_{task.epochs}_epochs_{task.test_samples}_samples.npz"
    saved = np.load(path) if path.exists() else {"values": np.zeros(0, "float32"), "seconds": 0.0}
    values, seconds = saved["values"], float(saved["seconds"])
    for i in range(len(values), len(images), IMAGES_A_TIME):
        start = time.perf_counter()
        batch = images[i : i + IMAGES_A_TIME]
        bound = vae.log_likelihood(batch, task.test_samples, seed=task.seed + i)
        values = np.concatenate([values, bound])
        seconds += time.perf_counter() - start
        np.savez(path, values=values, seconds=seconds)
        print(
            f"   {len(values)} test images  nll {-values.mean():.3f}  {seconds:.0f} s", flush=True
        )
    return values[: len(images)], seconds


def active_units(vae: tfpvae.VAE, images: np.ndarray) -> int:
    """Returns how many latent dimensions have Var over images of E[z|x] above 0.01."""
    return int(np.sum(vae.encode(images).numpy().var(axis=0) > ACTIVE))
