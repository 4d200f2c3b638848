"""Random images, and the rendered pixels of a figure."""

import warnings

import numpy as np
from matplotlib.figure import Figure


def images(*shape: int, seed: int = 0) -> np.ndarray:
    """Returns random images of a shape, float32 in [0, 1]."""
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def pixels(figure: Figure) -> np.ndarray:
    """Renders a figure without warnings; returns its pixels, uint8 [height, width, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def border_is_white(pixels: np.ndarray) -> bool:
    """Returns whether all pixels at the edges are white, so that nothing is cut off."""
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    return all((edge == 255).all() for edge in edges)
