"""What the tests of figures share: images to draw, and how a figure is rendered."""

import warnings

import numpy as np
from matplotlib.figure import Figure


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def pixels(figure: Figure) -> np.ndarray:
    """The rendered figure, [height, width, 3] in uint8; no warning is allowed on the way."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def border_is_white(pixels: np.ndarray) -> bool:
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    return all((edge == 255).all() for edge in edges)
