"""Data and figures that the examples on digits share."""

from itertools import pairwise
from pathlib import Path

import _training

DRAWN = 6000
SMOKE = 300  # the most pictures in a smoke run
NAMES = ("mnist", "fashion_mnist", "kuzushiji_mnist")
EMBEDDED = 2000  # of the test pictures; t-SNE takes its time
TRAVERSED = 10  # the most latent dimensions
CODES = (0.02, 0.25, 0.5, 0.75, 0.98)  # quantiles of the codes to decode by a plain autoencoder


def add_data(parser):
    """Adds the option that names the training data."""
    text = f"a folder of IDX or .npz files, or one of {', '.join(NAMES)} to fetch"
    parser.add_argument("--data", metavar="DIR", help=f"{text} (default: drawn digits)")


def check_data(parser, args):
    """Checks that the data are a folder or a name, before TensorFlow is imported."""
    if args.data not in (None, *NAMES) and not Path(args.data).exists():
        parser.error(
            f"argument --data: wanted a folder or one of {', '.join(NAMES)}, got '{args.data}'."
        )


def load(args):
    """Returns training, validation and test pictures: uint8 images [N, 28, 28, 1] and labels.

    From files, the last twelfth of the training pictures is for validation: the last 5,000 of the
    60,000 of MNIST.
    """
    from tfpvae import datasets

    if args.data is None:
        count = SMOKE if args.smoke else DRAWN
        print(f"Drawing {count} digits ...", flush=True)
        digits = datasets.draw_digits(count)
        edges = (0, count * 8 // 10, count * 9 // 10, count)
        parts = [(digits, slice(*edge)) for edge in pairwise(edges)]
    else:
        name = args.data if args.data in NAMES else "mnist"
        print(f"Reading {args.data} ...", flush=True)
        source = None if args.data in NAMES else args.data
        training, test = datasets.load_mnist(name, source=source)
        edge = len(training.images) * 11 // 12
        parts = [(training, slice(edge)), (training, slice(edge, None)), (test, slice(None))]
    limit = SMOKE if args.smoke else None
    return [
        part._replace(images=part.images[rows][:limit], labels=part.labels[rows][:limit])
        for part, rows in parts
    ]


def start(images, args):
    """Returns the options of the VAE that are read off the training pictures.

    The tutorials have none: their decoders start at gray.
    """
    return {} if args.source_settings else {"pixel_mean": images.mean(axis=0) / 255}


def figures(vae, test, history, untrained, args):
    """Returns the figures by name; None for figures that the model does not have.

    Args:
      vae: the trained model.
      test: test pictures and labels.
      history: the losses of each epoch.
      untrained: the reconstruction of the first test picture before training.
      args: the options; `grid` is the number of pictures on a side of the grid of codes.
    """
    import numpy as np

    from tfpvae import figures

    _training.drawing()
    images, labels, kinds = test.images, test.labels, {"class_names": test.class_names}
    latents, copies = vae.encode(images).numpy(), vae.reconstruct(images).numpy()
    errors = ((images / np.float32(255) - copies) ** 2).mean(axis=(1, 2, 3))
    one_each = np.unique(labels, return_index=True)[1]
    stages = np.concatenate([images[:1] / np.float32(255), untrained, copies[:1]])
    few = slice(EMBEDDED)
    if vae.prior is None:  # whose loss is the negative log-likelihood
        history = {name: losses for name, losses in history.items() if name.endswith("nll")}
    drawings = {
        "history": figures.history(history),
        "reconstructions": figures.reconstructions(images[one_each], copies[one_each]),
        "training": figures.interpolation(
            stages, labels=["original", "before training", "after training"]
        ),
        "errors": figures.error_by_class(errors, labels, name="squared error of a pixel", **kinds),
        "embeddings": figures.embeddings(
            images[few], latents[few], labels[few], seed=args.seed, **kinds
        ),
        "latents": None,
    }
    if latents.shape[1] == 2:
        drawings["latents"] = figures.latent_scatter(latents, labels, **kinds)
    drawings |= _prior_figures(vae, images[one_each], latents, args)
    return drawings | _code_figures(vae, latents)


def _prior_figures(vae, images, latents, args):
    """Returns the figures of a model with a prior; None for each without one."""
    import numpy as np

    from tfpvae import figures

    names = ("samples", "posterior_samples", "grid", "traversal")
    drawings = dict.fromkeys(names)
    if vae.prior is None:
        return drawings
    drawings["samples"] = figures.mosaic(vae.sample(64, seed=args.seed).numpy())
    drawings["posterior_samples"] = _training.posterior_samples(vae, images, args)
    if latents.shape[1] == 2:
        limit = _limit(latents)
        square = figures.latent_square(args.grid, limit)
        drawings["grid"] = figures.latent_grid(vae.decode(square).numpy(), limit=limit)
        return drawings
    # From the code of one picture, along the dimensions with the largest variance.
    active = np.argsort(-latents.var(axis=0))[:TRAVERSED]
    values = np.linspace(-3, 3, 9)
    drawings["traversal"] = figures.traversal(
        vae.traverse(images[0], values, active).numpy(),
        values=values,
        names=[f"z{1 + dimension}" for dimension in active],
    )
    return drawings


def _limit(latents):
    """Returns the limit of a square around 0 with 99% of the codes, a multiple of a half."""
    import numpy as np

    return max(0.5, np.ceil(2 * np.quantile(np.abs(latents).max(axis=1), 0.99)) / 2)


def _code_figures(vae, latents):
    """Returns the figure of codes decoded by a plain autoencoder; None for other models."""
    import numpy as np

    from tfpvae import figures

    if vae.prior is not None or latents.shape[1] != 2:
        return {"codes": None}
    codes = np.quantile(latents, CODES, axis=0)
    decoded = vae.decode(codes.astype(np.float32)).numpy()
    names = [f"({one:.3g}, {other:.3g})" for one, other in codes]
    return {"codes": figures.interpolation(decoded, labels=names)}
