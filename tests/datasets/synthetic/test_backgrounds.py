"""Tests of the backgrounds and of the light over a picture."""

import numpy as np
import pytest

from tfpvae.datasets.synthetic.backgrounds import light_field, paint_background


@pytest.mark.parametrize("height, width", [(1, 1), (20, 30), (30, 20)])
def test_backgrounds_are_rgb_of_the_size(height, width):
    backgrounds = [paint_background(height, width, np.random.default_rng(i)) for i in range(12)]
    assert {background.shape for background in backgrounds} == {(height, width, 3)}
    means = np.array([background.mean((0, 1)) for background in backgrounds])
    assert means.min() > 0 and means.max() < 280
    assert len(np.unique(means, axis=0)) == 12


@pytest.mark.parametrize("seed", range(4))
def test_light_field_is_brighter_toward_the_light(seed):
    factors = light_field(20, 20, np.array([0.0, -1.0]), np.random.default_rng(seed))
    assert factors.shape == (20, 20, 3)
    assert (factors[0] > factors[-1]).all()
    assert factors.min() > 0.5 and factors.max() < 1.5
