"""Row F: two groups of latents, one above the other, with the VampPrior or the standard prior.

The two-level VAE of Tomczak and Welling 2018, section 4: p(z) = p(z_0) p(z_1|z_0) and
q(z|x) = q(z_0|x) q(z_1|z_0, x), 40 and 40 latents, gated dense layers of 300 in the encoder and the
decoder, and plain ones of 300 between the groups. With --data a folder that has
larochelle_murray_packed.npz (np.packbits of train, valid and test), the images are those of
Larochelle and Murray, as in the paper; else they are binarized as in row D.

The training is of no paper: Adam in batches of 100 with a decay of the weights, without which it
overfits, its rate rising to the highest and falling as a cosine, the KL warming up over a tenth of
the steps, and the moving average of the weights at the end. The third run maximizes the
importance-weighted bound of five draws, with the VampPrior and a clip of the gradients.
"""

import numpy as np
import tf_keras

import tfpvae
from rows import d
from rows.scoring import elbo_and_nll
from rows.training import Task, WarmCosine, train
from tfpvae import datasets

PUBLISHED = "NLL 86.05 (standard), 83.19 (VampPrior), of 5,000 samples"
RUNS = ("standard_normal", "vampprior", "vampprior_iwae")
EPOCHS = 100
TEST_SAMPLES = 500
BATCH_SIZE = 100
RATE = 2e-3  # the highest
WEIGHT_DECAY = 0.1  # times the rate, in each step
IWAE = {"objective": "iwae", "num_samples": 5}  # of the last run
CLIP_NORM = 200.0  # of all gradients of that run together
SIZES = (40, 40)
FILE = "larochelle_murray_packed.npz"


def build(name: str, images, steps: int, seed: int) -> tfpvae.VAE:
    """Returns the VAE of one run, its KL warming up over steps."""
    tf_keras.utils.set_random_seed(seed)
    pixels, latents = tf_keras.Input((28, 28, 1)), tf_keras.Input((sum(SIZES),))
    features = d.gated(d.gated(tf_keras.layers.Flatten()(pixels), 300), 300)
    logits = tf_keras.layers.Dense(784)(d.gated(d.gated(latents, 300), 300))
    prior = "standard_normal"
    if name != prior:
        options = {"image_shape": (28, 28, 1), "num_components": 500, "start_images": images}
        prior = tfpvae.build_prior("vampprior", latent_dim=SIZES[0], seed=seed, **options)
    path = tfpvae.layers.DensePath(SIZES, hidden_units=(300, 300), context_size=300)
    return tfpvae.build_vae(
        "dense",
        latent_dim=sum(SIZES),
        posterior=tfpvae.layers.Ladder(sum(SIZES), path=path, name="posterior"),
        prior=prior,
        encoder_backbone=tf_keras.Model(pixels, features),
        decoder_backbone=tf_keras.Model(latents, logits),
        kl_weight=tfpvae.schedules.LinearWarmup(steps),
        **(IWAE if name == "vampprior_iwae" else {}),
    )


def images_of(task: Task) -> list[np.ndarray]:
    """Returns binary images [N, 28, 28, 1] to train on, to choose the epoch by, and to test."""
    if not (task.data / FILE).exists():
        return [*d.images_of(task)]
    with np.load(task.data / FILE) as packed:
        parts = [np.unpackbits(packed[part], axis=1) for part in ("train", "valid", "test")]
    # The test images are in the order of their classes, and the first would be no sample of them.
    parts[2] = np.random.default_rng(0).permutation(parts[2])
    return [part.reshape(-1, 28, 28, 1).astype("float32") for part in parts]


def run(name: str, task: Task) -> dict:
    """Returns -ELBO and NLL of the test images of one run."""
    parts = images_of(task)
    steps = task.epochs * (len(parts[0]) // BATCH_SIZE)
    vae = build(name, parts[0], max(1, steps // 10), task.seed)
    optimizer = tf_keras.optimizers.AdamW(
        WarmCosine(RATE, steps),
        weight_decay=WEIGHT_DECAY,
        global_clipnorm=CLIP_NORM if name == "vampprior_iwae" else None,
        use_ema=True,
        ema_momentum=0.999,
    )
    optimizer.exclude_from_weight_decay(var_names=["pseudo_inputs"])
    numbers = fit(vae, optimizer, *parts[:2], task)
    return elbo_and_nll(vae, parts[2], task) | numbers | {"parameters": vae.count_params()}


def fit(
    vae: tfpvae.VAE,
    optimizer: tf_keras.optimizers.Optimizer,
    images: np.ndarray,
    validation: np.ndarray,
    task: Task,
) -> dict:
    """Trains on images, and returns the epochs, steps and seconds."""
    numbers = train(
        vae,
        optimizer,
        lambda seed: datasets.batches(images, batch_size=BATCH_SIZE, shuffle=True, seed=seed),
        task,
        validation_data=datasets.batches(validation, batch_size=1000),
    )
    del numbers["log"]
    return numbers
