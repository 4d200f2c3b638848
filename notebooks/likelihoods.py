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
# The same small network learns the same pictures with five likelihoods $p(x|z)$: what they make of
# them, which of their numbers compare, and which do not. Some four minutes on two processor cores.
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
# Of one pixel value $x$, grey or of one colour, the decoder's numbers make
#
# - **Bernoulli**, $x \log \pi + (1 - x) \log(1 - \pi)$: the log probability of a pixel that is 0 or
#   1. Of a grey one it is a cross-entropy, no density.
# - **continuous Bernoulli**, the same $+ \log C(\pi)$: what makes it a density on $[0, 1]$.
# - **normal**, $\log \mathcal{N}(x; m, s^2)$, with one $s$, which is learned: a density; squared
#   error, and its weight.
# - **discretised logistic**, $\log P(k) = \log\left[\sigma\left(\frac{k + 1/2 - m}{s}\right)
#   - \sigma\left(\frac{k - 1/2 - m}{s}\right)\right]$ with an $s$ for each value: the log
#   probability of the level $k$, one of 256.
# - **mixture of logistics**, the same of five logistics for each pixel.
#
# Pixels of 8 bits are points on a line, over which a density can rise without limit. So the
# densities learn, and are scored on, dequantized pixels: $(k + u) / 256$, $u$ uniform on $[0, 1)$.

# %%
LIKELIHOODS = {
    "Bernoulli": {"likelihood": "bernoulli"},
    "cont. Bernoulli": {"likelihood": "continuous_bernoulli", "dequantize": True},
    "normal": {"likelihood": "normal", "dequantize": True},
    "logistic": {"likelihood": "discretized_logistic"},
    "mixture": {"likelihood": "mixture_of_logistics"},
}


def trained(options):
    tf_keras.utils.set_random_seed(0)  # each begins alike
    vae = tfpvae.build_vae(
        "kmnist",
        image_shape=train.shape[1:],
        latent_dim=16,
        pixel_mean=train.mean(axis=(0, 1, 2)) / 255,
        **options,
    )
    steps = EPOCHS * -(-len(train) // 20)
    vae.compile(tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(2e-3, steps)))
    vae.fit(train, batch_size=20, epochs=EPOCHS, validation_data=test)
    return vae


vaes = {}
for name, options in LIKELIHOODS.items():
    print(name)
    vaes[name] = trained(options)

# %% [markdown]
# ## What they make of pictures
#
# The means of $p(x|z)$: of test pictures first, then at latents from the prior, the same latents
# for all.

# %%
shown = test[:8]
figures.reconstructions(shown, {name: vae.reconstruct(shown) for name, vae in vaes.items()})

# %%
samples = [vae.sample(8, seed=0) for vae in vaes.values()]
figures.traversal(np.stack(samples), names=[*vaes])

# %% [markdown]
# A mean is not what a likelihood says. It is a distribution, and a draw from it shows what it takes
# pictures for: the Bernoulli for colours that are full or absent, the continuous Bernoulli for
# almost as much noise, the normal for noise that is the same everywhere, the logistics for less of
# it where they are sure.

# %%
draws = [
    np.clip(vae.decoder(vae.encoder(shown / np.float32(255)).mean()).sample(seed=0), 0, 1)
    for vae in vaes.values()
]
figures.reconstructions(shown, dict(zip(vaes, draws, strict=True)))

# %% [markdown]
# ## What compares
#
# `nll` of a cross-entropy, a density and a probability are three kinds of numbers, and do not
# compare. From a probability of levels to *bits per dim* is one step, and from a density of
# dequantized pixels another (Theis, van den Oord and Bethge 2016):
#
# $$\log P(x) \ge \mathbb{E}_u \log p(x + u) - D \log 256, \qquad
# \text{bits per dim} = -\frac{\log_2 P(x)}{D}$$
#
# with $D$ values a picture. Those compare, and so do the KL, nats that $z$ tells of a picture, and
# the squared error of reconstructions. The Bernoulli has no bits.


# %%
def bits(vae):
    try:
        return f"{np.mean(vae.bits_per_dim(test[:50], num_samples=50, seed=0)):.2f}"
    except ValueError as error:
        print(f"{error}\n")
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
# To take: "bernoulli" or "normal" for pictures that are pleasant to look at;
# "mixture_of_logistics", or a density of dequantized pixels, for numbers. The report of one of
# them, in full:

# %%
found = evaluation.report(vaes["mixture"], test[:50], num_samples=50, seed=0)
print(found)
