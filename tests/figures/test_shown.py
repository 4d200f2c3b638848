"""A figure shows itself where its user is: in a notebook, in IPython, in plain Python."""

import io
import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tests.figures import drawing, window_backend
from tfpvae import figures


def test_a_notebook_gets_the_pixels_at_half_the_resolution():
    figure = figures.history({"loss": [3.0, 2.0]})
    png, size = figure._repr_png_()
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    np.testing.assert_array_equal(image, drawing.pixels(figure))
    assert image.shape[1] == 2 * size["width"] and image.shape[0] == 2 * size["height"]


def test_ipython_displays_it_without_a_magic_command():
    formatters = pytest.importorskip("IPython.core.formatters")
    figure = figures.mosaic(drawing.images(4, 8, 8, 1))
    data, metadata = formatters.DisplayFormatter().format(figure)
    assert data["image/png"] == figure._repr_png_()[0]
    assert metadata["image/png"] == figure._repr_png_()[1]


def test_show_opens_a_window_and_waits_until_it_is_closed():
    from matplotlib import pyplot

    before = matplotlib.get_backend()
    window_backend.EVENTS.clear()
    figure = figures.mosaic(drawing.images(4, 8, 8, 1))
    try:
        pyplot.switch_backend("module://tests.figures.window_backend")
        figure.show()
    finally:
        pyplot.switch_backend(before)
    assert [("show", figure), ("loop", None)] == window_backend.EVENTS
    assert pyplot.get_fignums() == []


def test_without_a_screen_show_does_nothing():
    program = (
        "import numpy as np; from tfpvae import figures; "
        "figures.mosaic(np.zeros([1, 4, 4, 1])).show(); print('shown')"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "shown\n"), done.stderr
