"""Learns characters of 28x28 pixels twice, with a large and with a small latent space.

Without options it draws digits as its pictures and takes about two minutes on two processor cores:

    python examples/kmnist.py
    python examples/kmnist.py --data kuzushiji_mnist --source-settings

The results of each size of z are in a folder: history.csv, figures, mosaics/ (samples during
training), model/ (a SavedModel) and summary.json (settings and scores). comparison.png shows the
reconstructions of all sizes side by side.
"""

import argparse
from pathlib import Path

import _digits
import _training

DEFAULTS = {
    "epochs": 4,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "posterior": "independent_normal",
    "likelihood": "bernoulli",
    "architecture": "kmnist",
    "output": Path("runs/kmnist"),
    "grid": 8,
}
SOURCE = {"optimizer": "adam", "batch_size": 128, "epochs": 3}
SIZES = (128, 2)
MOSAICS = 16


def main():
    parser = _training.parser(__doc__, **DEFAULTS)
    sizes = {"nargs": "+", "type": _training.at_least(1), "default": SIZES}
    parser.add_argument("--latent-dim", help="sizes of z (default: 128 2)", **sizes)
    _digits.add_data(parser)
    args = _training.parse(parser, lambda args: SOURCE if args.source_settings else {})
    _digits.check_data(parser, args)
    _training.start(parser, args)
    try:
        data = _digits.load(args)
    except (OSError, TypeError, ValueError) as error:
        parser.error(str(error))
    copies, runs = {}, []
    for size in args.latent_dim:
        one = {"latent_dim": size, "output": args.output / f"latent{size}"}
        runs.append(argparse.Namespace(**vars(args) | one))
        copies[f"{size} dimensions"] = run(data, runs[-1], parser)
    compare(data[-1], copies, args)
    for one in runs:
        _training.tidy(one)


def run(data, args, parser):
    """Trains, scores and saves one model; returns its reconstructions of the test pictures."""
    import tf_keras

    from tfpvae import callbacks

    training, validation, test = data
    print(f"\nA latent space of {args.latent_dim} dimensions", flush=True)
    tf_keras.utils.set_random_seed(args.seed)
    try:
        vae = _training.build(args, **_digits.start(training.images, args))
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    untrained = vae.reconstruct(test.images[:1]).numpy()
    steps = args.epochs * -(-len(training.images) // args.batch_size)
    # About so many, and the last of them at the last step.
    counts = range(min(MOSAICS, steps), 0, -1)
    every = steps // next(count for count in counts if steps % count == 0)
    folder, watching = args.output / "mosaics", []
    if vae.prior is not None:
        options = {"every": every, "unit": "step", "seed": args.seed}
        watching.append(callbacks.SampleMosaic(folder, **options))
    history, speed = _training.train(vae, training.images, validation.images, args, watching)
    scores = _training.score(vae, test.images, args)
    drawings = _digits.figures(vae, test, history, untrained, args)
    if watching:
        drawings["mosaics"] = mosaics(folder, every, int(vae.optimizer.iterations.numpy()))
    _training.save(vae, test.images, args, scores)
    _training.write(args, history, drawings, scores, speed, len(test.images))
    return vae.reconstruct(test.images).numpy()


def mosaics(folder, every, last):
    """Returns the figure of all mosaics up to a step, including those of an interrupted run."""
    import numpy as np
    from PIL import Image

    from tfpvae import figures

    steps = range(every, last + 1, every)
    images = np.stack([np.asarray(Image.open(folder / f"step_{step:06d}.png")) for step in steps])
    # Each mosaic is one gray picture, [H, W].
    return figures.mosaics(
        images[:, np.newaxis, ..., np.newaxis], labels=[f"step {s}" for s in steps]
    )


def compare(test, copies, args):
    """Writes one picture of each class beside its reconstructions of every size of z."""
    import numpy as np

    from tfpvae import figures

    first = np.unique(test.labels, return_index=True)[1]
    rows = {title: images[first] for title, images in copies.items()}
    figures.reconstructions(test.images[first], rows).savefig(args.output / "comparison.png")
    print(f"\nAll sizes side by side: {args.output / 'comparison.png'}")


if __name__ == "__main__":
    _training.run(main)
