"""Learns flowers of 80x80 pixels and draws new ones.

Without options it draws its own pictures and takes two minutes or three on two processor cores:

    python examples/flowers.py
    python examples/flowers.py --data PHOTOGRAPHS --epochs 30

The results are history.csv and history.png (the losses of each epoch), reconstructions.png (test
pictures over their reconstructions), posterior_samples.png (the same pictures over draws from their
posteriors), samples.png (new flowers), interpolation.png (ways from one test picture to another),
model/ (a SavedModel) and summary.json (settings and scores).
"""

from pathlib import Path

import _training

IMAGE_SHAPE = (80, 80, 3)
DRAWN = 1000  # of which a tenth are for validation and a tenth for the test
MORE = 800  # drawn pictures to train on besides
SMOKE = 20  # the most pictures in a smoke run
HELD_OUT = 2000  # the most to validate and to test on
IN_MEMORY = 20_000  # at 19 kB each; training reads more than these from disk as it goes
# Gradients of photographs have norms of 2,000 to 8,000. A rare one far above sent a training of
# full covariances to a loss of 1e12.
CLIPNORM = 1e4
COMPONENTS = 50  # of the prior that is fitted after training

DEFAULTS = {
    "architecture": "residual",
    "epochs": 12,
    "batch_size": 16,
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "clipnorm": CLIPNORM,
    "latent_dim": 32,
    "posterior": "independent_normal",
    "likelihood": "bernoulli",
    "fit_prior": "mixture",
    "output": Path("runs/flowers"),
}
# The best that is known of the tutorial's network.
FLOWERS = {
    "architecture": "flowers",
    "epochs": 5,
    "batch_size": 8,
    "learning_rate": 5e-4,
    "clipnorm": None,
    "hold_encoder": 3,
    "latent_dim": 10,
    "posterior": "multivariate_normal_tril",
    "fit_prior": "none",
}
# The tutorial's loss was a third of the nll, its three channels averaged, with 2 * 0.0002 KL.
SOURCE = FLOWERS | {
    "optimizer": "adamax",
    "learning_rate": 3e-4,
    "schedule": "constant",
    "hold_encoder": 0,
    "batch_size": 20,
    "epochs": 50,
    "kl_weight": 0.0012,
}


def main():
    parser = _training.parser(__doc__, **DEFAULTS)
    data = "learn from the pictures in DIR, or in its sub-folders, in place of drawn ones"
    parser.add_argument("--data", type=Path, metavar="DIR", help=data)
    network = "the network, 'flowers' being the tutorial's (default: %(default)s)"
    parser.add_argument("--architecture", choices=("residual", "flowers"), help=network)
    fitted = "fit a prior to the codes after training, unless --prior is a learned one"
    fits = ("none", "mixture", "flow")
    parser.add_argument("--fit-prior", choices=fits, help=f"{fitted} (default: %(default)s)")
    args = _training.parse(parser, settings)
    if args.data is not None and not args.data.is_dir():
        parser.error(f"argument --data: wanted a folder of pictures, got '{args.data}'.")
    _training.start(parser, args)
    try:
        training, validation, test = drawn(args) if args.data is None else photographs(args)
        vae = build(training, args)
    except (OSError, TypeError, ValueError) as error:
        parser.error(str(error))
    history, speed = _training.train(vae, training, validation, args)
    if args.fit_prior != "none" and vae.prior is not None and args.prior == "standard_normal":
        vae = with_fitted_prior(vae, training, args)
    scores = _training.score(vae, test, args)
    drawings = figures(vae, test, history, args)
    _training.save(vae, test, args, scores)
    _training.write(args, history, drawings, scores, speed, len(test))
    _training.tidy(args)


def settings(args):
    """Returns the defaults that the network or `--source-settings` brings along."""
    if args.source_settings:
        return SOURCE
    return FLOWERS if args.architecture == "flowers" else {}


