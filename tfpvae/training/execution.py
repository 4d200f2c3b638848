"""How the steps of a VAE run: by XLA or not, and how many per call from Python."""

import dataclasses
import functools
import math

import tensorflow as tf
import tf_keras

from tfpvae.layers.base import DistributionLayer
from tfpvae.layers.one_hot import OneHot
from tfpvae.networks import structure
from tfpvae.networks.ladder import DensePath

# About a tenth of a second on two cores, so that the progress bar moves.
_OPERATIONS_PER_CALL = 3e10
_MAX_STEPS_PER_CALL = 50
# Layers without convolutions that treat each image independently of the others.
_DENSE = (
    DensePath,
    DistributionLayer,
    OneHot,
    *(
        getattr(tf_keras.layers, name)
        for name in (
            *("Activation", "Add", "Concatenate", "Dense", "Dropout", "ELU", "Embedding"),
            *("Flatten", "InputLayer", "LayerNormalization", "LeakyReLU", "PReLU", "ReLU"),
            "Reshape",
        )
    ),
)
# On a CPU, XLA runs convolutions at a fraction of oneDNN's speed; on a GPU both call cuDNN.
# XLA has no gradient of UpSampling2D.
_ON_A_GPU = tuple(
    getattr(tf_keras.layers, name)
    for name in (
        *("AveragePooling2D", "BatchNormalization", "Conv2D", "Conv2DTranspose", "Cropping2D"),
        *("MaxPooling2D", "ZeroPadding2D"),
    )
)


@dataclasses.dataclass(frozen=True)
class Execution:
    """How the steps of a compiled VAE run.

    Attributes:
      by_xla: whether XLA compiles the steps.
      in_loops: whether one program of XLA runs many steps; see `xla_loop`.
      each_by_xla: whether XLA compiles each step by itself, outside of which its batch is checked.
      chooses_steps: whether `fit` chooses how many steps one call from Python runs.
    """

    by_xla: bool = False
    in_loops: bool = False
    each_by_xla: bool = False
    chooses_steps: bool = False


def decide(
    vae: tf_keras.Model,
    jit_compile: bool | None,
    *,
    has_own_steps: bool,
    has_metrics: bool,
    is_likelihood: bool,
    chooses_steps: bool,
) -> Execution:
    """Decides how the steps of a VAE run.

    Args:
      vae: a `VAE` with an optimizer.
      jit_compile: whether XLA compiles steps; None to compile them where that is known to pay.
      has_own_steps: whether no subclass or strategy changes what a step is.
      has_metrics: whether metrics were given to `compile`.
      is_likelihood: whether the loss is the negative log-likelihood.
      chooses_steps: whether `fit` chooses how many steps one call from Python runs.
    """
    is_plain = has_own_steps and not has_metrics
    if jit_compile is None:
        by_xla = is_plain and is_likelihood and compiles_by_default(vae)
    else:
        by_xla = bool(jit_compile)
    is_new = isinstance(vae.optimizer, tf_keras.optimizers.Optimizer)
    in_loops = by_xla and is_plain and is_new and is_dense(vae)
    return Execution(
        by_xla=by_xla,
        in_loops=in_loops,
        each_by_xla=by_xla and has_own_steps and not in_loops,
        chooses_steps=chooses_steps,
    )


def compiles_by_default(vae: tf_keras.Model) -> bool:
    """Returns whether XLA is known to take every part of a step, and pays."""
    prior_package = (type(vae.prior).__module__ or "").split(".")[0]
    is_known = prior_package in ("builtins", "tensorflow_probability", "tfpvae")
    return is_known and xla_pays(vae)


def xla_pays(network: tf_keras.Model) -> bool:
    """Returns whether all layers are known to run faster by XLA, and XLA is available."""
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    return (is_dense(network) or (on_gpu and _are(network, _DENSE + _ON_A_GPU))) and has_xla()


@functools.cache
def has_xla() -> bool:
    """Returns whether XLA compiles for this machine; for GPUs of Apple and DirectML it does not."""
    try:
        tf.function(tf.exp, jit_compile=True)(tf.ones([1]))
    except tf.errors.OpError:
        return False
    return True


def is_dense(network: tf_keras.Model) -> bool:
    """Returns whether all layers are known to have no convolutions and to keep images apart.

    The layers of a whole VAE are those of both its networks.

    >>> from tfpvae import build_vae
    >>> [is_dense(build_vae(architecture)) for architecture in ("dense", "conv")]
    [True, False]
    """
    return _are(network, _DENSE)


def _are(network: tf_keras.Model, kinds: tuple) -> bool:
    parts = network._flatten_layers(include_self=False)
    if not all(part._is_graph_network for part in parts if isinstance(part, tf_keras.Model)):
        return False  # the code of a subclassed network may do anything
    return all(
        isinstance(layer, kinds)
        # Keras divides the loss of an activity by the size of the batch.
        and (isinstance(layer, DistributionLayer) or layer.activity_regularizer is None)
        for layer in structure.layers_of(network)
    )


def operations(network: tf_keras.Model) -> int:
    """Counts the floating-point operations of the matrix products and convolutions of one image.

    A multiplication and an addition are two. A training step takes three times as many: one pass
    forward, and backward one for the weights and one for the inputs.

    >>> from tfpvae import build_vae
    >>> operations(build_vae("dense").encoder)  # 784 to 256 to 4
    403456
    """
    return sum(
        2 * math.prod(layer.kernel.shape) * _positions(layer)
        for layer in structure.layers_of(network)
        if hasattr(layer, "kernel")
    )


def steps_per_call(vae: tf_keras.Model, batch_size: int) -> int:
    """Returns how many training steps one call from Python should run.

    It is counted, not timed, so that a training is the same on every machine.
    """
    per_image = operations(vae.encoder) + vae.num_samples * operations(vae.decoder)
    per_step = max(1, 3 * batch_size * per_image)
    return max(1, min(_MAX_STEPS_PER_CALL, int(_OPERATIONS_PER_CALL / per_step)))


def _positions(layer: tf_keras.layers.Layer) -> int:
    """Returns how often the kernel of a layer is applied per image."""
    if hasattr(layer, "positions"):  # of a path, whose layers Keras does not call by itself
        return layer.positions
    is_transposed = isinstance(layer, tf_keras.layers.Conv2DTranspose)
    # Keras has no shapes of layers inside subclassed networks; one is right for a dense layer.
    shape = getattr(layer, "input_shape" if is_transposed else "output_shape", ())
    return math.prod(shape[1:-1])
