"""Tests of the history and error figures."""

from itertools import pairwise

import numpy as np
import pytest
import tf_keras

from tests.figures import drawing
from tfpvae import figures


def _history(epochs: int) -> dict[str, list[float]]:
    keys = ["loss", "nll", "kl", "val_loss", "val_nll", "val_kl"]
    return {key: [100.0 + 10 * i + e for e in range(epochs)] for i, key in enumerate(keys)}


# --- history ------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 2, 7, 30, 400])
def test_history_draws_each_curve_over_the_epochs(epochs):
    history = _history(epochs)
    figure = figures.history(history)
    assert len(figure.axes) == 3
    for axes, name in zip(figure.axes, ["loss", "nll", "kl"], strict=True):
        training, validation = axes.lines
        np.testing.assert_array_equal(training.get_xdata(), np.arange(1, epochs + 1))
        np.testing.assert_array_equal(training.get_ydata(), history[name])
        np.testing.assert_array_equal(validation.get_ydata(), history[f"val_{name}"])
        assert training.get_color() != validation.get_color()
        assert axes.get_xlabel() == "epoch"
    assert figure.axes[0].get_ylabel() == "nats per image"
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 37, 1000])
def test_history_ticks_are_whole_epochs_that_were_run(epochs):
    axes = figures.history(_history(epochs)).axes[0]
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == int(tick) and 1 <= tick <= epochs for tick in ticks)


def test_history_draws_only_what_is_there():
    figure = figures.history({"kl": [1.0, 2.0], "val_loss": [3.0, 2.5], "seconds": [9.0, 9.0]})
    assert [axes.get_title() for axes in figure.axes] == ["loss", "KL divergence"]
    assert [[str(line.get_label()) for line in axes.lines] for axes in figure.axes] == [
        ["validation"],
        ["training"],
    ]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"training", "validation"}


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({}, r"history: wanted some of \['loss'.*, got \[\]"),
        ({"seconds": [1.0]}, r"got \['seconds'\]"),
        ({"loss": []}, r"history\['loss'\]: wanted one number .* got the shape \(0,\)"),
        ({"loss": [[1.0]]}, r"got the shape \(1, 1\)"),
        ({"loss": 1.0}, r"got the shape \(\)"),
        ({"loss": [1.0, 2.0], "kl": [1.0]}, r"history\['kl'\]: wanted 2 epochs .*, got 1"),
        ({"loss": [1.0, np.nan]}, r"wanted finite numbers, got nan in epoch 2"),
        ({"val_nll": [np.inf]}, r"history\['val_nll'\]: .* got inf in epoch 1"),
        ({"loss": ["low"]}, r"history\['loss'\]: wanted one number for each epoch, got \['low'\]"),
        ({"loss": [[1.0], [1.0, 2.0]]}, r"history\['loss'\]: wanted one number for each epoch"),
        (tf_keras.callbacks.History(), r"history: wanted some of \['loss'.*, got \[\]"),
    ],
)
def test_history_refuses(history, message):
    with pytest.raises(ValueError, match=message):
        figures.history(history)


def _fitted(epochs: int) -> tf_keras.callbacks.History:
    model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
    model.compile(loss="mse")
    unseen = np.ones([2, 1]), np.zeros([2, 1])
    return model.fit(*unseen, epochs=epochs, validation_data=unseen, verbose=0)


def test_history_takes_what_fit_returns():
    fitted = _fitted(3)
    (axes,) = figures.history(fitted).axes
    training, validation = axes.lines
    np.testing.assert_array_equal(training.get_ydata(), fitted.history["loss"])
    np.testing.assert_array_equal(validation.get_ydata(), fitted.history["val_loss"])


def test_history_says_what_to_do_with_one_dict_an_epoch():
    history = [{"loss": 3.0, "kl": 1.0}, {"loss": 2.0, "kl": 1.5}]
    with pytest.raises(TypeError, match="history: wanted the History .* got 2 dicts") as caught:
        figures.history(history)
    _, _, line = str(caught.value).partition("each: ")
    lists = eval(line[:-1], {"history": history})  # as the message says
    assert lists == {"loss": [3.0, 2.0], "kl": [1.0, 1.5]}
    assert len(figures.history(lists).axes) == 2


