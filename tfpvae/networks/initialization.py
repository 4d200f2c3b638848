"""Start values that are read off training images, in place of random ones.

With random start values the means of a deep encoder's posterior hardly differ from image to image,
beside its scale, and the first epochs go into finding out. Principal components say as much of the
features as any linear map of that size, and cost one pass over some images
(data-dependent initialization:
Kraehenbuehl, Doersch, Donahue and Darrell 2016, section 3).
"""

import math
from typing import Any

import numpy as np
import tf_keras

from tfpvae import _checks

START_SCALE = 0.3  # of q(z|x), beside the unit variance of its means
_MOST_IMAGES = 1000  # evenly taken of all; a principal component needs no more


def start_scale(projection: tf_keras.layers.Dense, scale_params: np.ndarray) -> None:
    """Sets the bias of a posterior's projection so that its scales start about those of the prior.

    Softplus of a bias of 0 is 0.69, for which KL(q(z|x) || p(z)) is 0.1 nats a dimension.

    Args:
      projection: the layer from features [B, F] to the posterior's parameters, means first.
      scale_params: start values of the parameters that follow the means.
    """
    bias = projection.bias.numpy()
    bias[len(bias) - len(scale_params) :] = scale_params
    projection.bias.assign(bias)


def start_posterior(
    projection: tf_keras.layers.Dense,
    features: tf_keras.Model,
    scale_params: np.ndarray,
    images: np.ndarray,
) -> None:
    """Sets a posterior's projection so that its means are whitened principal components.

    Over the images the means are then uncorrelated, of mean 0 and variance 1. Dimensions beyond the
    rank of the features keep their start values.

    Args:
      projection: the layer from features [B, F], followed by labels if there are any, to the
        posterior's parameters, means first.
      features: the model from images [B, H, W, C] to features [B, F].
      scale_params: start values of the parameters that follow the means.
      images: [N, H, W, C], float in [0, 1] or uint8.

    Raises:
      ValueError: for fewer than two images.
    """
    if len(images) < 2:
        raise ValueError(f"start_images: wanted at least 2 images, got {len(images)}.")
    images = images[:: -(-len(images) // _MOST_IMAGES)]
    if images.dtype == np.uint8:
        images = images / np.float32(255)
    values = np.asarray(features.predict(images, batch_size=32, verbose=0), np.float64)
    values = values.reshape(len(values), -1)
    mean = values.mean(axis=0)
    _, singular, axes = np.linalg.svd(values - mean, full_matrices=False)
    kernel, bias = (weight.numpy() for weight in projection.weights)
    latent_dim = len(bias) - len(scale_params)
    rank = int(np.count_nonzero(singular > 1e-5 * singular[0]))  # the rest is rounding
    size = min(latent_dim, rank)
    kernel[len(mean) :] = 0  # the rows of labels, which follow the features
    kernel[: len(mean), :size] = axes[:size].T * np.sqrt(len(values)) / singular[:size]
    bias[:size] = -mean @ kernel[: len(mean), :size]
    kernel[:, latent_dim:], bias[latent_dim:] = 0, scale_params
    projection.set_weights([kernel, bias])


def mean_image(images: Any, image_shape: tuple[int, ...] | None) -> np.ndarray | None:
    """Returns the mean of images in [0, 1], of the image shape; None for any other data.

    >>> mean_image(np.array([[[0, 51]], [[102, 153]]], np.uint8), (1, 2, 1))[..., 0].tolist()
    [[0.2, 0.4]]
    """
    array = np.asarray(_checks.as_dense("start_images", images))
    if image_shape is None or array.dtype.kind not in "fu":
        return None
    mean = array.mean(axis=0, dtype=np.float64).reshape(image_shape)
    mean = mean / 255 if array.dtype == np.uint8 else mean
    return mean if mean.min() >= 0 and mean.max() <= 1 else None


def start_last_bias(
    network: tf_keras.Model,
    pixel_mean: Any,
    image_shape: tuple[int, ...],
    values: int,
    locations: int = 1,
) -> None:
    """Sets the bias of the last layer with weights to the logit of the mean image.

    Args:
      network: the model from latents to the parameters of the pixels, [B, H, W, V].
      pixel_mean: in [0, 1], of a shape that broadcasts to image_shape.
      image_shape: (height, width, channels), or that of an example of other data.
      values: V, how many parameters a pixel has.
      locations: how many of them, at their beginning, a channel's mean goes by; the rest keep their
        start values.

    Raises:
      TypeError, ValueError: for what are no numbers, a mean of another shape or out of range, or a
        layer without such a bias.
    """
    pixel_mean = _checks.as_dense("pixel_mean", pixel_mean)
    try:
        mean = np.asarray(pixel_mean, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"pixel_mean: wanted numbers in [0, 1], got {pixel_mean!r}.") from None
    try:
        mean = np.broadcast_to(mean, image_shape)
    except ValueError:
        raise ValueError(
            f"pixel_mean: wanted a shape that broadcasts to {image_shape}, got {mean.shape}."
        ) from None
    if not (mean.min() >= 0 and mean.max() <= 1):
        raise ValueError(f"pixel_mean: wanted values in [0, 1], got {mean.min()} to {mean.max()}.")
    last = network
    while isinstance(last, tf_keras.Model):
        last = [layer for layer in last.layers if layer.weights][-1]
    bias = getattr(last, "bias", None)
    *sides, channels = image_shape
    if bias is not None and bias.shape == [values]:
        mean = mean.mean(axis=tuple(range(len(sides))), keepdims=True)
    elif bias is None or bias.shape.num_elements() != math.prod(sides) * values:
        raise ValueError(
            f"pixel_mean: wanted a backbone whose last layer has a bias a pixel or a channel, got "
            f"{last.name!r}, whose bias is {bias if bias is None else tuple(bias.shape)}."
        )
    mean = np.clip(mean, 1e-3, 1 - 1e-3)  # pixels that are always 0 or 1
    start = bias.numpy().reshape(*mean.shape[:-1], values)
    start[..., : locations * channels] = np.tile(np.log(mean) - np.log1p(-mean), locations)
    bias.assign(start.reshape(bias.shape))
