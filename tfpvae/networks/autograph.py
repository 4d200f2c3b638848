"""AutoGraph: the code of this package runs as it is written, that of a user as in Keras.

Inside a `tf.function`, AutoGraph rewrites every function that is called, but for those of packages
on its list, such as TensorFlow Probability and Keras. No function of tfpvae needs that, and the
rewriting of a hundred of them takes longer than the first epoch of a small model.
"""

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf
from tensorflow.python.autograph.core import config

_Function = TypeVar("_Function", bound=Callable)

# AutoGraph's own list; it reads the list at each call.
config.CONVERSION_RULES = (config.DoNotConvert("tfpvae"), *config.CONVERSION_RULES)


def converted(function: _Function) -> _Function:
    """Returns a user's function as AutoGraph rewrites it, inside a graph; eagerly, as it is.

    Keras does so with the layers, losses and metrics that it calls. Whatever else of a user's
    tfpvae calls in a graph, it calls through here.

    >>> @tf.function
    ... def graph(x):
    ...     return converted(lambda x: x if x > 0 else -x)(x)
    >>> float(graph(tf.constant(-2.0)))
    2.0
    """
    if tf.executing_eagerly():
        return function
    context = tf.__internal__.autograph.control_status_ctx()
    return tf.__internal__.autograph.tf_convert(function, context)
