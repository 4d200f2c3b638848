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
# A variational autoencoder learns small colour pictures and makes new ones, in some two minutes on
# two processor cores.
#
# It wants `tfpvae` with what figures need: `pip install ".[figures]"` in the folder of its sources.
# On Colab, upload the wheel that `python -m build --wheel` makes there, and then
# `%pip install tfpvae-*.whl matplotlib scikit-learn`. What TensorFlow says of
# processors and GPUs, as it is imported, is no error.

# %%
# %matplotlib inline
import numpy as np
import tf_keras

import tfpvae
from tfpvae import datasets, evaluation, ex_post, figures

PICTURES, EPOCHS = 2000, 20

tf_keras.utils.set_random_seed(0)  # of the first weights and of all draws in training

# %% [markdown]
# ## Pictures
#
# The flowers are drawn by a program, of six kinds; every fifth is kept for tests.

# %%
flowers = datasets.draw_flowers(PICTURES, image_shape=(48, 48, 3), seed=0)
is_test = np.arange(PICTURES) % 5 == 4
train, test = flowers.images[~is_test], flowers.images[is_test]
figures.mosaic(train[:24], columns=8)

# %% [markdown]
# Pictures of your own, in a folder, in any size and any of the usual formats, take their place like
# this:
#
# ```python
# parts = datasets.split_pictures("my_pictures", seed=0)
# loaded = [datasets.load_pictures(part, image_shape=(48, 48, 3)).images for part in parts]
# train, test = loaded[0], loaded[2]
# ```
#
# ## Model
#
# Three distributions: latents are drawn from a prior $p(z)$; a decoder says what image a latent
# stands for, $p(x|z)$; an encoder says which latents an image may have come from, $q(z|x)$. Both
# networks are trained to raise the evidence lower bound,
#
# $$\log p(x) \ge \mathbb{E}_{q(z|x)}[\log p(x|z)] - \mathrm{KL}(q(z|x) \,\|\, p(z)).$$
#
# "kmnist" names networks of four strided convolutions, which take images of any size. The larger
# "flowers", for 80x80 pixels, takes about ten times as long on a processor.

# %%
vae = tfpvae.build_vae(
    "kmnist",
    image_shape=train.shape[1:],
    latent_dim=16,
    pixel_mean=train.mean(axis=(0, 1, 2)) / 255,  # decoding starts at the mean colour
)
print(vae.prior)
print(vae.encoder(test[:5] / np.float32(255)))
print(vae.decoder(np.zeros([5, 16], np.float32)))

# %% [markdown]
# ## Training
#
# All is in nats an image: `nll` is $-\log p(x|z)$, `kl` the KL, `loss` their sum. A `kl` that stays
# at 0 would say that nothing is learnt of the images.

# %%
steps = EPOCHS * -(-len(train) // 20)
rate = tf_keras.optimizers.schedules.CosineDecay(2e-3, steps)
vae.compile(tf_keras.optimizers.Adam(rate))
history = vae.fit(train, batch_size=20, epochs=EPOCHS, validation_data=test).history
figures.history(history)

# %% [markdown]
# ## Reconstructions
#
# Test pictures, and the mean of $p(x|z)$ at the mean of $q(z|x)$. Sixteen numbers have to do for a
# picture, and what they do not say comes out blurred.

# %%
figures.reconstructions(test[:10], vae.reconstruct(test[:10]))

# %% [markdown]
# ## New flowers
#
# Latents from the prior, decoded.

# %%
figures.mosaic(vae.sample(24, seed=0), columns=8)

# %% [markdown]
# Some are between the kinds, since the prior is one normal distribution and the latents of six
# kinds of flowers are not. A mixture of normals, fitted to the latents when training is over, is a
# better prior of the same networks.

# %%
fitted = ex_post.fit_prior(vae, train, "mixture", num_components=20, seed=0)
figures.mosaic(fitted.sample(24, seed=0), columns=8)

# %% [markdown]
# ## Latent space
#
# On the straight way from one latent to another, pictures change step by step.

# %%
latents = vae.encoder(test[:6] / np.float32(255)).mean().numpy()
share = np.linspace(0, 1, 9, dtype=np.float32)[:, None]
ways = [(1 - share) * latents[i] + share * latents[i + 1] for i in (0, 2, 4)]
figures.interpolation(np.stack([vae.decoder(way).mean() for way in ways]))

# %% [markdown]
# ## What it is worth
#
# The docs have a page on what each of these numbers means, and on when to trust it. One is for all:
# by pixels that are grey a Bernoulli, which `build_vae` takes if nothing else is said, has no
# density. [likelihoods.ipynb](likelihoods.ipynb) compares it with those that have.

# %%
found = evaluation.report(fitted, test[:100], num_samples=50, seed=0)
print(found)

# %% [markdown]
# ## Saved and loaded
#
# One file holds networks, distributions and the state of the optimizer.

# %%
fitted.save("flowers.keras")
again = tf_keras.models.load_model("flowers.keras")
assert np.allclose(again.sample(4, seed=1), fitted.sample(4, seed=1), atol=1e-5)
