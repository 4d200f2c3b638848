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


PANELS = {
    "latent_scatter": lambda **options: figures.latent_scatter(
        [[0.0, 1.0], [2.0, -1.0]], [0, 1], **options
    ),
    "error_by_class": lambda **options: figures.error_by_class([1.0, 3.0], [0, 1], **options),
    "rate_distortion": lambda **options: figures.rate_distortion([2.0, 9.0], [150, 110], **options),
    "active_units": lambda **options: figures.active_units([0.9, 1e-4], **options),
}


@pytest.mark.parametrize("draw", PANELS.values(), ids=PANELS)
def test_a_figure_of_one_panel_takes_a_size_and_a_title(draw):
    figure = draw(size=(6.0, 4.0), title="of the test part")
    assert figure.get_size_inches().tolist() == [6.0, 4.0]
    assert figure.axes[0].get_title() == "of the test part"
    assert drawing.border_is_white(drawing.pixels(figure))
    assert draw(title="").axes[0].get_title() == ""


@pytest.mark.parametrize("draw", PANELS.values(), ids=PANELS)
def test_a_figure_of_one_panel_draws_on_axes(draw):
    from matplotlib.figure import Figure

    figure = Figure((8.0, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert draw(ax=right, title="right") is figure
    assert right.has_data() and not left.has_data()
    assert (left.get_title(), right.get_title()) == ("", "right")
    part = figure.subfigures(1, 2)[0]
    assert draw(ax=part.subplots()) is figure


@pytest.mark.parametrize("draw", PANELS.values(), ids=PANELS)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ax": "left"}, TypeError, r"ax: wanted a matplotlib\.axes\.Axes, got 'left'"),
        ({"size": (4.0, 0.0)}, ValueError, r"size: wanted \(width, height\) in inches, above 0"),
        ({"size": 4.0}, ValueError, r"size: wanted \(width, height\) in inches"),
    ],
)
def test_other_axes_and_sizes_are_refused(draw, options, error, message):
    with pytest.raises(error, match=message):
        draw(**options)


def test_a_size_beside_axes_is_refused():
    from matplotlib.figure import Figure

    for draw in PANELS.values():
        with pytest.raises(ValueError, match="size: wanted None beside ax"):
            draw(ax=Figure().subplots(), size=(4.0, 3.0))


def test_the_panels_of_a_history_take_a_size():
    figure = figures.history({"loss": [2.0, 1.0]}, size=(5.0, 3.0))
    assert figure.get_size_inches().tolist() == [5.0, 3.0]
    with pytest.raises(ValueError, match=r"size: wanted \(width, height\)"):
        figures.history({"loss": [2.0, 1.0]}, size=(5.0,))
