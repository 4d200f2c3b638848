"""Row G: networks of convolutions, of one group of latents, of two, and of many.

"residual" with a flow as the prior; the same network with two groups of latents, the flow being the
prior of the top one; and the convolutional "ladder", on the images of row F. The setup is of no
paper: Adam in batches of 100, its rate rising to the highest and falling as a cosine, the KL
warming up over a tenth of the steps, and the moving average of the weights at the end. The
published number is of the two-level convolutional VAE with the VampPrior.
"""

import tf_keras

import tfpvae
from rows import f
from rows.scoring import elbo_and_nll
from rows.training import Task, WarmCosine, train
from tfpvae import datasets

PUBLISHED = "NLL 81.1 (convHVAE with the VampPrior, Tomczak and Welling 2018), of 5,000 samples"
RUNS = ("residual", "two_groups", "ladder")
EPOCHS = 60
TEST_SAMPLES = 500
BATCH_SIZE = 100
LATENT_DIM = 40  # of one group
RATES = {"residual": 1e-3, "two_groups": 3e-3, "ladder": 2e-3}  # the highest
CLIP_NORM = 200.0  # of all gradients together, 80 to 200 in the first epochs, and a rare one more
LADDER = {"groups": [2, 1], "latent_channels": 2, "width": 24}  # of 7x7 and 14x14


def build(name: str, images, steps: int, seed: int) -> tfpvae.VAE:
    """Returns the VAE of one run, its KL warming up over steps."""
    tf_keras.utils.set_random_seed(seed)
    options: dict = {"backbone_options": LADDER, "pixel_mean": images.mean()}
    if name != "ladder":
        prior = tfpvae.build_prior("flow", latent_dim=LATENT_DIM, seed=seed)
        options = {"latent_dim": LATENT_DIM, "prior": prior, "start_images": images[:2000]}
    if name == "two_groups":
        sizes = LATENT_DIM, LATENT_DIM
        path = tfpvae.layers.DensePath(sizes, hidden_units=(300,), context_size=300)
        posterior = tfpvae.layers.Ladder(sum(sizes), path=path, name="posterior")
        options |= {"latent_dim": sum(sizes), "posterior": posterior}
    return tfpvae.build_vae(
        "ladder" if name == "ladder" else "residual",
        image_shape=(28, 28, 1),
        kl_weight=tfpvae.schedules.LinearWarmup(steps),
        **options,
    )


def run(name: str, task: Task) -> dict:
    """Returns -ELBO and NLL of the test images of one run."""
    images, validation, test = f.images_of(task)
    steps = task.epochs * (len(images) // BATCH_SIZE)
    vae = build(name, images, max(1, steps // 10), task.seed)
    optimizer = tf_keras.optimizers.Adam(
        WarmCosine(RATES[name], steps),
        global_clipnorm=None if name == "residual" else CLIP_NORM,
        use_ema=True,
        ema_momentum=0.999,
    )
    numbers = train(
        vae,
        optimizer,
        lambda seed: datasets.batches(images, batch_size=BATCH_SIZE, shuffle=True, seed=seed),
        task,
        validation_data=datasets.batches(validation, batch_size=1000),
    )
    del numbers["log"]
    return elbo_and_nll(vae, test, task) | numbers | {"parameters": vae.count_params()}
