"""Learns digits of 28x28 pixels with their labels, and draws digits of each class.

Without options it draws its own digits and takes about two minutes on two processor cores:

    python examples/conditional.py
    python examples/conditional.py --data mnist --epochs 10 --batch-size 100

The results are history.csv, figures, model/ (a SavedModel) and summary.json (settings and scores).
In classes.png each row is a class and each column one z, which encodes what the class does not,
such as slant and weight. In styles.png the z of each picture is decoded as every class.
"""

from pathlib import Path

import _digits
import _training

DEFAULTS = {
    "epochs": 40,
    "batch_size": 32,
    "learning_rate": 1e-3,
    "latent_dim": 4,
    "posterior": "independent_normal",
    "likelihood": "bernoulli",
    "architecture": "dense",
    "output": Path("runs/conditional"),
}
SAMPLES = 12  # of each class
CLASSIFIED = 500  # of the test pictures


def main():
    parser = _training.parser(__doc__, **DEFAULTS)
    _digits.add_data(parser)
    args = _training.parse(parser, lambda args: {})
    _digits.check_data(parser, args)
    _training.start(parser, args)
    try:
        training, validation, test = _digits.load(args)
        more = _digits.start(training.images, args)
        vae = _training.build(args, num_classes=len(test.class_names), **more)
    except (OSError, TypeError, ValueError) as error:
        parser.error(str(error))
    pairs = [(part.images, part.labels) for part in (training, validation)]
    history, speed = _training.train(vae, *pairs, args)
    scores = _training.score(vae, test.images, args, labels=test.labels)
    if vae.prior is not None:
        scores["accuracy"] = accuracy(vae, test, args)
    drawings = figures(vae, test, history, args)
    _training.save(vae, test.images, args, scores, labels=test.labels)
    _training.write(args, history, drawings, scores, speed, len(test.images))
    _training.tidy(args)


def accuracy(vae, test, args):
    """Returns the share of pictures whose ELBO is highest under their own class."""
    import numpy as np

    few = slice(CLASSIFIED)
    bounds = [
        vae.elbo(test.images[few], 10, seed=args.seed, labels=label)
        for label in range(vae.num_classes)
    ]
    share = float(np.mean(np.argmax(bounds, axis=0) == test.labels[few]))
    print(f"The class of the highest ELBO is the right one for {share:.1%} of the pictures.")
    return share


def figures(vae, test, history, args):
    """Returns the figures by name; None for samples of a model without a prior."""
    import numpy as np

    from tfpvae import figures

    _training.drawing()
    one_each = np.unique(test.labels, return_index=True)[1]
    images, labels = test.images[one_each], test.labels[one_each]
    latents = vae.encode(images, labels=labels)
    rows = {
        f"as {test.class_names[label]}": vae.decode(latents, labels=label).numpy()
        for label in range(vae.num_classes)
    }
    drawings = {
        "history": figures.history(history),
        "reconstructions": figures.reconstructions(
            images, vae.reconstruct(images, labels=labels).numpy()
        ),
        "styles": figures.reconstructions(images, rows),
        "classes": None,
    }
    if vae.prior is not None:
        samples = [vae.sample(SAMPLES, args.seed, labels=c) for c in range(vae.num_classes)]
        drawings["classes"] = figures.traversal(np.stack(samples), names=test.class_names)
    return drawings


if __name__ == "__main__":
    _training.run(main)
