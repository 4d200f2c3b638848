# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Flowers
#
# This notebook trains a variational autoencoder on small color images and samples new ones, in
# about two minutes on two processor cores.
#
# It requires `tfpvae` with the packages for figures: `pip install ".[figures]"` in the folder of
# its sources. On Colab, upload the wheel that `python -m build --wheel` makes there, and run
# `%pip install tfpvae-*.whl matplotlib scikit-learn`. Messages about processors and GPUs, when
# TensorFlow is imported, are not errors.

# %%
# %matplotlib inline
import numpy as np
import tf_keras

import tfpvae
from tfpvae import datasets, evaluation, ex_post, figures

PICTURES, EPOCHS = 2000, 20

tf_keras.utils.set_random_seed(0)  # for the first weights and all draws in training

# %% [markdown]
# ## Images
#
# A program draws flowers of six kinds. Every fifth image is kept for testing.

# %%
flowers = datasets.draw_flowers(PICTURES, image_shape=(48, 48, 3), seed=0)
is_test = np.arange(PICTURES) % 5 == 4
train, test = flowers.images[~is_test], flowers.images[is_test]
figures.mosaic(train[:24], columns=8)

# %% [markdown]
# To use your own pictures instead, put them into a folder, in any size and any of the usual
# formats:
#
# ```python
# parts = datasets.split_pictures("my_pictures", seed=0)
# loaded = [datasets.load_pictures(part, image_shape=(48, 48, 3)).images for part in parts]
# train, test = loaded[0], loaded[2]
# ```
#
# ## Model
#
# The model has three distributions. Latents are drawn from a prior $p(z)$. The decoder gives the
# images of a latent, $p(x|z)$. The encoder gives the latents that an image may have come from,
# $q(z|x)$. Both networks are trained to raise the evidence lower bound,
#
# $$\log p(x) \ge \mathbb{E}_{q(z|x)}[\log p(x|z)] - \mathrm{KL}(q(z|x) \,\|\, p(z)).$$
#
# "kmnist" is an architecture of four strided convolutions for images of any size. The larger
# "flowers", for 80x80 pixels, takes about ten times as long on a CPU.

# %%
vae = tfpvae.build_vae(
    "kmnist",
    image_shape=train.shape[1:],
    latent_dim=16,
    pixel_mean=train.mean(axis=(0, 1, 2)) / 255,  # decoding starts at the mean color
)
print(vae.prior)
print(vae.encoder(test[:5]))
print(vae.decoder(np.zeros([5, 16], np.float32)))

# %% [markdown]
# ## Training
#
# The progress bar shows nats per image: `nll` is $-\log p(x|z)$, `kl` the KL, and `loss` their sum.
# If `kl` stayed at 0, the latents would carry no information about the images.

# %%
steps = EPOCHS * -(-len(train) // 20)
rate = tf_keras.optimizers.schedules.CosineDecay(2e-3, steps)
vae.compile(tf_keras.optimizers.Adam(rate))
history = vae.fit(train, batch_size=20, epochs=EPOCHS, validation_data=test).history
figures.history(history)

# %% [markdown]
# ## Reconstructions
#
# Test images, and the mean of $p(x|z)$ at the mean of $q(z|x)$. Sixteen numbers describe an image;
# the details that they leave out are blurred.

# %%
figures.reconstructions(test[:10], vae.reconstruct(test[:10]))

# %% [markdown]
# ## New flowers
#
# Samples are decoded latents from the prior.

# %%
figures.mosaic(vae.sample(24, seed=0), columns=8)

# %% [markdown]
# Some samples lie between the kinds, because the prior is a single normal distribution and the
# latents of six kinds of flowers are not. A mixture of normals, fitted to the latents after
# training, is a better prior for the same networks.

# %%
fitted = ex_post.fit_prior(vae, train, "mixture", num_components=20, seed=0)
figures.mosaic(fitted.sample(24, seed=0), columns=8)

# %% [markdown]
# ## Latent space
#
# Along the straight line from one latent to another, images change step by step.

# %%
latents = vae.encode(test[:6]).numpy()
share = np.linspace(0, 1, 9, dtype=np.float32)[:, None]
lines = [(1 - share) * latents[i] + share * latents[i + 1] for i in (0, 2, 4)]
figures.interpolation(np.stack([vae.decode(line) for line in lines]))

# %% [markdown]
# ## Evaluation
#
# The page "Evaluating a VAE" of the docs explains each of these numbers and when to trust it. For
# gray and color pixels, the Bernoulli likelihood, the default of `build_vae`, is not a density.
# [likelihoods.ipynb](likelihoods.ipynb) compares it with likelihoods that are.

# %%
report = evaluation.report(fitted, test[:100], num_samples=50, seed=0)
print(report)

# %% [markdown]
# ## Saved and loaded
#
# One file contains the networks, the distributions and the state of the optimizer.

# %%
fitted.save("flowers.keras")
again = tf_keras.models.load_model("flowers.keras")
assert np.allclose(again.sample(4, seed=1), fitted.sample(4, seed=1), atol=1e-5)
