"""The state of a training besides weights: seed, stop flag and optimizer."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks

tfd = tfp.distributions


class Progress(tf.__internal__.tracking.AutoTrackable):
    """What of a training is in its checkpoints, but neither a weight nor the optimizer's.

    Attributes:
      seed: what all draws and orders of a fit or evaluate go back to, drawn as it begins.
      is_over: whether a callback has stopped the training.
      generators: of the layers that draw from one of their own.
    """

    def __init__(self):
        super().__init__()
        self.seed = tf.Variable(_checks.seed(None), trainable=False, name="seed")
        self.is_over = tf.Variable(False, trainable=False, name="is_over")
        self.generators: list[tf.random.Generator] = []

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Leaves a training as it was, in whose callback something else is done."""
        seed, is_over = self.seed.read_value(), self.is_over.read_value()
        try:
            yield
        finally:
            self.seed.assign(seed)
            self.is_over.assign(is_over)

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        return children if save_type == "checkpoint" else {}  # a saved model begins anew


def generators(vae: tf_keras.Model) -> list[tf.random.Generator]:
    """Returns those of layers such as Dropout(0.5, rng_type="stateful"); others have none."""
    own = [getattr(layer, "_random_generator", None) for layer in vae.submodules]
    found = [getattr(generator, "_generator", None) for generator in own]
    return [generator for generator in found if generator is not None]


def build_optimizer(vae: tf_keras.Model) -> None:
    """Makes the variables of a VAE's optimizer, if they were not made yet."""
    optimizer = vae.optimizer
    if isinstance(optimizer, tf_keras.optimizers.legacy.Optimizer):
        optimizer._create_all_weights(vae.trainable_variables)
    else:
        optimizer.build(vae.trainable_variables)


def restore_optimizer(vae: tf_keras.Model, saved: tf_keras.optimizers.Optimizer) -> None:
    """Gives the optimizer of a VAE the state of a saved one."""
    build_optimizer(vae)
    # Of a legacy one `iterations` would be a new variable.
    steps = saved.iter if hasattr(saved, "iter") else saved.iterations
    vae.optimizer.iterations.assign(steps)
    # Not strict: an optimizer that has not stepped yet was saved without its slots.
    for variable, value in zip(_slots(vae.optimizer), _slots(saved), strict=False):
        variable.assign(value)


def _slots(optimizer: tf_keras.optimizers.Optimizer) -> list[tf.Variable]:
    variables = optimizer.variables
    variables = variables() if callable(variables) else variables
    return [variable for variable in variables if variable is not optimizer.iterations]


def state(vae: tf_keras.Model) -> list[tf.Variable]:
    """Returns the weights of a VAE and, if it is compiled, the variables of its optimizer."""
    variables = getattr(getattr(vae, "optimizer", None), "variables", ())
    return [*vae.weights, *(variables() if callable(variables) else variables)]
