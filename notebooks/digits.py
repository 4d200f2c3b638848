# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Digits
#
# This notebook trains two variational autoencoders: one with a latent space of two dimensions,
# which can be drawn as a map, and one of ten dimensions, which scores better. Both take a minute or
# two on two processor cores.
#
# It requires `tfpvae` with the packages for figures: `pip install ".[figures]"` in the folder of
# its sources. On Colab, upload the wheel that `python -m build --wheel` makes there, and run
# `%pip install tfpvae-*.whl matplotlib scikit-learn`. Messages about processors and GPUs, when
# TensorFlow is imported, are not errors.

# %%
# %matplotlib inline
import numpy as np
import tensorflow as tf
import tf_keras

import tfpvae
from tfpvae import datasets, evaluation, figures

PICTURES, EPOCHS = 8000, 25

tf_keras.utils.set_random_seed(0)  # for the first weights and all draws in training

# %% [markdown]
# ## Images
#
# A program draws handwritten digits of 28x28 pixels.

# %%
digits = datasets.draw_digits(PICTURES, seed=0)
names = digits.class_names
is_test = np.arange(PICTURES) // 10 % 5 == 4  # ten of every fifty
train, test, test_labels = digits.images[~is_test], digits.images[is_test], digits.labels[is_test]
figures.mosaic(train[:30], columns=10)

# %% [markdown]
# To use MNIST instead, load it from a folder of its four IDX files, gzipped or not. Without a
# source, `load_mnist("mnist")` downloads it; "fashion_mnist" and "kuzushiji_mnist" work too.
#
# ```python
# digits, tests = datasets.load_mnist("mnist", source="mnist_files")
# train, test, test_labels = digits.images, tests.images, tests.labels
# ```
#
# Each pixel becomes 0 or 1, with its gray value as the probability of 1. For such pixels the
# Bernoulli likelihood, the default of `build_vae`, is a true probability, and its logarithm
# compares with that of other models.

# %%
train, test = datasets.binarize(train, seed=0), datasets.binarize(test, seed=1)

# %% [markdown]
# ## Model
#
# The model has three distributions: a prior $p(z) = \mathcal{N}(0, I)$, a posterior
# $q(z|x) = \mathcal{N}(m(x), \mathrm{diag}\, s(x)^2)$ and a likelihood $p(x|z)$ of Bernoullis with
# probabilities $\pi(z)$. Networks with one hidden layer of 256 units compute $m$, $s$ and $\pi$.
# They are trained to minimize
#
# $$-\mathbb{E}_{q(z|x)}[\log p(x|z)] + \mathrm{KL}(q(z|x) \,\|\, p(z)) \ge -\log p(x),$$
#
# which the progress bar shows as `nll`, `kl` and their sum `loss`, in nats per image.


# %%
def train_vae(latent_dim):
    vae = tfpvae.build_vae("dense", latent_dim=latent_dim, pixel_mean=train.mean(axis=0))
    vae.compile(tf_keras.optimizers.Adam(1e-3))
    history = vae.fit(train, batch_size=50, epochs=EPOCHS, validation_data=test).history
    return vae, history


flat, history = train_vae(latent_dim=2)
figures.history(history)

# %% [markdown]
# ## A map
#
# The points are the codes of the test images, the means of $q(z|x)$. The networks were trained
# without the labels.

# %%
codes = flat.encode(test).numpy()
figures.latent_scatter(codes, test_labels, class_names=names, limits=(-4, 4))

# %% [markdown]
# The decoder turns each point of the map into an image.

# %%
square = figures.latent_square(15, 3.0)
figures.latent_grid(flat.decode(square), limit=3.0)

# %% [markdown]
# ## Ten dimensions
#
# Two numbers say too little about a digit: where digits meet on the map, the model confuses them.
# Ten numbers make a better model, though not one that can be drawn as a map.

# %%
vae, history = train_vae(latent_dim=10)
shown = [np.flatnonzero(test_labels == label)[0] for label in range(10)]
copies = {
    "2 dimensions": flat.reconstruct(test[shown]),
    "10 dimensions": vae.reconstruct(test[shown]),
}
figures.reconstructions(test[shown], copies)

# %% [markdown]
# Samples are decoded latents from the prior.

# %%
samples = [model.sample(49, seed=0).numpy() for model in (flat, vae)]
figures.mosaics(samples, labels=["2 dimensions", "10 dimensions"])

# %% [markdown]
# A traversal changes one latent dimension of a test image and keeps the others. These are the four
# dimensions that carry the most information.

# %%
codes = vae.encode(test).numpy()
most = np.argsort(-codes.var(axis=0))[:4]
values = np.linspace(-2.4, 2.4, 9)
lines = np.tile(codes[0], [4, len(values), 1])
for line, dimension in zip(lines, most, strict=True):
    line[:, dimension] = values
decoded = [vae.decode(line) for line in lines]
figures.traversal(np.stack(decoded), values=values, names=[f"z{1 + d}" for d in most])

# %% [markdown]
# ## Evaluation
#
# The page "Evaluating a VAE" of the docs explains each of these numbers and when to trust it. Both
# models are scored on the same pixels, so their `log p(x)` compare.

# %%
few = slice(0, 500)
reports = {}
for dimensions, model in ((2, flat), (10, vae)):
    print(f"\n{dimensions} dimensions\n")
    reports[dimensions] = evaluation.report(
        model, test[few], test_labels[few], num_samples=500, seed=0
    )
    print(reports[dimensions])

# %% [markdown]
# ## Saved and loaded
#
# The folder contains the whole model: networks, distributions and the state of the optimizer.

# %%
vae.save("digits")
again = tf_keras.models.load_model("digits")
assert np.allclose(again.sample(4, seed=1), vae.sample(4, seed=1), atol=1e-5)

# %% [markdown]
# The same folder loads with TensorFlow alone.

# %%
served = tf.saved_model.load("digits")
drawn = served.signatures["sample"](num_samples=tf.constant(10), seed=tf.constant([0, 1]))
figures.mosaic(drawn["images"], columns=10)
