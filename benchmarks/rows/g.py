"""Row G: networks of convolutions, of one group of latents with a flow prior and of many groups.

"residual" with a flow as the prior, and the convolutional "ladder", on the images of row F. The
setup is of no paper: Adam in batches of 100, its rate rising to 1e-3 and falling as a cosine, the
KL warming up over a tenth of the steps, and the moving average of the weights at the end. The
published number is of the two-level convolutional VAE with the VampPrior.
"""

import tf_keras

import tfpvae
from rows import f
from rows.scoring import elbo_and_nll
from rows.training import Task, WarmCosine, train
from tfpvae import datasets

PUBLISHED = "NLL 81.1 (convHVAE with the VampPrior, Tomczak and Welling 2018), of 5,000 samples"
RUNS = ("residual", "ladder")
EPOCHS = 60
TEST_SAMPLES = 500
BATCH_SIZE = 100
LATENT_DIM = 40
LADDER = {"groups": [2, 1], "latent_channels": 4, "width": 24}  # of 7x7 and 14x14


def build(name: str, images, steps: int, seed: int) -> tfpvae.VAE:
    """Returns the VAE of one network, its KL warming up over steps."""
    tf_keras.utils.set_random_seed(seed)
    options: dict = {"backbone_options": LADDER, "pixel_mean": images.mean()}
    if name == "residual":
        prior = tfpvae.build_prior("flow", latent_dim=LATENT_DIM, seed=seed)
        options = {"latent_dim": LATENT_DIM, "prior": prior, "start_images": images[:2000]}
    return tfpvae.build_vae(
        name,
        image_shape=(28, 28, 1),
        kl_weight=tfpvae.schedules.LinearWarmup(steps),
        **options,
    )


def run(name: str, task: Task) -> dict:
    """Returns -ELBO and NLL of the test images with one network."""
    images, validation, test = f.images_of(task)
    steps = task.epochs * (len(images) // BATCH_SIZE)
    vae = build(name, images, max(1, steps // 10), task.seed)
    numbers = train(
        vae,
        tf_keras.optimizers.Adam(WarmCosine(1e-3, steps), use_ema=True, ema_momentum=0.999),
        lambda seed: datasets.batches(images, batch_size=BATCH_SIZE, shuffle=True, seed=seed),
        task,
        validation_data=datasets.batches(validation, batch_size=1000),
    )
    del numbers["log"]
    return elbo_and_nll(vae, test, task) | numbers | {"parameters": vae.count_params()}
