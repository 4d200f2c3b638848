"""Batches of images from arrays, and gray pixels as binary ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfpvae import _checks

_BINARIZATIONS = ("none", "static", "dynamic")
_PIXELS_A_PIECE = 2**20


def binarize(images: np.ndarray, *, seed: int) -> np.ndarray:
    """Draws binary images, each pixel 1 with its gray value as the probability.

    Salakhutdinov and Murray (2008) made their binarized MNIST in the same way, with one fixed draw.
    The draw of an image depends on the seed, its pixels and its position, not on the other images.
    It is the same for uint8 pixels and for the same pixels divided by 255.

    Args:
      images: float in [0, 1] or uint8, [N, H, W, C].
      seed: an int, at least 0.

    Returns:
      Zeros and ones of the shape of the images, float32.

    Raises:
      TypeError: if the pixels or the seed have another type.
      ValueError: if the images have another shape, a pixel is out of its range or the seed is
        negative.

    >>> gray = np.full([2, 28, 28, 1], 51, np.uint8)  # 51 is a fifth of 255
    >>> binary = binarize(gray, seed=0)
    >>> sorted(set(binary.ravel().tolist())), bool(0.17 < binary.mean() < 0.23)
    ([0.0, 1.0], True)
    """
    _checks.whole_number("seed", seed, minimum=0)
    return _draw(_as_images(images), seed, np.float32)


def batches(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    batch_size: int,
    binarization: str = "none",
    shuffle: bool = False,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Returns a dataset of batches of images, or of images and labels, from arrays.

    The dataset holds one copy of the images, uint8 ones as uint8. Each iteration over the dataset
    is one epoch, whether `fit` starts it or a loop that looks at the first batch. With `shuffle`,
    each epoch has another order; with binarization "dynamic", each epoch has other pixels. Two
    datasets with the same seed have the same sequence of epochs, provided that the global seed of
    `tf.random.set_seed` is the same.

    Args:
      images: float in [0, 1] or uint8, [N, H, W, C].
      labels: [N, ...], or None.
      batch_size: images per batch, at least 1; the last batch may be smaller.
      binarization: "none" leaves the pixels unchanged; "static" draws
        `binarize(images, seed=seed)` once; "dynamic" draws pixels with the same probabilities in
        each epoch anew.
      shuffle: whether to shuffle all images in each epoch.
      seed: an int, at least 0, for reproducible orders and pixels; None for new ones.

    Returns:
      Dataset of images [B, H, W, C], or of pairs of images and labels, with a known cardinality.
      Binarized images are float32; other images keep their type.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if an argument is out of its range, or the numbers of images and labels differ.

    >>> images = np.arange(0, 48, dtype=np.uint8).reshape(3, 4, 4, 1)
    >>> dataset = batches(images, batch_size=2, binarization="dynamic", seed=0)
    >>> [(tuple(batch.shape), batch.dtype.name) for batch in dataset]
    [((2, 4, 4, 1), 'float32'), ((1, 4, 4, 1), 'float32')]
    """
    images = _as_images(images)
    _checks.whole_number("batch_size", batch_size)
    _checks.one_of("binarization", binarization, _BINARIZATIONS)
    _checks.flag("shuffle", shuffle)
    if seed is not None:
        _checks.whole_number("seed", seed, minimum=0)
    if binarization == "static":
        images = _draw(images, seed, np.bool_)  # a quarter of the memory of float32
    with tf.device("CPU"):  # tf.data runs there; a copy on a GPU would be moved for each batch
        all_images = tf.constant(images)
        all_labels = None if labels is None else tf.constant(_as_labels(labels, len(images)))

    def take(indices: tf.Tensor, pair: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        batch = tf.gather(all_images, indices)
        if binarization == "dynamic":
            pixels = tf.cast(batch, tf.float32) / (255 if batch.dtype == tf.uint8 else 1)
            batch = tf.random.stateless_uniform(tf.shape(pixels), seed=pair) < pixels
        if binarization != "none":
            batch = tf.cast(batch, tf.float32)
        return batch if all_labels is None else (batch, tf.gather(all_labels, indices))

    # Shuffling indices instead of images lets the shuffle buffer hold all of them.
    indices = tf.data.Dataset.range(len(images))
    if shuffle:
        indices = indices.shuffle(len(images), seed=seed)
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    dataset = tf.data.Dataset.zip(indices.batch(batch_size), seeds)
    dataset = dataset.map(take, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _as_images(images: Any) -> np.ndarray:
    """Returns the images as an array, checked."""
    images = np.asarray(_checks.as_dense("images", images))
    if images.ndim != 4:
        hint = " Add the channel axis: images[..., None]." if images.ndim == 3 else ""
        raise ValueError(f"images: wanted [N, H, W, C], got shape {images.shape}.{hint}")
    _checks.array("images", images, _checks.DataSpec(images.shape[1:]))
    return images


def _as_labels(labels: Any, num_images: int) -> np.ndarray:
    """Returns the labels as an array, checked."""
    labels = np.asarray(_checks.as_dense("labels", labels))
    if labels.shape[:1] != (num_images,):
        raise ValueError(
            f"labels: wanted one for each of the {num_images} images, got shape {labels.shape}."
        )
    return labels


def _draw(images: np.ndarray, seed: int | None, dtype: type) -> np.ndarray:
    """Draws zeros and ones in pieces, so that only the result takes memory for all images."""
    rng = np.random.default_rng(seed)
    result: np.ndarray = np.empty(images.shape, dtype)
    largest = np.float32(255 if images.dtype == np.uint8 else 1)
    step = max(1, _PIXELS_A_PIECE // images[0].size)
    for start in range(0, len(images), step):
        pixels = images[start : start + step].astype(np.float32) / largest
        result[start : start + step] = rng.random(pixels.shape, np.float32) < pixels
    return result
