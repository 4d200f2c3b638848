"""Batches in order, and tf.data without autotuning."""

import gc
import threading
import weakref

import numpy as np
import pytest
import tensorflow as tf
from tf_keras.src.engine import data_adapter

import tfpvae
from tfpvae.training import input_pipeline


@pytest.mark.parametrize(("count", "batch_size"), [(5, 2), (4, 2), (3, 5), (1, 1)])
def test_batches_have_every_row_once_in_order_and_a_cardinality(count, batch_size):
    arrays = (np.arange(count, dtype=np.uint8), np.arange(count, dtype=np.float64))
    batches = input_pipeline.in_order(arrays, batch_size)
    elements = list(batches)
    assert batches.cardinality() == len(elements) == -(-count // batch_size)
    for bytes_, floats in elements:
        assert (bytes_.dtype, floats.dtype) == (tf.uint8, tf.float32)  # as Keras does
        np.testing.assert_array_equal(bytes_, floats)
    np.testing.assert_array_equal(np.concatenate([floats for _, floats in elements]), arrays[1])


@pytest.mark.parametrize("steps", [None, 3])
def test_arrays_of_any_layout_are_read_without_a_copy(tmp_path, steps):
    expected = np.arange(60, dtype=np.float32).reshape(10, 3, 2)
    on_disk = np.memmap(tmp_path / "images", np.float32, "w+", shape=expected.shape)
    on_disk[:] = expected
    on_disk.flush()
    read_only = expected.copy()
    read_only.setflags(write=False)
    layouts = [expected.astype(">f4"), np.asfortranarray(expected), on_disk, tf.constant(expected)]
    arrays = (*layouts, read_only, expected.astype("float16"), np.flip(expected[::-1]))
    assert np.shares_memory(input_pipeline.as_numpy(arrays)[2], on_disk)
    seen = []
    for element in input_pipeline.in_order(arrays, 4, steps):
        parts = element if steps is None else [tf.reshape(x, [-1, 3, 2]) for x in element.batches]
        seen.append([part.numpy() for part in parts])
    *plain, flipped = (np.concatenate(parts)[:10] for parts in zip(*seen, strict=True))
    for array in plain:
        np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(flipped, np.flip(expected[::-1]))


@pytest.mark.parametrize("enabled", [True, False])
def test_a_dataset_with_autotune_set_keeps_it(enabled):
    options = tf.data.Options()
    options.autotune.enabled = enabled
    dataset = tf.data.Dataset.range(3).with_options(options)
    assert input_pipeline.untuned(dataset) is dataset


def test_other_options_of_a_dataset_are_kept():
    options = tf.data.Options()
    options.autotune.initial_parallelism = 3
    options.deterministic = False
    options = input_pipeline.untuned(tf.data.Dataset.range(3).with_options(options)).options()
    assert (options.autotune.enabled, options.autotune.initial_parallelism) == (False, 3)
    assert options.deterministic is False


def test_arrays_are_returned_unchanged():
    images = np.zeros([2, 3])
    assert input_pipeline.untuned(images) is images


def test_an_untuned_map_starts_with_one_thread_per_processor(monkeypatch):
    monkeypatch.setattr(input_pipeline.os, "cpu_count", lambda: 20)
    barrier = threading.Barrier(20, timeout=60)  # more than tf.data starts with

    def wait(_):
        return tf.numpy_function(lambda: np.int32(barrier.wait()), [], tf.int32)

    dataset = tf.data.Dataset.range(20).map(wait, num_parallel_calls=tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 20
    numbers = list(input_pipeline.untuned(dataset.with_options(options)))
    assert sorted(int(number) for number in numbers) == list(range(20))


@pytest.mark.parametrize("as_dataset", [False, True])
def test_fit_evaluate_and_predict_disable_autotune(monkeypatch, as_dataset):
    seen = []
    adapter = data_adapter.DataHandler

    def recording(*args, **kwargs):
        handler = adapter(*args, **kwargs)
        seen.append(handler._dataset.options().autotune.enabled)
        return handler

    monkeypatch.setattr(data_adapter, "DataHandler", recording)
    images = np.zeros([6, 4, 4, 1], np.float32)
    data = tf.data.Dataset.from_tensor_slices(images).batch(2) if as_dataset else images
    vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1), latent_dim=2)
    vae.compile()
    vae.fit(data, validation_data=data, epochs=2, verbose=0)
    vae.evaluate(data, verbose=0)
    vae.predict(data, verbose=0)
    assert seen == [False] * 4


def test_endless_batches_disable_autotune():
    assert (
        input_pipeline.endless((np.arange(5),), 2, input_pipeline.Order())
        .options()
        .autotune.enabled
        is False
    )


@pytest.mark.parametrize("steps", [None, 3])
def test_arrays_live_exactly_as_long_as_an_iterator(steps):
    array = np.arange(12, dtype=np.float32)
    reference = weakref.ref(array)
    iterator = iter(input_pipeline.in_order((array,), 2, steps))
    del array
    gc.collect()
    assert len(list(iterator)) == (6 if steps is None else 2)
    del iterator
    gc.collect()
    assert reference() is None
