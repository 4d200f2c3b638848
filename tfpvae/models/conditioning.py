"""The inputs of the networks of a VAE: images or latents, with labels if it is conditional.

A conditional VAE models images x of a class y, log p(x|y) >= E_q(z|x,y) log p(x|z, y) -
KL(q(z|x, y) || p(z)) (Sohn, Lee and Yan 2015, equation 4). Its encoder takes [images, labels] and
its decoder [latents, labels], where those of any other VAE take one tensor: the `inputs` of this
package are either. Only this module tells the two apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.distributions import remembered

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE


def join(tensor: Any, labels: Any = None) -> Any:
    """Returns the inputs of a network: [tensor, labels], or the tensor if labels are None.

    >>> join(1), join(1, 2)
    (1, [1, 2])
    """
    return tensor if labels is None else [tensor, labels]


def split(inputs: Any) -> tuple[Any, Any]:
    """Returns the images or latents of a network's inputs, and the labels or None.

    Raises:
      ValueError: for more than two inputs, or none.

    >>> split(1), split([1, 2]), split((1,))
    ((1, None), (1, 2), (1, None))
    """
    parts = inputs if isinstance(inputs, (list, tuple)) else (inputs,)
    if len(parts) not in (1, 2):
        raise ValueError(f"inputs: wanted images, or [images, labels], got {len(parts)} inputs.")
    return parts[0], parts[1] if len(parts) == 2 else None


def rows(inputs: Any, start: int, stop: int) -> Any:
    """Returns some rows of the inputs of a network.

    >>> [part.numpy().tolist() for part in rows([tf.range(5), tf.range(5, 10)], 1, 3)]
    [[1, 2], [6, 7]]
    """
    return tf.nest.map_structure(lambda part: part[start:stop], inputs)


def draws(latents: tf.Tensor, labels: tf.Tensor | None) -> Any:
    """Returns the inputs of a decoder for S draws of B images: S * B latents, and their labels.

    Args:
      latents: [S, B, D].
      labels: of the images, [B], or None.

    >>> [part.shape for part in draws(tf.zeros([3, 5, 2]), tf.zeros([5], tf.int32))]
    [TensorShape([15, 2]), TensorShape([15])]
    """
    flat = remembered.share(tf.reshape(latents, [-1, latents.shape[-1]]), latents)
    return join(flat, None if labels is None else tf.tile(labels, tf.shape(latents)[:1]))


def repeat(examples: tf.Tensor, num_samples: tf.Tensor | int) -> tf.Tensor:
    """Returns examples [B, ...] once for each of S draws, [S * B, ...].

    >>> repeat(tf.constant([[1], [2]]), 2)[:, 0].numpy().tolist()
    [1, 2, 1, 2]
    """
    return tf.tile(examples, [num_samples, *[1] * (len(examples.shape) - 1)])


def by_draw(values: tf.Tensor, num_samples: int) -> tf.Tensor:
    """Returns values of S * B draws, [S * B, ...], as [S, B, ...]; the inverse of `draws`.

    >>> by_draw(tf.zeros([15, 4]), 3).shape
    TensorShape([3, 5, 4])
    """
    return tf.reshape(values, tf.concat([[num_samples, -1], tf.shape(values)[1:]], axis=0))


def blank(event_shape: tuple[int, ...], num_classes: int | None) -> Any:
    """Returns the inputs of an encoder for one example of zeros, of the first class."""
    zeros = tf.zeros([1, *event_shape], tf_keras.backend.floatx())
    return join(zeros, None if num_classes is None else tf.zeros([1], tf.int32))


def unpacked(data: Any, num_classes: int | None) -> tuple[Any, Any, Any, Any]:
    """Returns the images, labels, targets and sample weights of a batch from Keras.

    The second part of a batch is the labels of a conditional VAE, else the images to reconstruct.

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


def labels_of(vae: VAE, labels: Any, rows: Any) -> tf.Tensor | None:
    """Returns the labels of a conditional VAE, int32 [B], and None for any other VAE.

    Args:
      vae: a `VAE`.
      labels: whole numbers [B], or one for all; None for a VAE that is not conditional.
      rows: the images or latents of the labels, [B, ...].

    Raises:
      ValueError, TypeError: for labels that are missing, wrong or not expected.
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
