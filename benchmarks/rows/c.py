"""Row C: importance-weighted autoencoders of one stochastic layer, k = 1, 5 and 50.

Burda, Grosse and Salakhutdinov 2016, section 5 and table 1: dynamically binarized MNIST,
784-200-200-50 and back, tanh, the decoder's last bias at the logit of the training mean, batches of
20, Adam (beta1 0.99, epsilon 1e-4) at 1e-3 * 10^(-i/7) for 3^i epochs, i = 0..7 (3,280 epochs in
all), 5,000 importance samples at test.
"""

import numpy as np
import tf_keras

import tfpvae
from rows.scoring import active_units, elbo_and_nll
from rows.training import Task, train
from tfpvae import datasets

PUBLISHED = "NLL 86.76 / 85.54 / 84.78 for k = 1 / 5 / 50, active units 19 / 22 / 25"
RUNS = {"k1": 1, "k5": 5, "k50": 50}
EPOCHS = 121  # i = 0..4; the whole schedule has 3,280
TEST_SAMPLES = 5000
BATCH_SIZE = 20


def learning_rate(epoch: int) -> float:
    """Returns 1e-3 * 10^(-i/7) in the 3^i epochs of stage i.

    >>> [round(learning_rate(epoch), 6) for epoch in (0, 1, 3, 4, 12, 13)]
    [0.001, 0.00072, 0.00072, 0.000518, 0.000518, 0.000373]
    """
    stage = 0
    while epoch >= sum(3**i for i in range(stage + 1)):
        stage += 1
    return 1e-3 * 10 ** (-stage / 7)


def build(num_samples: int, pixel_mean: np.ndarray, seed: int) -> tfpvae.VAE:
    """Returns the network of the paper, to be trained on the bound of num_samples draws."""
    tf_keras.utils.set_random_seed(seed)
    tanh = [tf_keras.layers.Dense(200, "tanh") for _ in range(4)]
    return tfpvae.build_vae(
        "dense",
        latent_dim=50,
        objective="iwae",
        num_samples=num_samples,
        encoder_backbone=tf_keras.Sequential([tf_keras.layers.Flatten(), *tanh[:2]]),
        decoder_backbone=tf_keras.Sequential([*tanh[2:], tf_keras.layers.Dense(784)]),
        pixel_mean=pixel_mean,
    )


def run(name: str, task: Task) -> dict:
    """Returns NLL and active units of one k."""
    training, test = datasets.load_mnist("mnist", source=task.data)
    images = training.images
    vae = build(RUNS[name], images.mean(axis=0) / 255, task.seed)

    def batches(seed):
        return datasets.batches(
            images, batch_size=BATCH_SIZE, binarization="dynamic", shuffle=True, seed=seed
        ).take(len(images) // BATCH_SIZE)  # without the last short batch

    numbers = train(
        vae,
        tf_keras.optimizers.Adam(1e-3, beta_1=0.99, epsilon=1e-4),
        batches,
        task,
        callbacks=[tf_keras.callbacks.LearningRateScheduler(learning_rate)],
    )
    del numbers["log"]
    binarized = datasets.binarize(test.images, seed=task.seed)
    active = active_units(vae, binarized)
    return elbo_and_nll(vae, binarized, task) | {"active_units": active} | numbers
