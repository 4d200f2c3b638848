"""Writes figures as small PNG files that can be read on a white and on a dark page."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

LIMIT = 100_000  # bytes of a file
GRAY = 120  # of text: readable on white and on black
GRAYS = 20  # of gray pictures
SHADES = 24  # of text and lines
SOLID = 10  # pixels: a picture contains a square of that side, text and lines do not
GAP = 7  # pixels: the most that a white stroke takes from a picture
WHITE = 250


def write(image, path, colors=200, width=None, is_plot=None):
    """Writes an image with a palette; the margins around pictures become transparent.

    Args:
      image: a `PIL.Image`.
      path: of the file.
      colors: number of colors, at most 200; fewer if the file is large.
      width: the most pixels in a row, or None.
      is_plot: whether the image has no pictures, such as a curve, or None to infer it.
    """
    image = on_white(image)
    is_plot = shows_plot(image) if is_plot is None else is_plot
    if width and image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.LANCZOS)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    while True:
        small = quantized(image, colors) if is_plot else with_clear_margins(image, colors)
        small.save(path, optimize=True)
        if Path(path).stat().st_size <= LIMIT or colors <= 8:
            return
        colors //= 2


def shows_plot(image):
    """Returns whether a figure is mostly white, as curves and points are and pictures are not."""
    return (np.asarray(on_white(image)).min(-1) >= WHITE).mean() > 0.45


def on_white(image):
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def quantized(image, colors):
    return image.quantize(colors, method=Image.Quantize.MEDIANCUT)


def dithered(image, colors):
    """Returns an image of a palette without the bands of a smooth background."""
    palette = quantized(image, colors)
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def pictures(values):
    """Returns where a figure shows pictures, [H, W], from its colors [H, W, 3]."""
    is_white = values.min(-1) >= WHITE
    solid = ndimage.binary_opening(~is_white, np.ones((SOLID, SOLID)))
    blocks = ndimage.binary_closing(boxes(solid), np.ones((GAP, GAP)))
    result = boxes(blocks)
    for box in ndimage.find_objects(ndimage.label(result)[0]):
        for axis in (0, 1):
            is_gap = is_white[box].all(axis, keepdims=True)
            result[box] &= ~is_gap
    return result


def boxes(mask):
    """Returns a mask with the rectangle around each connected part."""
    result = np.zeros_like(mask)
    for box in ndimage.find_objects(ndimage.label(mask)[0]):
        result[box] = True
    return result


def with_clear_margins(image, colors):
    """Returns an image of a palette, with gray text and lines on nothing around the pictures."""
    is_picture = pictures(np.asarray(image))
    values = np.asarray(image).astype(float)
    ink = (255 - values.min(-1)) / 255  # 0 where it is white
    is_gray = np.ptp(values, axis=-1) < 60
    pure = 255 - (255 - values) / np.maximum(ink, 1e-6)[..., None]
    pure[is_gray] = GRAY
    margin = np.dstack([pure, 255 * ink]).clip(0, 255).astype("uint8")
    margin[is_picture | (ink < 0.02)] = 0
    margin = Image.fromarray(margin).quantize(SHADES, method=Image.Quantize.FASTOCTREE)
    inside = values.astype("uint8")
    inside[~is_picture] = inside[is_picture][0]
    if np.ptp(inside, axis=-1).max() < 10:
        colors = min(colors, GRAYS)
    inside = dithered(Image.fromarray(inside), colors)
    indices = np.where(is_picture, np.asarray(inside), colors + np.asarray(margin))
    result = Image.fromarray(indices.astype("uint8"), "P")
    shades = np.reshape(margin.getpalette("RGBA"), [-1, 4])
    palette = np.zeros((256, 4), "uint8")
    palette[:colors, 3] = 255
    own = np.reshape(inside.getpalette("RGB"), [-1, 3])[:colors]
    palette[: len(own), :3] = own
    palette[colors : colors + len(shades)] = shades[: 256 - colors]
    result.putpalette(palette[:, :3].tobytes())
    result.info["transparency"] = palette[:, 3].tobytes()
    return result
