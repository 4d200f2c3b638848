"""Tests of the imports of figures: matplotlib is optional, and pyplot is not used."""

import sys

import pytest

from tests.figures import drawing
from tfpvae import figures


@pytest.mark.parametrize("labels", [None, ["a"]])
def test_message_without_matplotlib_says_how_to_install_it(monkeypatch, labels):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "tfpvae\[figures\]"'):
        figures.interpolation(drawing.images(1, 4, 4, 1), labels=labels)
    with pytest.raises(ImportError, match=r'pip install "tfpvae\[figures\]"'):
        figures.history({"loss": [1.0]})


def test_figures_do_not_use_pyplot(tmp_path):
    from matplotlib import pyplot

    figure = figures.mosaic(drawing.images(4, 8, 8, 3))
    assert pyplot.get_fignums() == []
    for name in ("figure.png", "figure.pdf", "figure.svg"):
        figure.savefig(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 500
