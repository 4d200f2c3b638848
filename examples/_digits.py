"""Data and figures that the examples on digits share."""

from itertools import pairwise
from pathlib import Path

import _training

DRAWN = 6000
SMOKE = 300  # the most pictures in a smoke run
NAMES = ("mnist", "fashion_mnist", "kuzushiji_mnist")
EMBEDDED = 2000  # of the test pictures; t-SNE takes its time
TRAVERSED = 10  # the most latent dimensions
CODES = ((10, 10), (5, 5), (0, 0), (-5, 5))  # to decode by a plain autoencoder


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


def figures(vae, test, history, untrained, args):
    """Returns the figures by name; None for figures that the model does not have.

    Args:
      vae: the trained model.
      test: test pictures and labels.
      history: the losses of each epoch.
      untrained: the reconstruction of the first test picture before training.
      args: the options; `grid` is the size and the limit of the grid over a latent square.
    """
    import numpy as np

    from tfpvae import figures

    images, labels, kinds = test.images, test.labels, {"class_names": test.class_names}
    latents, copies = vae.encode(images).numpy(), vae.reconstruct(images).numpy()
    errors = ((images / np.float32(255) - copies) ** 2).mean(axis=(1, 2, 3))
    one_each = np.unique(labels, return_index=True)[1]
    stages = np.concatenate([images[:1] / np.float32(255), untrained, copies[:1]])
    few = slice(EMBEDDED)
    if vae.prior is None:
        history = {name: losses for name, losses in history.items() if not name.endswith("kl")}
    drawings = {
        "history": figures.history(history),
        "reconstructions": figures.reconstructions(images[one_each], copies[one_each]),
        "training": figures.interpolation(
            stages, labels=["original", "before training", "after training"]
        ),
        "errors": figures.error_by_class(errors, labels, **kinds),
        "embeddings": figures.embeddings(
            images[few], latents[few], labels[few], seed=args.seed, **kinds
        ),
        "latents": None,
    }
    if latents.shape[1] == 2:
        limits = None if vae.prior is None else (-4, 4)  # which has nearly all of p(z)
        drawings["latents"] = figures.latent_scatter(latents, labels, limits=limits, **kinds)
    drawings |= _prior_figures(vae, images[one_each], latents, args)
    return drawings | _code_figures(vae, args)


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
    size, limit = args.grid
    if latents.shape[1] == 2:
        square = figures.latent_square(size, limit)
        drawings["grid"] = figures.latent_grid(vae.decode(square).numpy(), limit=limit)
        return drawings
    # From the code of one picture, along the dimensions with the largest variance.
    active = np.argsort(-latents.var(axis=0))[:TRAVERSED]
    values = np.linspace(-3, 3, 9, dtype=np.float32)
    paths = np.tile(latents[0], [len(active), len(values), 1])
    for path, dimension in zip(paths, active, strict=True):
        path[:, dimension] = values
    decoded = vae.decode(paths.reshape(-1, latents.shape[1])).numpy()
    drawings["traversal"] = figures.traversal(
        decoded.reshape(*paths.shape[:2], *decoded.shape[1:]),
        values=values,
        names=[f"z{1 + dimension}" for dimension in active],
    )
    return drawings


def _code_figures(vae, args):
    """Returns the figure of codes decoded by a plain autoencoder; None for other models."""
    import numpy as np

    from tfpvae import figures

    if vae.prior is not None or args.latent_dim != 2:
        return {"codes": None}
    decoded = vae.decode(np.array(CODES, np.float32)).numpy()
    return {"codes": figures.interpolation(decoded, labels=CODES)}
