"""Tests of batches and binarization: probabilities, epochs and argument checks."""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpvae.datasets import batches, binarize


def gray(count=30, side=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 1), np.uint8)


IMAGES = gray()
LABELS = np.arange(30, dtype=np.int32)


def epoch(dataset):
    return np.concatenate([batch.numpy() for batch in dataset])


# Drawing.


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_binary_images_are_zeros_and_ones_in_float32(dtype):
    images = IMAGES if dtype == np.uint8 else (IMAGES / 255).astype(dtype)
    drawn = binarize(images, seed=0)
    assert drawn.dtype == np.float32
    assert drawn.shape == images.shape
    assert set(np.unique(drawn)) == {0, 1}


def dynamic(images, seed):
    return epoch(batches(images, batch_size=len(images), binarization="dynamic", seed=seed))


@pytest.mark.parametrize("draw", [lambda images, seed: binarize(images, seed=seed), dynamic])
@pytest.mark.parametrize("byte", [0, 2, 51, 128, 254, 255])
def test_gray_value_is_the_probability(draw, byte):
    count = 200_000
    mean = draw(np.full([count // 100, 10, 10, 1], byte, np.uint8), seed=3).mean(dtype=float)
    p = byte / 255
    assert abs(mean - p) <= 4.5 * np.sqrt(p * (1 - p) / count)


def test_pixels_are_drawn_independently():
    drawn = binarize(np.full([5000, 4, 4, 1], 128, np.uint8), seed=0).reshape(5000, 16)
    correlations = np.corrcoef(drawn, rowvar=False) - np.eye(16)
    assert np.abs(correlations).max() < 5 / np.sqrt(5000)


@given(count=st.integers(1, 40), side=st.integers(1, 9), seed=st.integers(0, 2**40))
def test_draws_depend_on_seed_and_pixels_alone(count, side, seed):
    images = np.maximum(gray(40, side), 2)  # uint8 images of 0 and 1 alone are refused
    drawn = binarize(images, seed=seed)
    np.testing.assert_array_equal(binarize(images[:count], seed=seed), drawn[:count])
    floats = images.astype(np.float32) / 255
    np.testing.assert_array_equal(binarize(floats, seed=seed), drawn)


def test_other_seed_gives_other_draws():
    assert (binarize(IMAGES, seed=0) != binarize(IMAGES, seed=1)).any()


def test_binarize_takes_little_more_memory_than_its_result():
    images = gray(4000, 50)
    tracemalloc.start()
    try:
        drawn = binarize(images, seed=0)
        # The checks and the pieces take a few more megabytes.
        assert tracemalloc.get_traced_memory()[1] < drawn.nbytes + 2e7
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(drawn.mean(dtype=float), 0.5, atol=0.001)


# Batching.


def test_batches_have_all_images_in_order():
    dataset = batches(IMAGES, batch_size=8)
    assert dataset.element_spec == tf.TensorSpec((None, 4, 4, 1), tf.uint8)
    assert dataset.cardinality() == 4
    assert [len(batch) for batch in dataset] == [8, 8, 8, 6]
    np.testing.assert_array_equal(epoch(dataset), IMAGES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_are_unchanged_without_binarization(dtype):
    floats = IMAGES.astype(dtype) / 255
    actual = epoch(batches(floats, batch_size=7))
    assert actual.dtype == dtype
    np.testing.assert_array_equal(actual, floats)


def test_static_binarization_is_the_same_in_every_epoch():
    dataset = batches(IMAGES, batch_size=8, binarization="static", seed=5)
    assert dataset.element_spec.dtype == tf.float32
    for _ in range(2):
        np.testing.assert_array_equal(epoch(dataset), binarize(IMAGES, seed=5))


@pytest.mark.parametrize("binarization", ["none", "static", "dynamic"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("labels", [None, LABELS], ids=["images", "pairs"])
def test_same_seed_gives_same_epochs(binarization, shuffle, labels):
    def epochs(seed):
        options = {"binarization": binarization, "shuffle": shuffle, "seed": seed}
        dataset = batches(IMAGES, labels, batch_size=8, **options)
        return [[tf.nest.map_structure(np.array, part) for part in dataset] for _ in range(3)]

    def differ(one, other):
        pairs = zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True)
        return any((a != b).any() for a, b in pairs)

    first, repeated, other = epochs(1), epochs(1), epochs(2)
    assert not differ(first, repeated)
    assert differ(first[0], first[1]) == (shuffle or binarization == "dynamic")
    assert differ(first, other) == (shuffle or binarization != "none")


@pytest.mark.parametrize("binarization", ["static", "dynamic"])
def test_draws_without_a_seed_differ(binarization):
    first, second = (
        epoch(batches(IMAGES, batch_size=30, binarization=binarization)) for _ in range(2)
    )
    assert (first != second).any()


def test_dynamic_draws_differ_between_batches_and_epochs():
    images = np.full([8, 8, 8, 1], 128, np.uint8)
    dataset = batches(images, batch_size=1, binarization="dynamic", seed=0)
    draws = np.concatenate([epoch(dataset) for _ in range(3)])
    assert len(np.unique(draws, axis=0)) == 24


def test_repeat_continues_with_the_next_epoch():
    one, other = (batches(IMAGES, batch_size=8, binarization="dynamic", seed=0) for _ in range(2))
    both = np.concatenate([epoch(other), epoch(other)])
    np.testing.assert_array_equal(epoch(one.repeat(2)), both)


@settings(max_examples=20)
@given(count=st.integers(1, 30), batch_size=st.integers(1, 40), seed=st.integers(0, 2**40))
def test_shuffling_keeps_each_image_with_its_label(count, batch_size, seed):
    images, labels = np.maximum(IMAGES[:count], 2), LABELS[:count]
    dataset = batches(images, labels, batch_size=batch_size, shuffle=True, seed=seed)
    parts = [(a.numpy(), b.numpy()) for a, b in dataset]
    order = np.concatenate([part[1] for part in parts])
    assert sorted(order) == labels.tolist()
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), images[order])


def test_dataset_ignores_later_changes_of_the_array():
    images = IMAGES.copy()
    dataset = batches(images, batch_size=30)
    images[:] = 0
    np.testing.assert_array_equal(epoch(dataset), IMAGES)


# Arguments.


@pytest.mark.parametrize(
    "images, error, message",
    [
        (IMAGES[..., 0], ValueError, r"images: wanted \[N, H, W, C\], got .* Add the channel axis"),
        (LABELS, ValueError, r"images: wanted \[N, H, W, C\], got shape \(30,\)"),
        (IMAGES[:0], ValueError, "images: wanted at least one image"),
        (IMAGES.astype(int), TypeError, "images: wanted float pixels .* or uint8 ones, got int64"),
        (IMAGES.astype(float), ValueError, r"images: wanted pixels in \[0, 1\].* Divide by 255"),
        (IMAGES // 255, ValueError, "images: uint8 pixels are read as 0 to 255, but"),
        (np.full([1, 2, 2, 1], np.nan), ValueError, r"images: wanted pixels in \[0, 1\], got"),
    ],
)
@pytest.mark.parametrize("function", [binarize, batches])
def test_invalid_images_raise(function, images, error, message):
    options = {"seed": 0} if function is binarize else {"batch_size": 2}
    with pytest.raises(error, match=message):
        function(images, **options)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"batch_size": 0}, ValueError, "batch_size: wanted a whole number, at least 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size: wanted a whole number, .* got 2.5"),
        ({"seed": -1}, ValueError, "seed: wanted a whole number, at least 0, got -1"),
        (
            {"binarization": True},
            ValueError,
            "binarization: wanted one of 'dynamic', 'none', 'static', got True",
        ),
        ({"labels": LABELS[:3]}, ValueError, r"labels: wanted .* the 30 images, got shape \(3,\)"),
        ({"labels": 3}, ValueError, r"labels: wanted .* the 30 images, got shape \(\)"),
    ],
)
def test_invalid_options_of_batches_raise(options, error, message):
    with pytest.raises(error, match=message):
        batches(IMAGES, **{"batch_size": 2, **options})


@pytest.mark.parametrize("seed, error", [(-1, ValueError), (0.5, TypeError), (None, TypeError)])
def test_invalid_seeds_of_binarize_raise(seed, error):
    with pytest.raises(error, match="seed: wanted a whole number"):
        binarize(IMAGES, seed=seed)