def test_history_says_what_to_do_with_one_run_after_the_other():
    history = [_fitted(2), _fitted(1)]
    with pytest.raises(TypeError, match="history: wanted the History .* got 2 of them") as caught:
        figures.history(history)
    _, _, line = str(caught.value).partition("other: ")
    lists = eval(line[:-1], {"history": history})  # as the message says
    assert lists["loss"] == history[0].history["loss"] + history[1].history["loss"]
    assert len(figures.history(lists).axes[0].lines[0].get_ydata()) == 3


@pytest.mark.parametrize("history", [None, [], [1.0, 2.0], "loss", 3.0], ids=str)
def test_history_refuses_what_has_no_names(history):
    with pytest.raises(TypeError, match="history: wanted the History that fit returns"):
        figures.history(history)


# --- errors by class ----------------------------------------------------------------------------


def _whiskers(figure) -> np.ndarray:
    """Returns the lower and upper end of each whisker, [N, 2]."""
    (lines,) = [c for c in figure.axes[0].collections if hasattr(c, "get_segments")]
    return np.array([segment[:, 1] for segment in lines.get_segments()])


@pytest.mark.parametrize("names", [None, [f"class {i}" for i in range(10)]])
def test_bars_are_means_and_whiskers_are_standard_errors(names):
    rng = np.random.default_rng(0)
    errors, labels = rng.gamma(2.0, 0.01, 500), rng.integers(0, 10, 500)
    figure = figures.error_by_class(errors, labels, class_names=names)
    (axes,) = figure.axes
    groups = [errors[labels == label] for label in range(10)]
    means = np.array([group.mean() for group in groups])
    sems = np.array([group.std(ddof=1) / len(group) ** 0.5 for group in groups])
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], means)
    np.testing.assert_allclose(_whiskers(figure), np.stack([means - sems, means + sems], -1))
    assert all(bar.get_y() == 0 for bar in axes.patches) and axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] >= (means + sems).max()
    texts = [label.get_text() for label in axes.get_xticklabels()]
    assert texts == (names or [str(label) for label in range(10)])
    assert drawing.border_is_white(drawing.pixels(figure))


def test_absent_classes_have_no_bar_and_single_errors_no_whisker():
    names = ["daisy", "rose", "tulip"]
    figure = figures.error_by_class([1.0, 3.0, 4.0], [2, 2, 0], class_names=names)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["daisy", "tulip"]
    assert [bar.get_height() for bar in axes.patches] == [4.0, 2.0]
    np.testing.assert_allclose(_whiskers(figure), [[1.0, 3.0]])
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize("count", [1, 5, 40])
@pytest.mark.parametrize("name", ["a", "sunflowers", "a flower with a very long name"])
def test_class_names_do_not_overlap(name, count):
    names = [f"{name} {i}" for i in range(count)]
    figure = figures.error_by_class(np.ones(count), np.arange(count), class_names=names)
    assert drawing.border_is_white(drawing.pixels(figure))
    boxes = [text.get_window_extent() for text in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert figure.get_size_inches()[0] <= 7.5


def test_errors_of_zero():
    figure = figures.error_by_class(np.zeros(4), np.arange(4))
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ([], r"wanted \[N\] with nothing empty, got \[0\]"),
        ([[1.0]], r"wanted \[N\] .*, got \[1, 1\]"),
        ([np.nan], "wanted finite numbers, got NaN"),
        ([np.inf], "wanted finite numbers"),
        ([-0.5], r"wanted numbers of at least 0, got -0\.5"),
        (["a"], "wanted numbers, got <U1"),
        ([True], "wanted numbers, got bool"),
    ],
)
def test_invalid_errors_raise(errors, message):
    with pytest.raises(ValueError, match=f"^errors: {message}"):
        figures.error_by_class(errors, [0])


@pytest.mark.parametrize(
    ("labels", "text"),
    [([0, 0, 1, 1], "2 images per class"), ([0, 0, 0, 1], "1 to 3 images per class")],
)
def test_bars_say_what_their_whiskers_are_and_how_many_images_they_rest_on(labels, text):
    axes = figures.error_by_class([1.0, 2.0, 3.0, 4.0], labels).axes[0]
    assert axes.get_ylabel() == "mean error \N{PLUS-MINUS SIGN} standard error"
    assert axes.get_xlabel() == text
