"""The state of a training besides weights: seed, stop flag, generators and optimizer."""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras

from tfpvae import _checks


class CheckpointState(tf.__internal__.tracking.AutoTrackable):
    """State of a training that its checkpoints hold besides weights and optimizer.

    Attributes:
      seed: seed of all draws and orders of a fit or evaluate, drawn when it begins.
      is_over: whether a callback has stopped the training.
      generators: generators of layers that draw from their own.
    """

    def __init__(self):
        super().__init__()
        self.seed = tf.Variable(_checks.seed(None), trainable=False, name="seed")
        self.is_over = tf.Variable(False, trainable=False, name="is_over")
        self.generators: list[tf.random.Generator] = []

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Restores the state of a training whose callback runs something else."""
        seed, is_over = self.seed.read_value(), self.is_over.read_value()
        try:
            yield
        finally:
            self.seed.assign(seed)
            self.is_over.assign(is_over)

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        return children if save_type == "checkpoint" else {}  # not part of a saved model


def generators_of(model: tf_keras.Model) -> list[tf.random.Generator]:
    """Returns the generators of layers such as Dropout(0.5, rng_type="stateful")."""
    wrappers = [getattr(layer, "_random_generator", None) for layer in model.submodules]
    generators = [getattr(wrapper, "_generator", None) for wrapper in wrappers]
    return [generator for generator in generators if generator is not None]


def variables_of(model: tf_keras.Model) -> list[tf.Variable]:
    """Returns the weights of a model and, if it is compiled, the variables of its optimizer."""
    optimizer = getattr(model, "optimizer", None)
    return [*model.weights, *([] if optimizer is None else _variables(optimizer))]


def build_optimizer(model: tf_keras.Model) -> None:
    """Creates the variables of a model's optimizer, unless they exist."""
    optimizer = model.optimizer
    if isinstance(optimizer, tf_keras.optimizers.legacy.Optimizer):
        optimizer._create_all_weights(model.trainable_variables)
    else:
        optimizer.build(model.trainable_variables)


def restore_optimizer(model: tf_keras.Model, saved: tf_keras.optimizers.Optimizer) -> None:
    """Sets the optimizer of a model to the state of a saved one."""
    build_optimizer(model)
    _copy_variables(saved, model.optimizer)
    if isinstance(model.optimizer, tf_keras.optimizers.legacy.Optimizer):
        # Its slots are no children; a saved one that has not taken a step has none.
        for name in saved.get_slot_names():
            for weight in model.trainable_variables:
                model.optimizer.get_slot(weight, name).assign(saved.get_slot(weight, name))


def _copy_variables(source: Any, target: Any) -> None:
    """Sets the variables of one trackable object to those of another with the same children."""
    children = source._trackable_children()
    for name, child in target._trackable_children().items():
        if name not in children:
            continue
        if isinstance(child, tf.Variable):
            child.assign(tf.cast(children[name], child.dtype))  # a rate has that of floatx
        else:
            _copy_variables(children[name], child)


def _variables(optimizer: tf_keras.optimizers.Optimizer) -> list[tf.Variable]:
    variables = optimizer.variables  # a method of legacy optimizers
    return list(variables() if callable(variables) else variables)