def drawn(args):
    """Returns training, validation and test pictures, uint8 [N, 80, 80, 3], drawn on the spot."""
    import numpy as np

    from tfpvae import datasets

    count, more = (SMOKE, 0) if args.smoke else (DRAWN, MORE)
    print(f"Drawing {count + more} flowers ...", flush=True)
    images = datasets.draw_flowers(count + more, image_shape=IMAGE_SHAPE).images
    ends = [count * 8 // 10, count * 9 // 10, count]
    training, validation, test, others = np.split(images, ends)
    return np.concatenate([training, others]), validation, test


def photographs(args):
    """Returns the same three from files; very many training pictures as a dataset of batches.

    The split depends on the files' names alone, so that all runs are tested on the same pictures.
    "residual", which would know a few thousand by heart, learns from moved ones.
    """
    from tfpvae import datasets

    parts = datasets.split_pictures(args.data)
    limits = [SMOKE] * 3 if args.smoke else [None, HELD_OUT, HELD_OUT]
    paths = [part.paths[:limit] for part, limit in zip(parts, limits, strict=True)]
    print(f"Reading {sum(map(len, paths))} pictures from {args.data} ...", flush=True)
    options = {"image_shape": IMAGE_SHAPE, "on_error": "skip"}
    validation, test = (datasets.load_pictures(part, **options).images for part in paths[1:])
    order = {"batch_size": args.batch_size, "shuffle": True, "seed": args.seed}
    if len(paths[0]) <= IN_MEMORY:
        training = datasets.load_pictures(paths[0], **options).images
        if args.architecture == "residual":
            training = datasets.batches(training, **order).map(moved)
    else:
        training = datasets.stream_pictures(paths[0], **order, **options)
    return training, validation, test


def moved(batch):
    """Returns pictures mirrored at random, and shifted together by at most 8 pixels."""
    import tensorflow as tf

    # These draws begin anew each epoch, on pictures in another order, so that a run can resume.
    batch = tf.image.random_flip_left_right(batch, seed=0)
    padded = tf.pad(batch, [[0, 0], [8, 8], [8, 8], [0, 0]], "SYMMETRIC")
    cropped = tf.image.random_crop(padded, tf.shape(batch), seed=0)
    return tf.ensure_shape(cropped, batch.shape)


def build(training, args):
    """Returns the VAE, started at what can be read off the training pictures."""
    images = in_memory(training)
    return _training.build(
        args,
        image_shape=IMAGE_SHAPE,
        pixel_mean=images.mean(axis=(0, 1, 2)) / 255,
        start_images=images,
    )


def in_memory(training):
    """Returns the training pictures, or of a dataset of batches the first few."""
    import numpy as np

    return training if isinstance(training, np.ndarray) else np.concatenate([*training.take(200)])


def with_fitted_prior(vae, training, args):
    """Returns the VAE with a prior whose samples are codes like those of the training pictures."""
    import tfpvae

    print("Fitting the prior to the codes ...", flush=True)
    images = in_memory(training)
    components = {"num_components": min(COMPONENTS, len(images) // 4)}
    options = components if args.fit_prior == "mixture" else {}
    fitted = tfpvae.ex_post.fit_prior(
        vae, images, args.fit_prior, epochs=5, seed=args.seed, **options
    )
    fitted.compile()
    return fitted


def figures(vae, test, history, args):
    """Returns the figures by name; None for new flowers of a model that has no prior."""
    import numpy as np

    from tfpvae import figures

    _training.drawing()
    shown = test[:10]
    ends = np.resize(shown, [6, *IMAGE_SHAPE])  # three pairs, over again if there are fewer
    steps = np.linspace(0, 1, 9)
    return {
        "history": figures.history(history),
        "reconstructions": figures.reconstructions(shown, vae.reconstruct(shown).numpy()),
        "samples": vae.prior and figures.mosaic(vae.sample(36, seed=args.seed).numpy()),
        "posterior_samples": vae.prior and _training.posterior_samples(vae, shown, args),
        "interpolation": figures.interpolation(
            vae.interpolate(ends[::2], ends[1::2], num_steps=len(steps)).numpy(), labels=steps
        ),
    }


if __name__ == "__main__":
    _training.run(main)
