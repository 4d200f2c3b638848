"""Row A: the plain VAE of the tutorials, on gray pixels scored with the Bernoulli cross-entropy.

784-256-2 and back, relu, pixels x / 255, RMSprop 1e-3 (rho 0.9), batches of 100, one draw of z, 50
epochs over the 60,000 training images. The score is no density, and cannot be compared with other
rows.
"""

import numpy as np
import tf_keras

import tfpvae
from rows.training import Task, train
from tfpvae import datasets

PUBLISHED = "-ELBO 171.7 / 157.7 / 153.7 / 150.9 after 1 / 10 / 20 / 50 epochs; again 151.5 at 50"
RUNS = ("dense",)
EPOCHS = 50
TEST_SAMPLES = 1
SCORED = (1, 10, 20, 50)


def run(name: str, task: Task) -> dict:
    """Returns -ELBO of the test images after 1, 10, 20 and 50 epochs, and after the last."""
    training, test = datasets.load_mnist("mnist", source=task.data)
    images = test.images[: task.test_images]
    tf_keras.utils.set_random_seed(task.seed)
    vae = tfpvae.build_vae(name, latent_dim=2)

    def score(epoch):
        if epoch not in (*SCORED, task.epochs):
            return {}
        elbo = vae.elbo(images, task.test_samples, seed=task.seed)
        return {"test_negative_elbo": -np.mean(elbo)}

    numbers = train(
        vae,
        tf_keras.optimizers.RMSprop(1e-3, rho=0.9),
        lambda seed: datasets.batches(training.images, batch_size=100, shuffle=True, seed=seed),
        task,
        score,
    )
    scored = [line for line in numbers.pop("log") if "test_negative_elbo" in line]
    elbos = {f"negative_elbo_{line['epoch']}": line["test_negative_elbo"] for line in scored}
    return elbos | numbers
