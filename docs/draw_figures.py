"""Draws the figures of the site that need no data: `python docs/draw_figures.py [NAME ...]`.

The figures are kept in the repository. They take a minute or two on two processor cores.
"""

import functools
import io
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pngs
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from matplotlib.figure import Figure
from PIL import Image

import tfpvae
from tfpvae import datasets, evaluation, figures, schedules

tfd = tfp.distributions
FIGURES = Path(__file__).parent / "figures"
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"

matplotlib.rcParams.update(
    {"font.size": 8, "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False}
)


# Distributions


def curve(points):
    """Returns the log density of a bent normal, for which no covariance is right: [N]."""
    x, y = points[..., 0], points[..., 1]
    bend = y - 0.35 * x**2 + 0.3
    return -0.5 * x**2 - 0.5 * (bend / 0.3) ** 2


def codes(count):
    """Returns draws of three bent groups: [N, 2]."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0.2, 1.5, count) + 2 * np.pi / 3 * rng.integers(0, 3, count)
    radius = 1.6 + 0.15 * rng.normal(size=count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).astype("float32")


def maximize(objective, variables, steps, learning_rate=0.02):
    """Raises an objective by Adam."""
    optimizer = tf_keras.optimizers.Adam(learning_rate)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -objective()
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    for _ in range(steps):
        step()


def grid(limit, size=120):
    steps = np.linspace(-limit, limit, size, dtype="float32")
    x, y = np.meshgrid(steps, steps)
    return x, y, np.stack([x.ravel(), y.ravel()], -1)


def panels(count, width=6.4, height=1.9):
    figure = Figure((width, height), dpi=150, layout="constrained")
    axes = figure.subplots(1, count)
    for each in axes:
        each.set(xticks=[], yticks=[], aspect="equal")
        each.spines[:].set_visible(True)
        each.spines[:].set_color("0.7")
    return figure, axes


def priors():
    """Densities of priors that were fitted to the same codes."""
    points = codes(600)
    x, y, flat = grid(2.6)
    figure, axes = panels(4)
    for each, name in zip(axes, ("standard_normal", "normal", "mixture", "flow"), strict=True):
        options = {"mixture": {"num_components": 12, "seed": 0}, "flow": {"seed": 0}}.get(name, {})
        prior = tfpvae.build_prior(name, latent_dim=2, **options)
        if prior.trainable_variables:
            objective = functools.partial(mean_log_prob, prior, tf.constant(points))
            maximize(objective, prior.trainable_variables, 600)
        density = np.exp(prior.log_prob(flat).numpy()).reshape(x.shape)
        each.contourf(x, y, density, levels=12, cmap="Blues")
        each.plot(*points[:150].T, ".", color=ORANGE, markersize=1.5)
        each.set_title(f'"{name}"')
    return figure


def mean_log_prob(distribution, points):
    return tf.reduce_mean(distribution.log_prob(points))


def posteriors():
    """Posteriors of each family, fitted to the same bent density."""
    x, y, flat = grid(2.8)
    heads = {
        '"independent_normal"': tfpvae.layers.IndependentNormal(2),
        '"multivariate_normal_tril"': tfpvae.layers.MultivariateNormalTriL(2),
        '"iaf"': tfpvae.layers.InverseAutoregressiveFlow(2, num_flows=3),
    }
    shifted = flat - np.array([0.6, 0.0], "float32")
    figure, axes = panels(3, 5.4)
    for each, (title, head) in zip(axes, heads.items(), strict=True):
        params = tf.Variable(0.1 * tf.ones([1, head.params_size(2)]))
        head(params)
        objective = functools.partial(elbo_of, head, params)
        maximize(objective, [params, *head.trainable_variables], 800)
        truth = np.exp(tilted(shifted)).reshape(x.shape)
        each.contourf(x, y, truth, levels=8, cmap="Oranges")
        draws = head(params).sample(4000, seed=0).numpy()[:, 0] + np.array([0.6, 0.0])
        counts, one, other = np.histogram2d(*draws.T, bins=50, range=[[-2.8, 2.8]] * 2)
        middles = [(edges[1:] + edges[:-1]) / 2 for edges in (one, other)]
        density = smooth(counts).T / smooth(counts).max()
        each.contour(*middles, density, levels=[0.1, 0.4, 0.7], colors=BLUE, linewidths=0.9)
        each.set_title(title)
    return figure


def tilted(points):
    turned = points @ np.array([[0.77, -0.64], [0.64, 0.77]], "float32")
    return curve(turned + np.array([0.0, 0.3], "float32"))


def elbo_of(head, params):
    posterior = head(params)
    draws = posterior.sample(64)
    return tf.reduce_mean(tilted(draws) - posterior.log_prob(draws))


def smooth(counts):
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    for axis in (0, 1, 0, 1):
        counts = np.apply_along_axis(np.convolve, axis, counts, kernel, "same")
    return counts


def likelihoods():
    """Densities and masses of a pixel, at a mean of 0.3."""
    figure = Figure((6.4, 2.2), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    x = np.linspace(0.004, 0.996, 300, dtype="float32")
    logit = np.float32(np.log(0.3 / 0.7))
    left.plot(x, tfd.ContinuousBernoulli(logits=logit).prob(x), color=BLUE)
    left.plot(x, tfd.Beta(0.3 * 12, 0.7 * 12).prob(x), color=GREEN)
    left.plot(x, tfd.Normal(0.3, 0.1).prob(x), color=ORANGE)
    left.set(title="densities of a gray pixel", xlabel="x", ylim=(0, None))
    for text, y, color in (
        ("continuous_bernoulli", 1.6, BLUE),
        ("beta, n = 12", 2.3, GREEN),
        ("normal, s = 0.1", 3.4, ORANGE),
    ):
        left.text(0.48, y, text, color=color)
    levels = np.arange(256)

    def mass(mean, scale):
        edges = (np.arange(257) - 0.5) / 255
        edges[0], edges[-1] = -np.inf, np.inf
        return np.diff(1 / (1 + np.exp(-(edges - mean) / scale)))

    right.plot(levels, mass(0.3, 0.03), color=BLUE)
    right.plot(levels, 0.6 * mass(0.2, 0.02) + 0.4 * mass(0.7, 0.05), color=RED)
    right.set(title="masses of the 256 levels of a pixel", xlabel="level", ylim=(0, None))
    right.text(100, 0.028, "discretized_logistic", color=BLUE)
    right.text(100, 0.022, "mixture_of_logistics", color=RED)
    return figure


def warmups():
    """Weights of the two schedules over the steps."""
    figure = Figure((5.0, 1.7), dpi=150, layout="constrained")
    axes = figure.subplots()
    steps = np.arange(1001)
    for schedule, color in (
        (schedules.LinearWarmup(500), BLUE),
        (schedules.CyclicalWarmup(200, num_cycles=4), ORANGE),
    ):
        axes.plot(steps, schedule(steps).numpy(), color=color, label=repr(schedule))
    axes.set(xlabel="step of the optimizer", ylabel="kl_weight")
    figure.legend(loc="outside upper center", frameon=False, ncols=2)
    return figure


# Trained models


@functools.cache
def digits():
    parts = datasets.draw_digits(2400, seed=0)
    return parts.images[:2000], parts.images[2000:], parts.labels[2000:]


def trained(latent_dim=2, epochs=20, **options):
    tf_keras.utils.set_random_seed(0)
    train, test, _ = digits()
    vae = tfpvae.build_vae("dense", latent_dim=latent_dim, start_images=train, **options)
    vae.compile(tf_keras.optimizers.Adam(2e-3))
    return vae, vae.fit(train, batch_size=50, epochs=epochs, validation_data=test, verbose=0)


@functools.cache
def healthy(latent_dim=2):
    return trained(latent_dim)


def collapse():
    """The KL and the reconstructions of a healthy run, and of one that collapsed."""
    _, test, labels = digits()
    first = np.unique(labels, return_index=True)[1]
    figure = Figure((6.4, 2.3), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.6])
    (good, history), (bad, collapsed) = healthy(), trained(kl_weight=40.0)
    for fitted, color, text in ((history, BLUE, "healthy"), (collapsed, RED, "collapsed")):
        left.plot(range(1, 21), fitted.history["kl"], color=color)
        height = fitted.history["kl"][-1]
        left.text(9, height + (0.2 if height < 1 else -0.8), text, color=color)
    left.set(
        title="KL, nats per image", xlabel="epoch", xticks=[1, 5, 10, 15, 20], ylim=(-0.1, None)
    )
    rows = {"healthy": good.reconstruct(test[first]), "collapsed": bad.reconstruct(test[first])}
    figures.reconstructions(test[first], rows, ax=right)
    return figure


def history():
    return figures.history(healthy()[1])


def error_by_class():
    vae, (_, test, labels) = healthy()[0], digits()
    errors = ((test / 255 - vae.reconstruct(test).numpy()) ** 2).mean(axis=(1, 2, 3))
    return figures.error_by_class(errors, labels, name="squared error of a pixel")


def reconstructions():
    vae, (_, test, _) = healthy(8)[0], digits()
    return figures.reconstructions(test[:10], vae.reconstruct(test[:10]))


def mosaic():
    return figures.mosaic(healthy(8)[0].sample(30, seed=0), columns=10)


def mosaics():
    train = digits()[0]
    tf_keras.utils.set_random_seed(0)
    vae = tfpvae.build_vae("dense", latent_dim=8, start_images=train)
    vae.compile("adam")
    pictures, labels = [], []
    for first, last in ((0, 1), (1, 4), (4, 16)):
        vae.fit(train, batch_size=50, initial_epoch=first, epochs=last, verbose=0)
        pictures.append(vae.sample(9, seed=1).numpy())
        labels.append(f"epoch {last}")
    return figures.mosaics(np.stack(pictures), labels=labels)


def interpolation():
    vae, (_, test, _) = healthy(8)[0], digits()
    return figures.interpolation(vae.interpolate(test[:2], test[2:4]))


def traversal():
    vae, (_, test, _) = healthy(8)[0], digits()
    values = np.linspace(-3, 3, 9)
    images = vae.traverse(test[0], values, dimensions=range(4))
    return figures.traversal(images, values=values)


def latent_scatter():
    vae, (_, test, labels) = healthy()[0], digits()
    return figures.latent_scatter(vae.encode(test), labels)


def embeddings():
    vae, (_, test, labels) = healthy(8)[0], digits()
    return figures.embeddings(test, vae.encode(test), labels)


def latent_grid():
    square = figures.latent_square(12, 2.5)
    return figures.latent_grid(healthy()[0].decode(square), limit=2.5)


def active_units():
    vae, (_, test, _) = healthy(8)[0], digits()
    return figures.active_units(evaluation.unit_variances(evaluation.posterior_means(vae, test)))


def rate_distortion():
    scores = {}
    for weight in (0.3, 1.0, 3.0):
        vae = trained(8, 10, kl_weight=weight)[0]
        terms = evaluation.rate_distortion(vae, digits()[1], seed=0)
        scores[f"kl_weight {weight:g}"] = terms.rate.mean(), terms.distortion.mean()
    return figures.rate_distortion(
        [rate for rate, _ in scores.values()],
        [distortion for _, distortion in scores.values()],
        names=list(scores),
    )


# Of these the site inverts the plots in its dark mode.
PLOTS = (
    *(priors, posteriors, likelihoods, warmups, history, error_by_class, latent_scatter),
    *(embeddings, active_units, rate_distortion),
)
PICTURES = (collapse, reconstructions, mosaic, mosaics, interpolation, traversal, latent_grid)


def main():
    for drawing in (*PLOTS, *PICTURES):
        if sys.argv[1:] and drawing.__name__ not in sys.argv[1:]:
            continue
        file = io.BytesIO()
        drawing().savefig(file, format="png", dpi=150)
        folder = "plots" if drawing in PLOTS else "pictures"
        path = FIGURES / folder / f"{drawing.__name__}.png"
        pngs.write(Image.open(file), path, is_plot=drawing in PLOTS)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
