# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Likelihoods compared
#
# This notebook trains the same small network on the same images with five likelihoods $p(x|z)$. It
# shows their reconstructions and samples, and which of their numbers compare. It takes about four
# minutes on two processor cores.
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
from tfpvae import datasets, evaluation, figures

PICTURES, EPOCHS = 1500, 15

# %%
images = datasets.draw_flowers(PICTURES, image_shape=(32, 32, 3), seed=0).images
is_test = np.arange(PICTURES) % 5 == 4
train, test = images[~is_test], images[is_test]
figures.mosaic(train[:24], columns=12)

# %% [markdown]
# ## Five likelihoods
#
# For one pixel value $x$, gray or of one color, the likelihoods are
#
# - **Bernoulli**, $x \log \pi + (1 - x) \log(1 - \pi)$: the log probability of a black or white
#   pixel, 0 or 1. For a gray pixel it is a cross-entropy, not a density.
# - **continuous Bernoulli**, the same $+ \log C(\pi)$, which makes it a density on $[0, 1]$.
# - **normal**, $\log \mathcal{N}(x; m, s^2)$ with one learned $s$: a density, which is the squared
#   error with a learned weight.
# - **discretized logistic**: the log probability of the level $k$, one of 256, with a scale $s$ for
#   each value, $\log P(k) = \log\left[\sigma\left(\frac{k + 1/2 - m}{s}\right) -
#   \sigma\left(\frac{k - 1/2 - m}{s}\right)\right]$.
# - **mixture of logistics**, the same with a mixture of five logistics for each pixel.
#
# Pixels of 8 bits lie on a grid, and a density can rise over its points without limit. The
# densities are therefore trained and scored on dequantized pixels: $(k + u) / 256$, $u$ uniform on
# $[0, 1)$.

# %%
LIKELIHOODS = {
    "Bernoulli": {"likelihood": "bernoulli"},
    "cont. Bernoulli": {"likelihood": "continuous_bernoulli", "dequantize": True},
    "normal": {"likelihood": "normal", "dequantize": True},
    "logistic": {"likelihood": "discretized_logistic"},
    "mixture": {"likelihood": "mixture_of_logistics"},
}


def train_vae(options):
    tf_keras.utils.set_random_seed(0)  # the same start for each
    vae = tfpvae.build_vae(
        "kmnist",
        image_shape=train.shape[1:],
        latent_dim=16,
        pixel_mean=train.mean(axis=(0, 1, 2)) / 255,
        **options,
    )
    steps = EPOCHS * -(-len(train) // 20)
    vae.compile(tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(2e-3, steps)))
    history = vae.fit(train, batch_size=20, epochs=EPOCHS, validation_data=test, verbose=0).history
    return vae, history


vaes = {}
for name, options in LIKELIHOODS.items():
    vaes[name], history = train_vae(options)
    print(f"{name}: {history['val_kl'][-1]:.1f} nats in the latents")

# %% [markdown]
# ## Reconstructions and samples
#
# The means of $p(x|z)$: first for test images, then at latents from the prior, which are the same
# for all likelihoods.

# %%
shown = test[:7]
figures.reconstructions(shown, {name: vae.reconstruct(shown) for name, vae in vaes.items()})

# %%
samples = [vae.sample(7, seed=0) for vae in vaes.values()]
figures.traversal(np.stack(samples), names=[*vaes])

# %% [markdown]
# A likelihood is a distribution, not only its mean, and a draw from it shows its idea of an image.
# The Bernoulli draws colors that are full or absent. The continuous Bernoulli draws almost as much
# noise. The noise of the normal is the same everywhere, and that of the logistics is smaller where
# they are certain.

# %%
draws = [np.clip(vae.decoder(vae.encode(shown)).sample(seed=0), 0, 1) for vae in vaes.values()]
figures.reconstructions(shown, dict(zip(vaes, draws, strict=True)))

# %% [markdown]
# ## Which numbers compare
#
# The `nll` is a cross-entropy, a density or a probability, depending on the likelihood. These are
# three kinds of numbers, which do not compare. The probability of levels converts to *bits per dim*
# in one step, and the density of dequantized pixels in another (Theis, van den Oord and Bethge
# 2016):
#
# $$\log P(x) \ge \mathbb{E}_u \log p(x + u) - D \log 256, \qquad
# \text{bits per dim} = -\frac{\log_2 P(x)}{D}$$
#
# with $D$ values per image. Bits per dim compare. So do the KL, the nats that $z$ carries about an
# image, and the squared error of reconstructions. The Bernoulli has no bits per dim.


# %%
def bits(vae):
    try:
        return f"{np.mean(vae.bits_per_dim(test[:50], num_samples=50, seed=0)):.2f}"
    except ValueError:  # gray pixels have no probability under a Bernoulli
        return "none"


kinds = {"binary_mass": "cross-entropy", "density": "density", "mass": "probability"}
rows = [("likelihood", "nll", "which is a", "KL", "squared error", "bits per dim")]
for name, vae in vaes.items():
    scores = vae.evaluate(test, batch_size=50, verbose=0, return_dict=True)
    error = np.mean((vae.reconstruct(test) - test / np.float32(255)) ** 2)
    kind = kinds[vae.decoder.layers[-1].scores]
    numbers = (f"{scores['nll']:.1f}", kind, f"{scores['kl']:.1f}", f"{error:.4f}")
    rows.append((name, *numbers, bits(vae)))
for row in rows:
    print("{:<16} {:>9}  {:<13}  {:>6}  {:>13}  {:>12}".format(*row))

# %% [markdown]
# For images that are pleasant to look at, use "bernoulli" or "normal". For numbers, use
# "mixture_of_logistics", or a density of dequantized pixels. The full report of one of them:

# %%
report = evaluation.report(vaes["mixture"], test[:50], num_samples=50, seed=0)
print(report)
