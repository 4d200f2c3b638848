"""Trains the convolutional ladder on photographs, and compares its bits with those of codecs.

    python benchmarks/ladder.py --data PHOTOGRAPHS
    python benchmarks/ladder.py --drawn 2000 --epochs 20  # drawn flowers

The largest map has a position for every 2x2 pixels; the likelihood is the coupled mixture of
logistics, or with --independent the mixture whose channels do not depend on one another. Adam in
small batches, flipped at random, with a warm-up and a cosine to the last epoch, the gradient
clipped. The weight of the KL rises over the first steps, so that the latents are used early. A call
ends with the moving average of the weights. WORK/log.json has a line per epoch, with its wall and
CPU seconds, and the bits a dimension of 64 validation pictures by the ELBO of one draw, an upper
bound; WORK/backup the weights and the optimizer. The same command continues a run that was stopped.
With --minutes it stops after the first epoch that ends later, and a later call continues: the
seconds of all calls are added up.
WORK/result.json has the bits of the test pictures, of PNG, JPEG 2000 and WebP for the same pixels,
and the nats of each group; samples.png and reconstructions.png show what it draws.
"""

import argparse
import io
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
import tf_keras
from PIL import Image
from rows.training import Task, WarmCosine, train

import tfpvae
from tfpvae import datasets, evaluation, figures, layers

SHAPE = (80, 80, 3)
BITS = np.log(2) * np.prod(SHAPE)
CODECS = {
    "PNG": {"format": "PNG", "optimize": True},
    "JPEG 2000": {"format": "JPEG2000", "irreversible": False},
    "WebP": {"format": "WEBP", "lossless": True, "quality": 100, "method": 6},
}


class Minutes(tf_keras.callbacks.Callback):
    """Callback that stops a training after the first epoch that ends later than so many minutes."""

    def __init__(self, minutes: float):
        super().__init__()
        self.end = time.monotonic() + 60 * minutes

    def on_epoch_end(self, epoch, logs=None):
        """Stops the training if its time is over."""
        self.model.stop_training = time.monotonic() > self.end


def bits_of_codecs(images: np.ndarray) -> dict[str, float]:
    """Returns the bits a dimension of each lossless codec, a file a picture."""
    result = {}
    for name, options in CODECS.items():
        sizes = []
        for image in images:
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, **options)
            sizes.append(8 * buffer.tell() / image.size)
        result[name] = float(np.mean(sizes))
    return result


def build(images: np.ndarray, args: argparse.Namespace) -> tfpvae.VAE:
    """Returns the ladder."""
    tf_keras.utils.set_random_seed(args.seed)
    names = ("groups", "latent_channels", "width", "depth", "patch")
    options = {name: getattr(args, name) for name in names}
    likelihood = layers.CoupledLogisticMixtureLikelihood
    if args.independent:
        likelihood = layers.LogisticMixtureLikelihood
    return tfpvae.build_vae(
        "ladder",
        args.precision,
        image_shape=SHAPE,
        likelihood=likelihood(SHAPE, components=args.components),
        pixel_mean=images.mean(axis=(0, 1, 2)) / 255,
        backbone_options=options,
        kl_weight=tfpvae.schedules.LinearWarmup(num_steps=args.kl_warmup) if args.kl_warmup else 1,
    )


def pictures(args: argparse.Namespace) -> list[np.ndarray]:
    """Returns the pictures to train on, to watch and to test on, uint8."""
    if args.drawn:
        images = datasets.draw_flowers(args.drawn, image_shape=SHAPE, seed=args.seed).images
        return np.split(images, [args.drawn * 8 // 10, args.drawn * 9 // 10])
    parts = [part.paths for part in datasets.split_pictures(args.data)]
    return [
        datasets.load_pictures(part, image_shape=SHAPE, on_error="skip").images for part in parts
    ]


def batches(images: np.ndarray, batch_size: int, seed: int) -> tf.data.Dataset:
    """Returns shuffled batches of pictures, each flipped at random."""
    dataset = datasets.batches(images, batch_size=batch_size, shuffle=True, seed=seed)
    return dataset.map(lambda batch: tf.image.random_flip_left_right(batch, seed=seed))


def main() -> None:
    """Trains, or continues, and writes the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of photographs")
    parser.add_argument("--drawn", type=int, help="as many drawn flowers in place of photographs")
    parser.add_argument("--work", type=Path, default=Path("ladder"), help="folder to work in")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=1e9, help="of this call, at most")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--kl-warmup", type=int, default=3000, help="steps until its weight is 1")
    parser.add_argument("--patch", type=int, default=2, help="pixels a position, a side")
    parser.add_argument(
        "--groups",
        type=int,
        nargs="+",
        default=[1, 1, 2, 4],
        help="of each map, smallest first",
    )
    parser.add_argument("--latent-channels", type=int, default=4)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--components", type=int, default=3)
    parser.add_argument(
        "--independent", action="store_true", help="channels do not depend on others"
    )
    parser.add_argument("--test-images", type=int, default=400)
    parser.add_argument("--draws", type=int, default=20, help="importance samples of the test part")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    training, validation, test = pictures(args)
    vae = build(training, args)
    print(vae, flush=True)
    steps = args.epochs * -(-len(training) // args.batch_size)
    optimizer = tf_keras.optimizers.Adam(
        WarmCosine(args.learning_rate, steps), global_clipnorm=1000.0, use_ema=True
    )
    few = validation[:64]
    numbers = train(
        vae,
        optimizer,
        lambda seed: batches(training, args.batch_size, seed),
        Task(args.work, args.work, args.seed, args.epochs, args.draws, args.test_images, False),
        lambda epoch: {"bits": -np.mean(vae.elbo(few, 1, seed=args.seed)) / BITS},
        [Minutes(args.minutes)],
    )
    test = test[: args.test_images]
    bits = vae.bits_per_dim(test, args.draws, seed=args.seed).numpy()
    result = {
        "settings": {name: str(value) for name, value in vars(args).items()},
        "parameters": vae.count_params(),
        "training": numbers,
        "bits_of_the_elbo": float(-np.mean(vae.elbo(test, 1, seed=args.seed)) / BITS),
        "bits": float(bits.mean()),
        "standard_error": float(bits.std() / np.sqrt(len(bits))),
        "codecs": bits_of_codecs(test),
        "kl_of_groups": evaluation.kl_per_group(vae, test, seed=args.seed).tolist(),
    }
    (args.work / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    figures.mosaic(vae.sample(20, seed=args.seed), columns=10).savefig(args.work / "samples.png")
    shown = figures.reconstructions(test[:10], vae.reconstruct(test[:10]))
    shown.savefig(args.work / "reconstructions.png")
    print(json.dumps({k: v for k, v in result.items() if k != "training"}, indent=2))


if __name__ == "__main__":
    main()
