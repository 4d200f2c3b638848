"""One picture from its file: any format, mode, size and orientation to pixels of one shape."""

import os

import numpy as np
from PIL import Image, ImageOps

from tfpvae import _checks

# Pillow looks at the content, not the suffix; it may only try these decoders.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")


def check_image_shape(image_shape: tuple[int, int, int]) -> None:
    """Raises ValueError unless this is (height, width, channels) of a picture."""
    if _checks.image_shape(image_shape)[2] not in (1, 3):
        raise ValueError(
            "image_shape: wanted (height, width, channels) with 1 or 3 channels, "
            f"got {image_shape!r}."
        )


def read_picture(path: str, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Returns a picture as uint8 [H, W, C], scaled to cover the shape and cropped at its centre.

    Raises:
      ValueError: naming the file, if it is broken.
    """
    height, width, channels = image_shape
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError("no plain file")  # of a pipe nothing may ever come
        with Image.open(path, formats=_FORMATS) as picture:
            # JPEG can decode at 1/2, 1/4 or 1/8 size; twice the target keeps it sharp.
            side = 2 * max(height, width)
            picture.draft(None, (side, side))
            upright = ImageOps.exif_transpose(picture)
            flat = _flatten(upright).convert("L" if channels == 1 else "RGB")
        fitted = ImageOps.fit(flat, (width, height), Image.Resampling.BICUBIC)
    except Exception as error:  # a broken file makes Pillow raise a dozen kinds
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"files: wanted pictures, got '{path}', broken ({reason}).") from error
    return np.asarray(fitted).reshape(image_shape)


def _flatten(picture: Image.Image) -> Image.Image:
    """The same picture without transparency (laid on white) and with 8 bits a channel."""
    if picture.mode.startswith("I"):
        # Pillow would clip 16 bits to 8; 65535 = 257 * 255.
        deep = np.clip(np.asarray(picture, np.float64), 0, 65535)
        return Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear)
    return picture
