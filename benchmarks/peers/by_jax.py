"""JAX: the whole epoch in one scan, dense networks only."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from peers.task import LEARNING_RATE, SCALE_FLOOR, SCALE_START, Task

ACTIVATIONS = {"linear": lambda x: x, "relu": jax.nn.relu, "tanh": jnp.tanh}


def _networks(task: Task):
    """Returns the widths and activations of the layers of encoder and decoder."""
    networks, width = [], math.prod(task.image_shape)
    for layers, last in ((task.encoder, task.parameters), (task.decoder, None)):
        widths, activations = [width], []
        for name, config, output in layers:
            if name == "Dense":
                widths.append(output[-1])
                activations.append(config["activation"])
        if last:
            widths.append(last)
            activations.append("linear")
        networks.append((widths, activations))
        width = task.latent_dim
    return networks


class Trainer:
    """Trainer with weights in lists, optax and lax.scan."""

    def __init__(self, task: Task):
        self.task = task
        self.images = jnp.asarray(task.load().reshape(-1, math.prod(task.image_shape)))
        networks = _networks(task)
        rng = np.random.default_rng(0)
        self.weights = [
            [_layer(rng, *sides) for sides in itertools.pairwise(widths)] for widths, _ in networks
        ]
        self.optimizer = optax.adam(LEARNING_RATE, eps=1e-7)
        self.state = self.optimizer.init(self.weights)
        self.rng = np.random.default_rng(1)
        self.scan = jax.jit(self._make([activations for _, activations in networks]))

    def _make(self, activations):
        task, size = self.task, self.task.latent_dim

        def apply(weights, names, x):
            for (kernel, bias), name in zip(weights, names, strict=True):
                x = ACTIVATIONS[name](x @ kernel + bias)
            return x

        def loss(weights, x, key):
            params = apply(weights[0], activations[0], x)
            mean = params[:, :size]
            scale = jax.nn.softplus(params[:, size:] + SCALE_START) + SCALE_FLOOR
            noise = jax.random.normal(key, (task.num_samples, *mean.shape))
            latents = mean + scale * noise
            logits = apply(weights[1], activations[1], latents)
            nll = jnp.sum(jax.nn.softplus(logits) - x * logits, -1)
            if task.num_samples == 1:
                kl = jnp.sum(0.5 * (scale**2 + mean**2 - 1) - jnp.log(scale), -1)
                return jnp.mean(nll[0] + kl)
            ratio = jnp.sum(0.5 * (latents**2 - noise**2) - jnp.log(scale), -1)
            bound = jax.nn.logsumexp(-nll - ratio, 0) - math.log(task.num_samples)
            return -jnp.mean(bound)

        def step(carry, rows):
            weights, state, images, key = carry
            key, step_key = jax.random.split(key)
            x = images[rows].astype(jnp.float32) / 255
            value, gradient = jax.value_and_grad(loss)(weights, x, step_key)
            updates, state = self.optimizer.update(gradient, state, weights)
            return (optax.apply_updates(weights, updates), state, images, key), value

        def epoch(weights, state, images, order, key):
            carry, values = jax.lax.scan(step, (weights, state, images, key), order)
            return carry[0], carry[1], values.mean()

        return epoch

    def epoch(self) -> float:
        """Returns the loss of one epoch, without the images of a last short batch."""
        count = len(self.images) // self.task.batch_size * self.task.batch_size
        order = self.rng.permutation(len(self.images))[:count].reshape(-1, self.task.batch_size)
        key = jax.random.PRNGKey(self.rng.integers(2**31))
        self.weights, self.state, loss = self.scan(
            self.weights, self.state, self.images, jnp.asarray(order), key
        )
        return float(loss)


def _layer(rng, inputs, outputs):
    limit = math.sqrt(6 / (inputs + outputs))
    kernel = rng.uniform(-limit, limit, (inputs, outputs)).astype(np.float32)
    return jnp.asarray(kernel), jnp.zeros(outputs)
