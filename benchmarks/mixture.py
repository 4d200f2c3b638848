"""Times the density of a mixture of normals beside that of TensorFlow Probability.

    python benchmarks/mixture.py

The mixture is as large as a VampPrior of 500 pseudo-inputs with 40 latents. The latents are those
of a batch in training, and of ten images in scoring. The two compute the density and its gradient
in turn; the numbers are medians over the rounds.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf
import tensorflow_probability as tfp

import tfpvae

tfd = tfp.distributions
COMPONENTS, LATENT_DIM = 500, 40


def main() -> None:
    """Prints the milliseconds of each, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    prior = tfpvae.build_prior("mixture", latent_dim=LATENT_DIM, num_components=COMPONENTS)
    parts = prior.mixture_distribution, prior.components_distribution
    mixtures = {"tfpvae": prior, "TFP": tfd.MixtureSameFamily(*parts)}

    def gradient(name, latents):
        with tf.GradientTape() as tape:
            tape.watch(latents)
            log_prob = mixtures[name].log_prob(latents)
        return log_prob, tape.gradient(log_prob, [latents, *prior.trainable_variables])

    for jit_compile in (False, True):
        for count in (100, 5000):
            latents = tf.random.normal([count, LATENT_DIM], seed=0)
            times: dict[str, list[float]] = {name: [] for name in mixtures}
            steps = {name: tf.function(gradient, jit_compile=jit_compile) for name in mixtures}
            for number in range(args.rounds + 1):
                for name, step in steps.items():
                    start = time.perf_counter()
                    step(name, latents)
                    if number:  # the first compiles
                        times[name].append(1e3 * (time.perf_counter() - start))
            ratios = [a / b for a, b in zip(times["TFP"], times["tfpvae"], strict=True)]
            each = ", ".join(f"{name} {statistics.median(times[name]):.2f} ms" for name in mixtures)
            how = "XLA" if jit_compile else "graph"
            print(f"{how}, {count} latents: {each}, ratio {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
