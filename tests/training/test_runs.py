"""The layout of rows in a run of many batches."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpvae.training import input_pipeline


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_a_run_has_each_row_once_and_then_padding(steps, batch_size, data):
    count = data.draw(st.integers(1, steps * batch_size))
    rows = np.arange(10, 10 + count, dtype=np.int32)
    batches, sizes = input_pipeline.lay_out(rows, steps, batch_size)
    assert (batches.shape, sizes.shape) == ((steps, batch_size), (steps,))
    assert (batches.dtype, sizes.dtype) == (np.int32, np.int32)  # as the graph expects
    unpadded = [batch[:size] for batch, size in zip(batches, sizes, strict=True)]
    np.testing.assert_array_equal(np.concatenate(unpadded), rows)
    assert sorted(sizes, reverse=True) == sizes.tolist()  # full batches come first
    assert (batches.flat[count:] == rows[-1]).all()
