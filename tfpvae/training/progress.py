"""The line of at most 100 columns that `fit`, `evaluate` and `predict` print for each epoch."""

import shutil
import sys
import time
from typing import Any

import tf_keras
from tf_keras.src.utils import io_utils

_COLUMNS = 100  # the most that a line takes, but for metrics of the user's own
_BAR = 16  # columns of the bar while an epoch runs
_INTERVAL = 0.1  # seconds between two updates


class Progress(tf_keras.callbacks.ProgbarLogger):
    """Keras' progress bar with shorter lines, which says when a program is compiled.

    A line leaves out the elbo, which repeats the loss, and the KL of a plain autoencoder, which is
    0. The history has all of them.

    Args:
      hidden: names of the quantities to leave out, those of validation too.
    """

    progbar: Any

    def __init__(self, hidden: tuple[str, ...] = ("elbo",)):
        super().__init__("steps")
        self._hidden = {*hidden, *(f"val_{name}" for name in hidden)}

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the line of an epoch."""
        super().on_epoch_begin(epoch, logs)
        self._begin_line("train_function")

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Starts the line of `evaluate`."""
        super().on_test_begin(logs)
        if not self._called_in_fit:
            self._begin_line("test_function")

    def on_predict_begin(self, logs: dict | None = None) -> None:
        """Starts the line of `predict`."""
        super().on_predict_begin(logs)
        self._begin_line("predict_function")

    def _maybe_init_progbar(self) -> None:
        if self.progbar is None:
            self.progbar = _Line(self.target, self.verbose, self._hidden)

    def _begin_line(self, name: str) -> None:
        """Says that a function of the model is compiled, if it has not run yet."""
        function = getattr(self.model, name, None)
        already_run = self.model.__dict__.setdefault("_already_run", {})
        if already_run.get(name) is not function:
            self.progbar.say("compiling ...")
        already_run[name] = function


class _Line:
    """The line of one epoch, in the place of Keras' `Progbar`."""

    def __init__(self, target: int | None, verbose: int, hidden: set[str]):
        self.target = target
        self._hidden = hidden
        # Where a line cannot be written again, it is written once.
        is_notebook = type(sys.stdout).__module__.startswith("ipykernel")
        is_screen = sys.stdout.isatty() or is_notebook
        self._is_written, self._is_live = verbose > 0, verbose == 1 and is_screen
        self._begin, self._last, self._width = time.perf_counter(), 0.0, 0
        self._first: tuple[int, float] | None = None

    def say(self, text: str) -> None:
        """Writes a text that the next update replaces."""
        if self._is_live:
            self._write(text)

    def update(self, current: int, values: list[tuple[str, Any]], finalize: bool) -> None:
        """Writes the line after `current` steps; the last time with a line break."""
        now = time.perf_counter()
        self._first = self._first or (current, now)
        if not (self._is_written if finalize else self._is_live and now > self._last + _INTERVAL):
            return
        self._last = now
        numbers = [f"{name} {number(value)}" for name, value in values if name not in self._hidden]
        if finalize:
            done, bar = self._done(current, now)
            self._write(fitting(done, bar, numbers, _COLUMNS), end="\n")
        else:
            columns = min(_COLUMNS, shutil.get_terminal_size((_COLUMNS, 24)).columns) - 1
            self._write(fitting(*self._running(current, now), numbers, columns)[:columns])

    def _done(self, current: int, now: float) -> tuple[str, str]:
        return f"{current}/{self.target}  {now - self._begin:.0f} s", self._of_a_step(current, now)

    def _running(self, current: int, now: float) -> tuple[str, str]:
        if self.target is None:
            return f"{current} steps", ""
        share = int(_BAR * current / self.target)
        bar = f"{current}/{self.target}  [{'=' * share}{'.' * (_BAR - share)}]"
        return bar, self._of_a_step(current, now)

    def _of_a_step(self, current: int, now: float) -> str:
        """Returns the time of a step after the first ones, which are compiled."""
        steps, begin = self._first or (current, now)
        return f"{_duration((now - begin) / (current - steps))}/step" if current > steps else ""

    def _write(self, text: str, end: str = "") -> None:
        padding = " " * (self._width - len(text))
        self._width = len(text)
        start = "\r" if self._is_live else ""
        io_utils.print_msg(start + text + padding + end, line_break=False)


def fitting(first: str, second: str, numbers: list[str], columns: int) -> str:
    """Returns a line of the parts; without the second where it would be too long.

    >>> fitting("9/9  1 s", "2 ms/step", ["loss 162.1"], 40)
    '9/9  1 s  2 ms/step  loss 162.1'
    >>> fitting("9/9  1 s", "2 ms/step", ["loss 162.1"], 20)
    '9/9  1 s  loss 162.1'
    """
    line = "  ".join(filter(None, [first, second, *numbers]))
    return line if len(line) <= columns else "  ".join([first, *numbers])


def number(value: Any) -> str:
    """Returns a number as text, without an exponent unless it is very large or small.

    >>> [number(x) for x in (10543.21, 543.21, 4.126, 0.0312, 0.00002, 0.0, 1e-9)]
    ['10543.2', '543.2', '4.13', '0.0312', '0.00002', '0', '1e-09']
    """
    value = float(value)
    size = abs(value)
    if 1 <= size < 1e9:
        return f"{value:.{1 if size >= 100 else 2}f}"
    if 1e-6 <= size < 1:
        return f"{value:.{4 if size >= 1e-3 else 7}f}".rstrip("0")
    return f"{value:g}"


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.{1 if seconds < 0.01 else 0}f} ms"
