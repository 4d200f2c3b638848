"""Tests of the rate-distortion and active-unit figures."""

import numpy as np
import pytest

from tests.figures import drawing
from tfpvae import figures

# --- rate and distortion ------------------------------------------------------------------------


def test_points_are_joined_in_the_order_of_rates():
    rates, distortions = [12.0, 2.0, 25.0], [105.0, 140.0, 85.0]
    figure = figures.rate_distortion(rates, distortions, names=["1", "4", "0.25"])
    (axes,) = figure.axes
    curve = next(line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(curve.get_xdata(), [2.0, 12.0, 25.0])
    np.testing.assert_array_equal(curve.get_ydata(), [140.0, 105.0, 85.0])
    assert [(text.get_text(), *text.xy) for text in axes.texts] == [
        ("4", 2.0, 140.0),
        ("1", 12.0, 105.0),
        ("0.25", 25.0, 85.0),
    ]
    lines = [line for line in axes.lines if line is not curve]
    assert len(lines) >= 2 and all(line.get_slope() == -1 for line in lines)
    assert drawing.border_is_white(drawing.pixels(figure))


def test_one_model_without_a_name():
    figure = figures.rate_distortion([3.0], [100.0])
    assert len(figure.axes[0].texts) == 0
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), r"rates: wanted \[N\] with nothing empty"),
        (([1.0], [np.nan]), "distortions: wanted finite numbers"),
        (([1.0, 2.0], [1.0]), "distortions: wanted 2, one for each rate, got 1"),
        (([-1.0], [1.0]), r"rates: wanted numbers of at least 0, got -1\.0"),
    ],
)
def test_invalid_rates_and_distortions_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        figures.rate_distortion(*arguments)


def test_fewer_names_than_models_raise():
    with pytest.raises(ValueError, match="names: wanted 2, one for each model, got 1"):
        figures.rate_distortion([1.0, 2.0], [3.0, 4.0], names=["a"])


# --- active units -------------------------------------------------------------------------------


def test_bars_are_the_sorted_variances_and_active_units_have_their_own_color():
    figure = figures.active_units([0.02, 0.9, 0.0, 0.009])
    (axes,) = figure.axes
    tops = [bar.get_y() + bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(tops[:3], [0.9, 0.02, 0.009], rtol=1e-6)
    colors = [bar.get_facecolor() for bar in axes.patches]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    assert axes.get_title() == "2 of 4 units active"
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.01, 0.01])
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize("count", [1, 2, 50, 512])
def test_any_number_of_units(count):
    figure = figures.active_units(np.zeros(count), threshold=0.5)
    assert figure.axes[0].get_title() == f"0 of {count} units active"
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), r"variances: wanted \[D\] with nothing empty"),
        (([-1.0],), "variances: wanted numbers of at least 0"),
        (([np.inf],), "variances: wanted finite numbers"),
    ],
)
def test_invalid_variances_and_thresholds_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        figures.active_units(*arguments)
    with pytest.raises(ValueError, match="threshold: wanted a finite number above 0, got 0"):
        figures.active_units([1.0], threshold=0)
