"""The figure that every function returns; imported, like matplotlib, when the first is drawn."""

from __future__ import annotations

import io

import matplotlib.figure

_NOTEBOOK_DPI = 100  # pixels of a page per inch, at which a notebook shows a figure


class Figure(matplotlib.figure.Figure):
    """A `matplotlib.figure.Figure` that shows itself in a notebook, and in a window elsewhere.

    >>> figure = Figure((2.0, 1.0), dpi=100)
    >>> figure._repr_png_()[1]
    {'width': 200, 'height': 100}
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        file = io.BytesIO()
        self.savefig(file, format="png")
        width, height = self.get_size_inches()
        size = {"width": round(_NOTEBOOK_DPI * width), "height": round(_NOTEBOOK_DPI * height)}
        return file.getvalue(), size

    def show(self, warn: bool = True) -> None:
        """Opens a window with the figure and returns when it is closed.

        Args:
          warn: as in matplotlib; without a screen the figure cannot be shown, only saved.
        """
        from matplotlib import pyplot  # chooses a backend, which loading a figure must not do

        window = pyplot.new_figure_manager(1, FigureClass=lambda: self)
        window.show()
        window.start_main_loop()
