"""What the networks of a VAE are given: images or latents, and labels if it is conditional.

A conditional VAE is one of images x of a class y, log p(x|y) >= E_q(z|x,y) log p(x|z, y) -
KL(q(z|x, y) || p(z)) (Sohn, Lee and Yan 2015, equation 4). Its encoder takes [images, labels] and
its decoder [latents, labels], where those of any other VAE take one tensor: the `given` of this
module is either. Nothing else has to know which of the two a VAE is.
"""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae import _checks


def join(tensor: Any, labels: Any = None) -> Any:
    """Returns what a network is given: [tensor, labels], or the tensor where labels are None.

    >>> join(1), join(1, 2)
    (1, [1, 2])
    """
    return tensor if labels is None else [tensor, labels]


def split(given: Any) -> tuple[Any, Any]:
    """Returns the images or latents of what a network is given, and the labels or None.

    >>> split(1), split([1, 2])
    ((1, None), (1, 2))
    """
    return tuple(given) if isinstance(given, (list, tuple)) else (given, None)


def rows(given: Any, start: int, stop: int) -> Any:
    """Returns a part of the rows of what a network is given.

    >>> [part.numpy().tolist() for part in rows([tf.range(5), tf.range(5, 10)], 1, 3)]
    [[1, 2], [6, 7]]
    """
    return tf.nest.map_structure(lambda part: part[start:stop], given)


def draws(latents: tf.Tensor, labels: tf.Tensor | None) -> Any:
    """Returns what a decoder is given of S draws for B images: S * B latents, and their labels.

    Args:
      latents: [S, B, D].
      labels: of the images, [B], or None.

    >>> [part.shape for part in draws(tf.zeros([3, 5, 2]), tf.zeros([5], tf.int32))]
    [TensorShape([15, 2]), TensorShape([15])]
    """
    flat = tf.reshape(latents, [-1, latents.shape[-1]])
    return join(flat, None if labels is None else tf.tile(labels, tf.shape(latents)[:1]))


def blank(image_shape: tuple[int, int, int], num_classes: int | None) -> Any:
    """Returns what an encoder is given of one black image, of the first class if there are any."""
    image = tf.zeros([1, *image_shape], tf_keras.backend.floatx())
    return join(image, None if num_classes is None else tf.zeros([1], tf.int32))


def unpacked(data: Any, num_classes: int | None) -> tuple[Any, Any, Any, Any]:
    """Returns images, labels, targets and sample weights of a batch, as Keras gives it to a step.

    What comes second are the labels of a conditional VAE, else what is to be reconstructed.

    Raises:
      ValueError: if the labels of a conditional VAE are missing.
    """
    images, second, sample_weight = tf_keras.utils.unpack_x_y_sample_weight(data)
    if num_classes is None:
        return images, None, second, sample_weight
    images, labels = split(images if second is None else (images, second))
    if labels is None:
        raise _checks.no_labels(num_classes)
    return images, labels, None, sample_weight


def labels_of(vae: tf_keras.Model, labels: Any, rows: Any) -> tf.Tensor | None:
    """Returns the labels for a conditional VAE, int32 [B], and None for any other.

    Args:
      vae: a `VAE`.
      labels: whole numbers [B], or one for all; None for a VAE that is not conditional.
      rows: the images or latents that they are of, [B, ...].

    Raises:
      ValueError, TypeError: for labels that are missing, wrong, or not wanted.
    """
    if vae.num_classes is None:
        if labels is not None:
            raise ValueError(
                "labels: wanted none for a VAE that is not conditional, which "
                f"build_vae(..., num_classes=...) makes it, got {labels!r}."
            )
        return None
    if labels is None:
        raise _checks.no_labels(vae.num_classes)
    labels = _checks.as_tensor("labels", labels)
    labels = tf.fill([tf.shape(rows)[0]], labels) if labels.shape.rank == 0 else labels
    _checks.labels(labels, vae.num_classes, rows.shape[0])
    return tf.cast(labels, tf.int32)


def weighed_by_class(arguments: dict[str, Any], num_classes: int | None) -> dict[str, Any]:
    """Returns the arguments of `fit` with the weights of classes as weights of images.

    Raises:
      ValueError, TypeError: for a VAE without classes, or weights that are no such dict.
    """
    weights = arguments.pop("class_weight", None)
    if weights is None:
        return arguments
    if num_classes is None:
        raise ValueError(
            "class_weight: wanted a VAE with labels, which build_vae(..., num_classes=...) makes, "
            "got one without. sample_weight weighs images one by one."
        )
    classes = set(range(num_classes))
    if not isinstance(weights, dict) or not set(weights) <= classes:
        raise ValueError(
            f"class_weight: wanted a dict of classes, from 0 to {num_classes - 1}, to numbers, got "
            f"{weights!r}."
        )
    factors = [
        _checks.finite_number("class_weight", weights.get(label, 1.0), minimum=0)
        for label in sorted(classes)
    ]
    table = tf.constant(factors, tf_keras.backend.floatx())

    def weighed(images: Any, labels: Any, weight: Any = 1.0) -> tuple:
        of_class = tf.gather(table, tf.cast(labels, tf.int32))
        return images, labels, of_class * tf.cast(weight, of_class.dtype)

    if isinstance(arguments["x"], tf.data.Dataset):
        return arguments | {"x": arguments["x"].map(weighed)}
    if not _checks.is_array(arguments["x"]):
        raise TypeError(
            "class_weight: wanted arrays or a tf.data.Dataset, got "
            f"{type(arguments['x']).__name__}. Let its batches be (images, labels, sample_weight)."
        )
    weight = arguments.get("sample_weight")
    weight = 1.0 if weight is None else np.asarray(weight).reshape(-1)
    *_, weight = weighed(arguments["x"], arguments["y"], weight)
    return arguments | {"sample_weight": weight.numpy()}
