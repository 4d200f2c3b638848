"""One program of many steps agrees with the same steps one after another."""

import numpy as np
import pytest
import tensorflow as tf

from tfpvae.training import input_pipeline, xla_loop


class Sums:
    """A step that sums its data, and counts how often it is traced."""

    def __init__(self):
        self.total, self.seen = tf.Variable(0.0), tf.Variable(0.0)
        self.traces = 0

    def step(self, batch, present):
        self.traces += 1
        present = tf.cast(present, tf.float32)
        self.total.assign(
            0.5 * self.total + tf.reduce_sum(present * batch[0][:, 0])
        )  # depends on the order
        self.seen.assign_add(tf.reduce_sum(present))
        return tf.stack([1.0, tf.reduce_sum(present)])

    def results(self, sums):
        return {"total": self.total + 0, "seen": self.seen + 0, "done": sums[0], "rows": sums[1]}


def expected(data, sizes):
    total, start = 0.0, 0
    for size in sizes:
        total = 0.5 * total + data[start : start + size, 0].sum()
        start += size
    return {"total": total, "seen": start}


@pytest.mark.spread(6)
@pytest.mark.parametrize(("count", "batch_size"), [(12, 4), (10, 4), (3, 4), (9, 1), (13, 3)])
@pytest.mark.parametrize("max_steps", [1, 3, 7])
def test_steps_run_in_order_without_padding(count, batch_size, max_steps):
    data = np.random.default_rng(0).normal(size=(count, 2)).astype("float32")
    dataset = tf.data.Dataset.from_tensor_slices((data,)).batch(batch_size)
    sums, steps = Sums(), tf.Variable(max_steps)
    call = xla_loop.many_steps(sums.step, sums.results, 2, steps)
    iterator = iter(dataset)
    sizes = [min(batch_size, count - i) for i in range(0, count, batch_size)]
    for done in range(0, len(sizes), max_steps):
        steps.assign(min(max_steps, len(sizes) - done))
        result = call(iterator)
        so_far = expected(data, sizes[: done + max_steps])
        for name, value in so_far.items():
            np.testing.assert_allclose(result[name], value, rtol=1e-5, atol=1e-6)
        current = sizes[done : done + max_steps]
        assert (result["done"], result["rows"]) == (
            len(current),
            sum(current),
        )  # the sums of this call
    assert sums.traces == 1  # not again for other numbers of steps or short batches
    with pytest.raises(tf.errors.OutOfRangeError):
        call(iterator)
    np.testing.assert_allclose(sums.total, so_far["total"], rtol=1e-5)


@pytest.mark.spread(6)
@pytest.mark.parametrize(("count", "batch_size"), [(12, 4), (10, 4), (3, 4), (9, 1), (13, 3)])
@pytest.mark.parametrize("steps", [1, 3, 7])
def test_runs_of_batches_give_the_same_steps(count, batch_size, steps):
    data = np.random.default_rng(0).normal(size=(count, 2)).astype("float32")
    sums = Sums()
    call = xla_loop.many_steps(
        sums.step, sums.results, 2, tf.Variable(1)
    )  # unused: runs have their own number
    sizes = [min(batch_size, count - i) for i in range(0, count, batch_size)]
    iterator = iter(input_pipeline.in_order((data,), batch_size, steps))
    for done in range(0, len(sizes), steps):
        result = call(iterator)
        for name, value in expected(data, sizes[: done + steps]).items():
            np.testing.assert_allclose(result[name], value, rtol=1e-5, atol=1e-6)
        current = sizes[done : done + steps]
        assert (result["done"], result["rows"]) == (len(current), sum(current))
    assert sums.traces == 1
    with pytest.raises(tf.errors.OutOfRangeError):
        call(iterator)


def test_parts_keep_none_and_their_types():
    spec = (tf.zeros([2, 3], tf.uint8), None, tf.zeros([2, 1]))
    dataset = tf.data.Dataset.from_tensors(spec).repeat(4)
    seen = []

    def step(batch, present):
        seen.append([None if part is None else (part.dtype, part.shape[1:]) for part in batch])
        return tf.ones([1])

    call = xla_loop.many_steps(step, lambda sums: {"steps": sums[0]}, 1, tf.Variable(2))
    assert float(call(iter(dataset))["steps"]) == 2
    assert seen == [[(tf.uint8, [3]), None, (tf.float32, [1])]]
