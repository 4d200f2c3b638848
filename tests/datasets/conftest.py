"""Fixtures of the tests of data sets."""

import pytest
from PIL import Image

from tfpvae.datasets import draw_flowers


@pytest.fixture
def folder(tmp_path):
    """Returns a folder of six drawn flowers in two classes."""
    for index, image in enumerate(draw_flowers(6, image_shape=(40, 48, 3)).images):
        path = tmp_path / ("rose" if index % 2 else "daisy") / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path
