"""Decoding of one file: any format, mode, size and orientation to pixels of one shape."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps

from tfpvae import _checks

# Pillow looks at the content, not the suffix; it may only try these decoders.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
_LAST_OF_16_BITS = 65535
# Pillow's raw modes that read the first byte of 16-bit colors, and those that read both bytes.
_BOTH_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "LA;16B": "RGBA"}


class Picture(NamedTuple):
    """A decoded picture.

    Attributes:
      pixels: uint8 [H, W, C].
      brightest: brightest value of a 16-bit picture; None for any other.
    """

    pixels: np.ndarray
    brightest: int | None


def check_image_shape(image_shape: tuple[int, int, int]) -> None:
    """Checks that this is (height, width, channels) of a picture."""
    if _checks.image_shape(image_shape)[2] not in (1, 3):
        raise ValueError(
            "image_shape: wanted (height, width, channels) with 1 or 3 channels, "
            f"got {image_shape!r}."
        )


def check_max_value(max_value: int | None) -> None:
    """Checks that this is a 16-bit value or None."""
    if max_value is not None and _checks.whole_number("max_value", max_value) > _LAST_OF_16_BITS:
        raise ValueError(
            f"max_value: wanted a value of 16 bits, at most {_LAST_OF_16_BITS}, got {max_value!r}."
        )


def read_picture(
    path: str, image_shape: tuple[int, int, int], max_value: int | None = None
) -> Picture:
    """Reads a picture, scaled to cover the shape and cropped at its center.

    Args:
      path: path of the file.
      image_shape: (height, width, channels).
      max_value: value of white in a 16-bit picture; None for 65535.

    Raises:
      ValueError: if the file is broken; the message names it.
    """
    height, width, channels = image_shape
    with _naming(path):
        with _opened(path) as picture:
            # JPEG can decode at 1/2, 1/4 or 1/8 size; twice the target keeps it sharp.
            side = 2 * max(height, width)
            picture.draft(None, (side, side))
            values = _values_of_16_bits(picture, path)
            upright = (
                ImageOps.exif_transpose(picture)
                if values is None
                else Image.fromarray(_to_bytes(values, max_value or _LAST_OF_16_BITS))
            )
            flat = _flatten(upright).convert("L" if channels == 1 else "RGB")
        fitted = ImageOps.fit(flat, (width, height), Image.Resampling.BICUBIC)
    return Picture(np.asarray(fitted).reshape(image_shape), _brightest(values))


def brightest_value(path: str) -> int | None:
    """Returns the brightest value of a 16-bit picture, and None for any other.

    Raises:
      ValueError: if the file is broken; the message names it.
    """
    with _naming(path), _opened(path) as picture:
        return _brightest(_values_of_16_bits(picture, path))


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Turns every error into one that names the file."""
    try:
        yield
    except Exception as error:  # a broken file makes Pillow raise a dozen kinds
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"files: wanted pictures, got '{path}', broken ({reason}).") from error


def _opened(path: str) -> ImageFile.ImageFile:
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError("no plain file")  # reading a pipe may never end
    return Image.open(path, formats=_FORMATS)


def _values_of_16_bits(picture: ImageFile.ImageFile, path: str) -> np.ndarray | None:
    """Returns the values [H, W] or [H, W, C] of a 16-bit picture, upright; else None."""
    if picture.mode.startswith("I"):
        return np.clip(np.asarray(ImageOps.exif_transpose(picture)), 0, _LAST_OF_16_BITS)
    both = _BOTH_BYTES.get(str(picture.tile[0][3])) if picture.tile else None
    if both is None:
        return None
    with _opened(path) as again:
        again.tile = [(*again.tile[0][:3], both)]  # type: ignore[list-item]
        last = np.asarray(ImageOps.exif_transpose(again)).astype(np.uint16)
    if both == "RGBA":  # gray and transparency, two bytes each
        return 256 * last[..., ::2] + last[..., 1::2]
    return 256 * np.asarray(ImageOps.exif_transpose(picture)).astype(np.uint16) + last


def _brightest(values: np.ndarray | None) -> int | None:
    if values is None:
        return None
    return int(_split(values)[0].max())


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the colors and, if the picture has one, the transparency."""
    if values.ndim == 3 and values.shape[-1] in (2, 4):
        return values[..., :-1], values[..., -1:]
    return values, None


def _to_bytes(values: np.ndarray, white: int) -> np.ndarray:
    """Converts 16-bit values to 8 bits; Pillow would clip them."""
    colors, alpha = _split(values)
    scaled = np.rint(np.minimum(colors, white) * (255 / white)).astype(np.uint8)
    if alpha is None:
        return scaled
    opaque = white if alpha.max() <= white else _LAST_OF_16_BITS
    return np.concatenate([scaled, np.rint(alpha * (255 / opaque)).astype(np.uint8)], axis=-1)


def _flatten(picture: Image.Image) -> Image.Image:
    """Returns the picture without transparency, on white."""
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear)
    return picture
