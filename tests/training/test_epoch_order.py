"""The order of batches: every row once an epoch, reproducible, from any batch on."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfpvae.training import input_pipeline

SEED = [3, 4]


def rows_of(count, batch_size, number, *, epoch=0, batch=0, seed=SEED, shuffle=True):
    order = input_pipeline.Order()
    order.begin(seed, epoch, batch)
    batches = input_pipeline.endless((np.arange(count),), batch_size, order, shuffle=shuffle).take(
        number
    )
    return [rows.numpy().tolist() for (rows,) in batches]


@pytest.mark.parametrize(("count", "batch_size"), [(10, 4), (8, 4), (3, 5), (5, 1)])
def test_every_epoch_has_every_row_once(count, batch_size):
    steps = -(-count // batch_size)
    batches = rows_of(count, batch_size, 3 * steps)
    for epoch in range(3):
        rows = batches[epoch * steps : (epoch + 1) * steps]
        assert sorted(itertools.chain(*rows)) == list(range(count))
        assert [len(row) for row in rows[:-1]] == [batch_size] * (steps - 1)


def test_the_order_depends_only_on_epoch_and_seed():
    first = rows_of(50, 10, 10)
    assert first == rows_of(50, 10, 10)
    assert first[:5] != first[5:]
    assert first[:5] != rows_of(50, 10, 5, seed=[3, 5])


@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (0, 2), (1, 0), (2, 1)])
def test_an_iterator_can_start_at_any_batch(epoch, batch):
    whole = rows_of(10, 4, 12)
    start = 3 * epoch + batch
    assert rows_of(10, 4, 12 - start, epoch=epoch, batch=batch) == whole[start:]


@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (0, 2), (1, 3), (2, 1)])
@pytest.mark.parametrize(("count", "batch_size", "steps"), [(10, 4, 2), (9, 3, 3), (10, 2, 3)])
def test_runs_have_the_same_batches(epoch, batch, count, batch_size, steps):
    order = input_pipeline.Order()
    order.begin(SEED, epoch, batch)
    runs = input_pipeline.endless((np.arange(count),), batch_size, order, steps=steps).take(12)
    unpadded, ends = [], [0]
    for run in runs:
        (batches,), sizes = run
        assert (batches.shape, sizes.shape) == ((steps, batch_size), (steps,))
        rows = zip(batches.numpy(), sizes.numpy(), strict=True)
        unpadded += [row[:size].tolist() for row, size in rows if size]
        ends.append(sum(map(len, unpadded)))
    assert unpadded == rows_of(count, batch_size, len(unpadded), epoch=epoch, batch=batch)
    remaining = max(0, count - batch * batch_size)
    assert {remaining, remaining + count} <= set(ends)  # no run crosses the end of an epoch


def test_a_batch_larger_than_the_data_has_all_rows():
    order = input_pipeline.Order()
    for steps in (None, 2):
        batches = input_pipeline.endless((np.arange(5),), 10**12, order, steps=steps)
        first = next(iter(batches))
        (rows,) = first if steps is None else [batch[0] for batch in first.batches]
        assert sorted(rows.numpy()) == [0, 1, 2, 3, 4]


def test_without_shuffling_the_order_is_that_of_the_arrays():
    assert rows_of(5, 2, 4, shuffle=False) == [[0, 1], [2, 3], [4], [0, 1]]


def test_arrays_stay_together_and_keep_their_types():
    order = input_pipeline.Order()
    arrays = (np.arange(6, dtype=np.uint8), np.arange(6.0))
    for bytes_, floats in input_pipeline.endless(arrays, 4, order).take(4):
        assert (bytes_.dtype, floats.dtype) == (tf.uint8, tf.float64)
        np.testing.assert_array_equal(bytes_, floats)


def test_a_validation_split_takes_the_last_images_from_training():
    x = np.arange(10)
    arguments = input_pipeline.for_fit(
        input_pipeline.Order(), x=x, y=-x, batch_size=4, validation_split=0.25
    )
    unseen, negated = arguments["validation_data"]
    assert unseen.tolist() == (-negated).tolist() == [7, 8, 9]
    batches = arguments["x"].take(arguments["steps_per_epoch"])
    assert sorted(int(i) for batch, _ in batches for i in batch) == list(range(7))


def test_a_split_that_leaves_no_training_images_is_refused():
    with pytest.raises(ValueError, match="validation_split: wanted a part .* got 0.99 of 10."):
        input_pipeline.for_fit(input_pipeline.Order(), x=np.zeros(10), validation_split=0.99)
