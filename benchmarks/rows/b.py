"""Row B: a VAE of two hidden layers on statically binarized MNIST.

The program jaanli/variational-autoencoder: MNIST binarized once for training and test, the first
50,000 images to train on and the last 10,000 to choose among epochs, 784-256-256-128 and back,
relu, a softplus scale, centered RMSprop 1e-3 (rho 0.99, as in PyTorch), batches of 128, 30,030
steps (77 epochs of 390), the weights of the best epoch on the validation images, 1,000 importance
samples.
"""

import tf_keras

import tfpvae
from rows.scoring import elbo_and_nll
from rows.training import Task, best_weights, train
from tfpvae import datasets

PUBLISHED = "NLL 100.31 and -ELBO 106.64 (PyTorch), 96.72 and 104.87 (JAX, 2 x 512)"
RUNS = ("dense",)
EPOCHS = 77
TEST_SAMPLES = 1000
BATCH_SIZE = 128


def run(name: str, task: Task) -> dict:
    """Returns -ELBO and NLL of the test images."""
    training, test = datasets.load_mnist("mnist", source=task.data)
    binarized = datasets.binarize(training.images, seed=task.seed)
    num_training = len(binarized) * 5 // 6
    tf_keras.utils.set_random_seed(task.seed)
    relu = [tf_keras.layers.Dense(256, "relu") for _ in range(4)]
    vae = tfpvae.build_vae(
        name,
        latent_dim=128,
        encoder_backbone=tf_keras.Sequential([tf_keras.layers.Flatten(), *relu[:2]]),
        decoder_backbone=tf_keras.Sequential([*relu[2:], tf_keras.layers.Dense(784)]),
    )

    def batches(seed):
        dataset = datasets.batches(
            binarized[:num_training], batch_size=BATCH_SIZE, shuffle=True, seed=seed
        )
        return dataset.take(num_training // BATCH_SIZE)  # without the last short batch

    numbers = train(
        vae,
        tf_keras.optimizers.RMSprop(1e-3, rho=0.99, centered=True),
        batches,
        task,
        callbacks=[best_weights(task)],
        validation_data=datasets.batches(binarized[num_training:], batch_size=1000),
    )
    vae.load_weights(task.folder / "best").expect_partial()
    best = max(numbers.pop("log"), key=lambda line: line["val_elbo"])["epoch"]
    scores = elbo_and_nll(vae, datasets.binarize(test.images, seed=task.seed), task)
    return scores | numbers | {"best_epoch": best, "kl_method": vae.kl_method}
