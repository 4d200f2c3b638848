"""Learns digits of 28x28 pixels with one of six systems, two of them plain autoencoders.

Without options it draws its own digits and takes about a minute on two processor cores:

    python examples/mnist.py
    python examples/mnist.py --system cnn --data mnist --source-settings

The systems are dense-a and dense-b (the same network, trained in two ways), deep (a plain
autoencoder), conv, conv-autoencoder and cnn. The results are history.csv, figures, model/ (a
SavedModel) and summary.json (settings and scores).
"""

from pathlib import Path

import _digits
import _training

# The options of each system, and the settings of its tutorial.
SYSTEMS = {
    "dense-a": {"architecture": "dense", "grid": 15},
    "dense-b": {"architecture": "dense", "grid": 3},
    "deep": {"architecture": "deep", "posterior": "deterministic"},
    "conv": {"architecture": "conv", "grid": 15},
    "conv-autoencoder": {"architecture": "conv", "posterior": "deterministic"},
    "cnn": {"architecture": "cnn", "latent_dim": 10, "patience": 5},
}
SOURCES = {
    "dense-a": {"optimizer": "adam", "batch_size": 32, "epochs": 20},
    "dense-b": {"optimizer": "rmsprop", "batch_size": 256, "epochs": 10},
    "deep": {"optimizer": "adamax", "learning_rate": 0.01, "batch_size": 128, "epochs": 5},
    # The tutorial counted the KL twice.
    "conv": {"optimizer": "adamax", "batch_size": 32, "epochs": 50, "kl_weight": 2.0},
    "conv-autoencoder": {"optimizer": "rmsprop", "batch_size": 64, "epochs": 50},
    "cnn": {"optimizer": "adam", "batch_size": 128, "epochs": 200},
}
DEFAULTS = {
    "epochs": 10,
    "batch_size": 32,
    "learning_rate": 1e-3,
    "latent_dim": 2,
    "posterior": "independent_normal",
    "likelihood": "bernoulli",
    "grid": 15,
}


def settings(args):
    """Returns the defaults of the selected system."""
    source = SOURCES[args.system] if args.source_settings else {}
    return {"output": Path("runs") / args.system, **SYSTEMS[args.system], **source}


def main():
    parser = _training.parser(__doc__, **DEFAULTS)
    parser.add_argument("--system", choices=SYSTEMS, default="dense-a", help="(default: dense-a)")
    _digits.add_data(parser)
    args = _training.parse(parser, settings)
    _digits.check_data(parser, args)
    _training.start(parser, args)
    try:
        training, validation, test = _digits.load(args)
        vae = _training.build(args, **_digits.start(training.images, args))
    except (OSError, TypeError, ValueError) as error:
        parser.error(str(error))
    untrained = vae.reconstruct(test.images[:1]).numpy()
    history, speed = _training.train(vae, training.images, validation.images, args)
    scores = _training.score(vae, test.images, args)
    drawings = _digits.figures(vae, test, history, untrained, args)
    _training.save(vae, test.images, args, scores)
    _training.write(args, history, drawings, scores, speed, len(test.images))
    _training.tidy(args)


if __name__ == "__main__":
    _training.run(main)
