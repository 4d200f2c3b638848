"""Times a training step of the convolutional ladder beside the same network written by hand.

    python benchmarks/ladder_step.py

The other is a tf_keras Model with a `train_step` of its own: the same convolutions, draws,
closed-form KL of each group, Bernoulli cross-entropy and Adam. The two fit the same images in turn,
an epoch a round; the numbers are medians over the rounds.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf
import tf_keras

import tfpvae
from tfpvae import datasets

tfkl = tf_keras.layers
SHAPE = (80, 80, 3)
PATCH, SIDES = 4, [(20, 20), (10, 10), (5, 5)]


def activated(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the activation of both networks."""
    return tf.nn.leaky_relu(tensor, 0.2)


class ByHand(tf_keras.Model):
    """The ladder with one loss, and nothing else."""

    def __init__(self, groups: int, latent_channels: int, width: int):
        super().__init__()
        self.groups, self.latents = groups, latent_channels
        self.patch, self.sides = PATCH, SIDES
        self.widths = [width * 2**level for level in range(len(SIDES))]
        self.width = width
        self.convolutions: dict[str, tfkl.Layer] = {}
        self.mean = tf_keras.metrics.Mean("loss")

    def conv(self, name, tensor, units, side=3, stride=1, padding="same", zeros=False):
        """Returns a convolution, made when it is first called."""
        if name not in self.convolutions:
            start = "zeros" if zeros else "glorot_uniform"
            self.convolutions[name] = tfkl.Conv2D(
                units, side, stride, padding, kernel_initializer=start
            )
        return self.convolutions[name](tensor)

    def bordered(self, name, tensor, units, zeros=False):
        """Returns a convolution that sees the border repeated."""
        tensor = tf.pad(tensor, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
        return self.conv(name, tensor, units, padding="valid", zeros=zeros)

    def normal(self, name, tensor):
        """Returns the location and the raw scale of a group, bounded as in the ladder."""
        params = self.bordered(name, tensor, 2 * self.latents, zeros=True)
        return tf.split(5 * tf.tanh(params / 5), 2, axis=-1)

    def call(self, images):
        """Returns the negative ELBO of each image."""
        maps, tensor = [], images
        for level, units in enumerate(self.widths):
            stride = self.patch if level == 0 else 2
            tensor = self.conv(f"down{level}", tensor, units, stride, stride)
            hidden = activated(self.conv(f"a{level}", activated(tensor), units))
            tensor += self.conv(f"b{level}", hidden, units, zeros=True)
            maps.append(activated(tensor))
        state, kl = None, 0.0
        for level in reversed(range(len(maps))):
            units = self.widths[level]
            for group in range(self.groups):
                name = f"{level}_{group}"
                if state is None:
                    loc, raw = self.normal(f"top{name}", maps[level])
                    scale = tf.math.softplus(raw) + 1e-5
                    kls = 0.5 * (loc**2 + scale**2 - 1) - tf.math.log(scale)
                else:
                    prior, raw = self.normal(f"p{name}", activated(state))
                    spread = tf.math.softplus(raw) + 1e-5
                    both = tf.concat([activated(state), maps[level]], axis=-1)
                    hidden = activated(self.conv(f"j{name}", both, units // 2, 1))
                    hidden = activated(self.bordered(f"h{name}", hidden, units // 2))
                    shift, raw = self.normal(f"q{name}", hidden)
                    ratio = tf.math.softplus(raw + 0.5413) + 1e-5
                    loc, scale = prior + shift, spread * ratio
                    kls = 0.5 * ((shift / spread) ** 2 + ratio**2 - 1) - tf.math.log(ratio)
                kl += tf.reduce_sum(kls, axis=[1, 2, 3])
                z = loc + scale * tf.random.normal(tf.shape(loc))
                added = self.conv(f"z{name}", z, units, 1)
                state = added if state is None else state + added
                hidden = activated(self.bordered(f"c{name}", activated(state), units))
                state += self.bordered(f"d{name}", hidden, units, zeros=True)
            if level:
                state = self.conv(f"e{level}", state, self.widths[level - 1], 1)
                state = tf.image.resize(state, self.sides[level - 1])
        state, patch = activated(state), self.patch
        while patch > 1:
            patch //= 2
            units = max(self.width * patch // 4, 1)
            state = activated(self.bordered(f"f{patch}", state, units))
            state = tf.image.resize(state, [SHAPE[0] // patch, SHAPE[1] // patch])
        logits = self.bordered("pixels", state, SHAPE[2])
        nll = tf.nn.sigmoid_cross_entropy_with_logits(images, logits)
        return tf.reduce_sum(nll, axis=[1, 2, 3]) + kl

    def train_step(self, images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self(tf.cast(images, tf.float32) / 255, training=True))
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}


def main() -> None:
    """Prints the milliseconds of a step of each, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=16)
    args = parser.parse_args()
    count = args.batch_size * args.steps
    images = datasets.draw_flowers(count, image_shape=SHAPE, seed=0).images
    options = {"groups": 2, "latent_channels": 8, "width": 32}

    models = {
        "tfpvae": tfpvae.build_vae("ladder", image_shape=SHAPE, backbone_options=options),
        "by hand": ByHand(**options),
    }
    for model in models.values():
        model.compile(tf_keras.optimizers.Adam(1e-3))

    times: dict[str, list[float]] = {name: [] for name in models}
    for number in range(args.rounds + 1):
        for name, model in models.items():
            start = time.perf_counter()
            model.fit(images, batch_size=args.batch_size, verbose=0)
            if number:  # the first compiles
                times[name].append((time.perf_counter() - start) / args.steps)
    medians = {name: 1e3 * statistics.median(each) for name, each in times.items()}
    for name, model in models.items():
        print(f"{name}: {medians[name]:.1f} ms a step, {model.count_params():,} parameters")
    ratios = [a / b for a, b in zip(times["tfpvae"], times["by hand"], strict=True)]
    print(f"ratio, the median of the rounds: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
