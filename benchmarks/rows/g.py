"""Row G: networks of convolutions, of one group of latents, of two, and of many.

"residual" with a flow as the prior; the same network with two groups of latents, the flow being the
prior of the top one, and the arithmetic of its backbones in bfloat16; and the convolutional
"ladder", on the images of row F. The setup is of no paper: Adam in batches of 100, its rate rising
to the highest and falling as a cosine, the KL warming up over a tenth of the steps, and the moving
average of the weights at the end. Two groups end with epochs that maximize the importance-weighted
bound of five draws. The published number is of the two-level convolutional VAE with the VampPrior.
"""

import tf_keras

import tfpvae
from rows import f
from rows.scoring import elbo_and_nll
from rows.training import Task, WarmCosine

PUBLISHED = "NLL 81.1 (convHVAE with the VampPrior, Tomczak and Welling 2018), of 5,000 samples"
EPOCHS = 60
TEST_SAMPLES = 500
IWAE_EPOCHS = 8  # with which two groups go on after the others, at a quarter of the highest rate
LATENT_DIM = 40  # of one group
RATES = {"residual": 1e-3, "two_groups": 3e-3, "ladder": 2e-3}  # the highest
CLIP_NORM = 200.0  # of all gradients together, 80 to 200 in the first epochs, and a rare one more
LADDER = {"groups": [2, 1], "latent_channels": 2, "width": 24}  # of 7x7 and 14x14


def one_group(images, seed: int) -> dict:
    """Returns the arguments of "residual" with a flow as its prior."""
    prior = tfpvae.build_prior("flow", latent_dim=LATENT_DIM, seed=seed)
    return {
        "architecture": "residual",
        "latent_dim": LATENT_DIM,
        "prior": prior,
        "start_images": images[:2000],
    }


def two_groups(images, seed: int) -> dict:
    """Returns those of "residual" with two groups of latents, the flow for the top one."""
    sizes = LATENT_DIM, LATENT_DIM
    path = tfpvae.layers.DensePath(sizes, hidden_units=(300,), context_size=300)
    posterior = tfpvae.layers.Ladder(sum(sizes), path=path, name="posterior")
    options = {"latent_dim": sum(sizes), "posterior": posterior, "precision": "bfloat16"}
    return one_group(images, seed) | options


def many_groups(images, seed: int) -> dict:
    """Returns those of "ladder"."""
    return {
        "architecture": "ladder",
        "backbone_options": LADDER,
        "pixel_mean": images.mean(),
    }


NETWORKS = {"residual": one_group, "ladder": many_groups, "two_groups": two_groups}
RUNS = (*NETWORKS,)


def build(name: str, images, seed: int, **options) -> tfpvae.VAE:
    """Returns the VAE of one run, with more options of `build_vae`."""
    tf_keras.utils.set_random_seed(seed)
    return tfpvae.build_vae(
        image_shape=(28, 28, 1),
        **NETWORKS[name](images, seed),
        **options,
    )


def optimizer_of(name: str, rate: float, steps: int) -> tf_keras.optimizers.Optimizer:
    """Returns Adam with a highest rate, and with the moving average of the weights."""
    return tf_keras.optimizers.Adam(
        WarmCosine(rate, steps),
        global_clipnorm=None if name == "residual" else CLIP_NORM,
        use_ema=True,
        ema_momentum=0.999,
    )


def run(name: str, task: Task) -> dict:
    """Returns -ELBO and NLL of the test images of one run."""
    images, validation, test = f.images_of(task)
    steps_per_epoch = len(images) // f.BATCH_SIZE
    steps = task.epochs * steps_per_epoch
    warmup = tfpvae.schedules.LinearWarmup(max(1, steps // 10))
    vae = build(name, images, task.seed, kl_weight=warmup)
    optimizer = optimizer_of(name, RATES[name], steps)
    numbers = f.fit(vae, optimizer, images, validation, task)
    if name == "two_groups":
        epochs = min(task.epochs, IWAE_EPOCHS)
        folder = task.folder / f"iwae_after_{task.epochs}_epochs"
        folder.mkdir(exist_ok=True)
        task = task._replace(folder=folder, epochs=epochs)
        weights = vae.get_weights()
        vae = build(name, images, task.seed, **f.IWAE)
        vae.set_weights(weights)
        optimizer = optimizer_of(name, RATES[name] / 4, epochs * steps_per_epoch)
        more = f.fit(vae, optimizer, images, validation, task)
        numbers |= {f"iwae_{key}": value for key, value in more.items()}
    return elbo_and_nll(vae, test, task) | numbers | {"parameters": vae.count_params()}
