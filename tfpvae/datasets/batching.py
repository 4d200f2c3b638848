"""Arrays of images to batches, and grey pixels to binary ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfpvae import _checks

if TYPE_CHECKING:
    import tensorflow as tf

_BINARIZATIONS = ("none", "static", "dynamic")
_PIXELS_A_PIECE = 2**20


def binarize(images: np.ndarray, *, seed: int) -> np.ndarray:
    """One draw of binary images, each pixel 1 with its own value as the probability.

    So the binarised MNIST of Salakhutdinov and Murray (2008) was made: drawn once, and
    the same ever after. The draw of an image does not depend on how many follow it, nor
    on whether the pixels came as bytes or as these divided by 255.

    Args:
        images: [N, H, W, C], uint8 or float in [0, 1].
        seed: integer >= 0.

    Returns:
        float32 array of zeros and ones, of the shape of the images.

    Raises:
        TypeError: if the pixels or the seed are of another type.
        ValueError: if the images have another shape, a pixel is out of its range or
            the seed negative.

    >>> grey = np.full([2, 28, 28, 1], 51, np.uint8)  # a fifth of 255
    >>> binary = binarize(grey, seed=0)
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
    """Batches of images, or of images and labels, from arrays.

    The dataset keeps one copy of the images, as bytes when they came as bytes. An epoch
    is one iteration over it; `fit` begins one an epoch, and a look at the first batch
    begins one too. What differs between epochs is the order, if it is shuffled, and with
    "dynamic" the pixels: every image is then drawn anew. Two datasets of the same seed go
    through the same sequence of epochs; as everywhere in tf.data, what `tf.random.set_seed`
    has set counts as a part of the seed.

    Args:
        images: [N, H, W, C], uint8 or float in [0, 1].
        labels: [N, ...] or None.
        batch_size: images a batch, >= 1; the last batch may be smaller.
        binarization: "none" gives the pixels as they are; "static" those of
            `binarize(images, seed=seed)`, the same in every epoch; "dynamic" new draws
            of the same probabilities in every epoch.
        shuffle: whether each epoch has a new order, over all images.
        seed: integer >= 0 that makes orders and draws reproducible.

    Returns:
        Dataset of images [batch, H, W, C], or of pairs of images and labels. Binarised
        images are float32, others have the type of `images`. Its cardinality is known.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if an argument is out of its range, or labels and images differ in
            number.

    >>> images = np.arange(0, 48, dtype=np.uint8).reshape(3, 4, 4, 1)
    >>> dataset = batches(images, batch_size=2, binarization="dynamic", seed=0)
    >>> [(tuple(batch.shape), batch.dtype.name) for batch in dataset]
    [((2, 4, 4, 1), 'float32'), ((1, 4, 4, 1), 'float32')]
    """
    import tensorflow as tf  # here, so that reading and drawing do without it

    images = _as_images(images)
    _checks.whole_number("batch_size", batch_size)
    _checks.one_of("binarization", binarization, _BINARIZATIONS)
    _checks.flag("shuffle", shuffle)
    if seed is not None:
        _checks.whole_number("seed", seed, minimum=0)
    if binarization == "static":
        images = _draw(images, seed, np.bool_)  # a quarter of the room of the floats
    with tf.device("CPU"):  # where tf.data runs; a copy on a GPU would go to and fro
        kept = tf.constant(images)
        kept_labels = None if labels is None else tf.constant(_as_labels(labels, len(images)))

    def take(indices: tf.Tensor, draw: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        batch = tf.gather(kept, indices)
        if binarization == "dynamic":
            pixels = tf.cast(batch, tf.float32) / (255 if batch.dtype == tf.uint8 else 1)
            batch = tf.random.stateless_uniform(tf.shape(pixels), draw) < pixels
        if binarization != "none":
            batch = tf.cast(batch, tf.float32)
        return batch if kept_labels is None else (batch, tf.gather(kept_labels, indices))

    # Indices, not pixels, are shuffled: the buffer can hold all of them.
    indices = tf.data.Dataset.range(len(images))
    if shuffle:
        indices = indices.shuffle(len(images), seed=seed)
    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    numbered = tf.data.Dataset.zip(indices.batch(batch_size), draws)
    taken = numbered.map(take, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return taken.prefetch(tf.data.AUTOTUNE)


def _as_images(images: Any) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4:
        hint = " Add the channel axis: images[..., None]." if images.ndim == 3 else ""
        raise ValueError(f"images: wanted [N, H, W, C], got shape {images.shape}.{hint}")
    _checks.array("images", images, images.shape[1:])
    return images


def _as_labels(labels: Any, count: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape[:1] != (count,):
        raise ValueError(
            f"labels: wanted one for each of the {count} images, got shape {labels.shape}."
        )
    return labels


def _draw(images: np.ndarray, seed: int | None, dtype: type) -> np.ndarray:
    """Zeros and ones; in pieces, so that no more than the result is ever held."""
    rng = np.random.default_rng(seed)
    drawn: np.ndarray = np.empty(images.shape, dtype)
    largest = np.float32(255 if images.dtype == np.uint8 else 1)
    step = max(1, _PIXELS_A_PIECE // images[0].size)
    for start in range(0, len(images), step):
        pixels = images[start : start + step].astype(np.float32) / largest
        drawn[start : start + step] = rng.random(pixels.shape, np.float32) < pixels
    return drawn
