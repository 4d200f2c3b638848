"""A backend of matplotlib whose windows are lists of what happened to them."""

from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

EVENTS: list = []


class FigureManager(FigureManagerBase):
    def show(self):
        EVENTS.append(("show", self.canvas.figure))

    @classmethod
    def start_main_loop(cls):
        EVENTS.append(("loop", None))


class FigureCanvas(FigureCanvasAgg):
    manager_class = FigureManager
