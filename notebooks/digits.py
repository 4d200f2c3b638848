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
# A variational autoencoder with a latent space of two dimensions, which can be drawn as a map, and
# one of ten, which knows more: both in a minute or two on two processor cores.
#
# It wants `tfpvae` with what figures need: `pip install ".[figures]"` in the folder of its sources.
# On Colab, upload the wheel that `python -m build --wheel` makes there, and then
# `%pip install tfpvae-*.whl matplotlib scikit-learn`. What TensorFlow says of
# processors and GPUs, as it is imported, is no error.

# %%
# %matplotlib inline
import numpy as np
import tensorflow as tf
import tf_keras

import tfpvae
from tfpvae import datasets, evaluation, figures

PICTURES, EPOCHS = 8000, 25

tf_keras.utils.set_random_seed(0)  # of the first weights and of all draws in training

# %% [markdown]
# ## Pictures
#
# Handwriting, 28x28 pixels, that a program draws.

# %%
digits = datasets.draw_digits(PICTURES, seed=0)
names = digits.class_names
is_test = np.arange(PICTURES) // 10 % 5 == 4  # ten in each fifty
train, test, test_labels = digits.images[~is_test], digits.images[is_test], digits.labels[is_test]
figures.mosaic(train[:30], columns=10)

# %% [markdown]
# MNIST takes their place like this, from a folder of its four IDX files, gzipped or not;
# `load_mnist("mnist")` without a source fetches it, and "fashion_mnist" and "kuzushiji_mnist" too.
#
# ```python
# digits, tests = datasets.load_mnist("mnist", source="mnist_files")
# train, test, test_labels = digits.images, tests.images, tests.labels
# ```
#
# Each pixel becomes 0 or 1, with its grey as the probability: of such pixels a Bernoulli, which
# `build_vae` takes if nothing else is said, is a true probability, and its logarithm a number that
# compares with others.

# %%
train, test = datasets.binarize(train, seed=0), datasets.binarize(test, seed=1)

# %% [markdown]
# ## Model
#
# Three distributions: a prior $p(z) = \mathcal{N}(0, I)$, a posterior
# $q(z|x) = \mathcal{N}(m(x), \mathrm{diag}\, s(x)^2)$ and a likelihood $p(x|z)$, Bernoullis of
# probabilities $\pi(z)$. Networks with one hidden layer of 256 compute $m$, $s$ and $\pi$. They are
# trained to make least
#
# $$-\mathbb{E}_{q(z|x)}[\log p(x|z)] + \mathrm{KL}(q(z|x) \,\|\, p(z)) \ge -\log p(x),$$
#
# which the progress bar shows as `nll`, `kl` and `loss`, their sum: nats an image.


# %%
def trained(latent_dim):
    vae = tfpvae.build_vae("dense", latent_dim=latent_dim, pixel_mean=train.mean(axis=0))
    vae.compile(tf_keras.optimizers.Adam(1e-3))
    history = vae.fit(train, batch_size=50, epochs=EPOCHS, validation_data=test).history
    return vae, history


flat, history = trained(latent_dim=2)
figures.history(history)

# %% [markdown]
# ## A map
#
# Where the test pictures lie: the means of $q(z|x)$. Nobody has told the networks which digit is
# which.

# %%
means = flat.encoder(test).mean().numpy()
figures.latent_scatter(means, test_labels, class_names=names, limits=(-4, 4))

# %% [markdown]
# And what the decoder makes of each place.

# %%
square = figures.latent_square(15, 3.0)
figures.latent_grid(flat.decoder(square).mean(), limit=3.0)

# %% [markdown]
# ## Ten dimensions
#
# Two numbers say too little of a digit; where the ten digits meet on the map, they are taken for
# one another. Ten numbers make a better model, though not one that can be drawn.

# %%
vae, history = trained(latent_dim=10)
shown = [np.flatnonzero(test_labels == label)[0] for label in range(10)]
copies = {
    "2 dimensions": flat.reconstruct(test[shown]),
    "10 dimensions": vae.reconstruct(test[shown]),
}
figures.reconstructions(test[shown], copies)

# %% [markdown]
# Samples: latents from the prior, decoded.

# %%
samples = [model.sample(49, seed=0).numpy() for model in (flat, vae)]
figures.mosaics(samples, labels=["2 dimensions", "10 dimensions"])

# %% [markdown]
# One latent dimension after the other, all else staying at that of one test picture: the four that
# tell most.

# %%
means = vae.encoder(test).mean().numpy()
most = np.argsort(-means.var(axis=0))[:4]
values = np.linspace(-2.4, 2.4, 9)
ways = np.tile(means[0], [4, len(values), 1])
for way, dimension in zip(ways, most, strict=True):
    way[:, dimension] = values
decoded = [vae.decoder(way).mean() for way in ways]
figures.traversal(np.stack(decoded), values=values, names=[f"z{1 + d}" for d in most])

# %% [markdown]
# ## What they are worth
#
# The docs have a page on what each of these numbers means, and on when to trust it. The two models
# are scored on the same pixels, so that their `log p(x)` compare.

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
# A folder brings all of it back: distributions, optimizer and all.

# %%
vae.save("digits")
again = tf_keras.models.load_model("digits")
assert np.allclose(again.sample(4, seed=1), vae.sample(4, seed=1), atol=1e-5)

# %% [markdown]
# Whoever has TensorFlow and nothing else uses the same folder.

# %%
served = tf.saved_model.load("digits")
drawn = served.signatures["sample"](num_samples=tf.constant(10), seed=tf.constant([0, 1]))
figures.mosaic(drawn["images"], columns=10)
