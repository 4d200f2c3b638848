"""Scores of a trained VAE on test images, in nats an image."""

import time

import numpy as np

import tfpvae
from rows.training import Task

IMAGES_A_TIME = 500  # so that one sees it go on
ACTIVE = 0.01  # least variance of a posterior mean over images, Burda et al. 2016


def elbo_and_nll(vae: tfpvae.VAE, images: np.ndarray, task: Task) -> dict:
    """Returns -ELBO, a mean over 10 draws, and the importance-weighted NLL of test images."""
    images = images[: task.test_images]
    start = time.perf_counter()
    bounds = []
    for i in range(0, len(images), IMAGES_A_TIME):
        some = images[i : i + IMAGES_A_TIME]
        bounds.append(vae.log_likelihood(some, task.test_samples, seed=task.seed + i).numpy())
        so_far = np.concatenate(bounds)
        seconds = time.perf_counter() - start
        print(
            f"   {len(so_far)} test images  nll {-so_far.mean():.3f}  {seconds:.0f} s", flush=True
        )
    return {
        "negative_elbo": float(-np.mean(vae.elbo(images, 10, seed=task.seed))),
        "nll": float(-so_far.mean()),
        "nll_standard_error": float(so_far.std() / np.sqrt(len(so_far))),
        "nll_seconds": seconds,
    }


def active_units(vae: tfpvae.VAE, images: np.ndarray) -> int:
    """Returns how many latent dimensions have Var over images of E[z|x] above 0.01."""
    means = [vae.encoder(images[i : i + 1000]).mean().numpy() for i in range(0, len(images), 1000)]
    return int(np.sum(np.concatenate(means).var(axis=0) > ACTIVE))
