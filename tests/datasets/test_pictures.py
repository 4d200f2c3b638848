"""Pictures from files: every format and mode, streams, and broken files."""

import math
import os
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfpvae.datasets import (
    PictureFiles,
    draw_flowers,
    list_pictures,
    load_pictures,
    load_splits,
    split_pictures,
    stream_pictures,
)
from tfpvae.datasets import pictures as pictures_of_files

ORANGE = (250, 140, 20)
ORANGE_GRAY = 159  # 0.299 R + 0.587 G + 0.114 B
SHAPE = (16, 16, 3)


def save(path, mode="RGB", color=ORANGE, size=(32, 24), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


def load_one(path, image_shape=SHAPE, **options):
    (image,) = load_pictures([path], image_shape=image_shape, **options).images
    return image.astype(int)


# Formats and modes.


@pytest.mark.parametrize(
    "name, tolerance",
    [
        ("a.png", 0),
        ("a.bmp", 0),
        ("a.gif", 0),
        ("a.PNG", 0),
        ("a.jpg", 3),  # lossy: YCbCr is rounded to whole numbers
        ("a.JPEG", 3),
        ("a.webp", 4),  # lossy, with less range for YCbCr
    ],
)
def test_every_format_keeps_its_color(tmp_path, name, tolerance):
    image = load_one(save(tmp_path / name))
    assert np.abs(image - ORANGE).max() <= tolerance


def palette_picture():
    picture = Image.new("P", (20, 20), 7)
    picture.putpalette([channel for _ in range(256) for channel in ORANGE])
    return picture


@pytest.mark.parametrize(
    "mode, color, rgb",
    [
        ("1", 1, (255, 255, 255)),
        ("L", 90, (90, 90, 90)),
        ("RGB", ORANGE, ORANGE),
        ("RGBA", (*ORANGE, 255), ORANGE),
        ("RGBA", (200, 100, 0, 0), (255, 255, 255)),
        ("RGBA", (200, 100, 0, 51), (244, 224, 204)),  # a fifth opaque, laid on white
        ("LA", (0, 128), (127, 127, 127)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 100, (100, 100, 100)),
        ("I;16", 300, (1, 1, 1)),  # clipping to 8 bits would make it white
    ],
)
def test_every_mode_of_png_is_read(tmp_path, mode, color, rgb):
    path = save(tmp_path / "a.png", mode, color)
    white = {"max_value": 65535}  # also for the picture that is nearly black
    # Blending on white rounds once, hence one level.
    np.testing.assert_allclose(load_one(path, **white), np.broadcast_to(rgb, SHAPE), atol=1)
    gray = round(np.dot(rgb, (0.299, 0.587, 0.114)))
    np.testing.assert_allclose(load_one(path, (16, 16, 1), **white), gray, atol=1)


@pytest.mark.parametrize("channels, color", [(1, ORANGE_GRAY), (3, ORANGE)])
def test_a_palette_is_replaced_by_its_colors(tmp_path, channels, color):
    palette_picture().save(tmp_path / "a.png")
    image = load_one(tmp_path / "a.png", (16, 16, channels))
    assert np.abs(image - color).max() <= 1


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_transparent_palette_entry_is_laid_on_white(tmp_path, name):
    palette_picture().save(tmp_path / name, transparency=7)
    assert (load_one(tmp_path / name) == 255).all()


@pytest.mark.parametrize("channels, color", [(1, 76), (3, (254, 0, 0))])
def test_cmyk_jpeg_is_read(tmp_path, channels, color):
    path = save(tmp_path / "a.jpg", "CMYK", (0, 255, 255, 0))
    assert np.abs(load_one(path, (16, 16, channels)) - color).max() <= 3


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_the_first_frame_of_an_animation_is_read(tmp_path, name):
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    assert np.abs(load_one(tmp_path / name) - (255, 0, 0)).max() <= 4


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize(
    "orientation, side", [(1, "left"), (3, "right"), (6, "top"), (8, "bottom")]
)
def test_exif_orientation_is_applied(tmp_path, name, orientation, side):
    stored = np.zeros((32, 32, 3), np.uint8)
    stored[:, :16] = 255  # stored with its left half white
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / name, exif=exif)
    image = load_one(tmp_path / name)
    halves = {"left": image[:, :6], "right": image[:, 10:], "top": image[:6], "bottom": image[10:]}
    means = {name: half.mean() for name, half in halves.items()}
    assert max(means, key=means.get) == side
    assert means[side] > 245


# Files with 16 bits per value, whose values may use fewer.


def write_16_bits(path, values):
    """Writes values [H, W, C] as a PNG: gray, gray and alpha, RGB or RGBA by C."""
    path.write_bytes(tf.io.encode_png(values.astype(np.uint16)).numpy())
    return path


def values_of(bits, channels=1, seed=0):
    """Returns values [16, 16, channels] from 0 to 2^bits - 1."""
    values = np.random.default_rng(seed).integers(0, 2**bits, [16, 16, channels])
    values[0, 0], values[0, 1] = 0, 2**bits - 1
    return values


ADVICE = r"files: .*16-bit .* '.*{name}', whose brightest value is {value}; .* max_value={white} "


def advised_max_value(path, name, value, white):
    """Loads pictures that cause a warning, and returns the max_value that it suggests."""
    message = ADVICE.format(name=name, value=value, white=white)
    with pytest.warns(UserWarning, match=message) as caught:
        load_pictures(path, image_shape=(16, 16, 1))
    assert len(caught) == 1 and caught[0].filename == __file__
    return int(str(caught[0].message).split("max_value=")[1].split()[0])


@pytest.mark.parametrize("bits", [1, 8, 10, 12, 14])
def test_following_the_warning_about_fewer_bits_gives_the_right_pixels(tmp_path, bits):
    values, white = values_of(bits), 2**bits - 1
    write_16_bits(tmp_path / "a.png", values)
    max_value = advised_max_value(tmp_path, "a.png", white, white)
    image = load_one(tmp_path / "a.png", (16, 16, 1), max_value=max_value)
    np.testing.assert_array_equal(image, np.rint(values / white * 255))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [12, 16])
def test_16_bit_colors_keep_their_precision(tmp_path, channels, bits):
    values, white = values_of(bits, channels), 2**bits - 1
    if channels in (2, 4):
        values[..., -1] = white
    colors = 1 if channels < 3 else 3
    write_16_bits(tmp_path / "a.png", values)
    image = load_one(tmp_path / "a.png", (16, 16, colors), max_value=white)
    np.testing.assert_array_equal(image, np.rint(values[..., :colors] / white * 255))


@pytest.mark.parametrize("opaque", [4095, 65535])
def test_12_and_16_bit_transparency_is_laid_on_white(tmp_path, opaque):
    values = np.full([16, 16, 2], 0)
    values[:8, :, 1] = opaque
    write_16_bits(tmp_path / "a.png", values)
    image = load_one(tmp_path / "a.png", (16, 16, 1), max_value=4095)
    assert (image[:8] == 0).all() and (image[8:] == 255).all()


def test_16_bit_pictures_are_turned_upright(tmp_path):
    stored = np.zeros([16, 16, 3])
    stored[:, :8] = 4095  # stored with its left half white
    path = write_16_bits(tmp_path / "a.png", stored)
    exif = Image.Exif()
    exif[0x0112] = 6
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    length, check = (number.to_bytes(4, "big") for number in (len(body) - 4, zlib.crc32(body)))
    whole, header = path.read_bytes(), 33  # the signature and the first chunk
    path.write_bytes(whole[:header] + length + body + check + whole[header:])
    image = load_one(path, max_value=4095)
    assert (image[:8] == 255).all() and (image[8:] == 0).all()


def test_the_warning_names_the_first_dark_picture_and_follows_the_brightest(
    tmp_path,
):
    for i, brightest in enumerate((500, 3000, 900)):
        write_16_bits(tmp_path / f"{i}.png", values_of(8) / 255 * brightest)
    save(tmp_path / "a.png", "L", 3)  # 8 bits cause no warning
    assert advised_max_value(tmp_path, "0.png", 500, 4095) == 4095


def test_one_bright_picture_prevents_the_warning_about_dark_ones(tmp_path):
    write_16_bits(tmp_path / "a.png", values_of(12))
    write_16_bits(tmp_path / "b.png", values_of(16))
    assert load_pictures(tmp_path, image_shape=(16, 16, 1)).images[0].max() == 16


@pytest.mark.parametrize("name", ["black", "eight bits"])
def test_black_and_8_bit_pictures_cause_no_warning(tmp_path, name):
    if name == "black":
        write_16_bits(tmp_path / "a.png", np.zeros([16, 16, 1]))
    else:
        save(tmp_path / "a.png", "L", 10)
    assert load_one(tmp_path / "a.png", (16, 16, 1)).max() == (0 if name == "black" else 10)


def test_values_above_max_value_are_white_and_8_bits_are_unchanged(tmp_path):
    write_16_bits(tmp_path / "a.png", np.array([0, 1000, 2000, 60000]).reshape([2, 2, 1]))
    save(tmp_path / "b.png", "L", 100, (2, 2))
    deep, plain = load_pictures(tmp_path, image_shape=(2, 2, 1), max_value=2000).images
    np.testing.assert_array_equal(deep.ravel(), [0, 128, 255, 255])
    assert (plain == 100).all()


def test_broken_and_dark_pictures_cause_one_warning_each(tmp_path):
    write_16_bits(tmp_path / "b.png", values_of(12))
    (tmp_path / "a.png").write_text("no picture")
    with pytest.warns(UserWarning) as caught:
        load_pictures(tmp_path, image_shape=(16, 16, 1), on_error="skip")
    messages = sorted(str(warning.message)[:5] for warning in caught)
    assert messages == ["files", "skipp"]


def stream_16_bits(folder, **options):
    return stream_pictures(folder, image_shape=(16, 16, 1), batch_size=2, **options)


def test_a_stream_warns_once_and_reads_as_loading_does(tmp_path):
    for i in range(3):
        write_16_bits(tmp_path / f"{i}.png", values_of(12, seed=i))
    message = ADVICE.format(name="0.png", value=4095, white=4095)
    with pytest.warns(UserWarning, match=message) as caught:
        batches = stream_16_bits(tmp_path)
        assert np.concatenate([*batches, *batches]).max() == 16
    assert len(caught) == 1 and caught[0].filename == __file__
    loaded = load_pictures(tmp_path, image_shape=(16, 16, 1), max_value=4095).images
    streamed = np.concatenate([*stream_16_bits(tmp_path, max_value=4095)])
    np.testing.assert_array_equal(streamed, loaded)
    assert loaded.max() == 255


def test_a_stream_checks_the_brightness_of_at_most_64_files(tmp_path, monkeypatch):
    checked = []
    monkeypatch.setattr(pictures_of_files, "brightest_value", lambda path: checked.append(path))
    path = str(save(tmp_path / "a.png"))
    for count in (1, 64, 65, 1000):
        checked.clear()
        stream_pictures([path] * count, image_shape=SHAPE, batch_size=2)
        assert min(count, 32) <= len(checked) <= 64


def test_a_stream_raises_when_it_reaches_a_broken_file(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    batches = stream_16_bits(tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"wanted pictures, got '.*a\.png'"):
        list(batches)


@pytest.mark.parametrize(
    "max_value, error, message",
    [
        (0, ValueError, "max_value: wanted a whole number, at least 1, got 0"),
        (4095.0, TypeError, "max_value: wanted a whole number, .* got 4095.0"),
        (65536, ValueError, "max_value: wanted a value of 16 bits, at most 65535, got 65536"),
    ],
)
@pytest.mark.parametrize("function", [load_pictures, stream_pictures])
def test_max_value_is_at_most_65535(folder, function, max_value, error, message):
    options = {"batch_size": 2} if function is stream_pictures else {}
    with pytest.raises(error, match=message):
        function(folder, image_shape=SHAPE, max_value=max_value, **options)


# Size.


def test_wide_picture_is_scaled_to_cover_and_cropped_at_its_center(tmp_path):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255  # the middle square is white
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = load_one(tmp_path / "a.png", (10, 10, 3))
    assert image[:, 2:8].min() > 250  # without the edges, which blend with black


@pytest.mark.parametrize("shape", [(5, 9, 3), (31, 8, 1), (1, 1, 3), (100, 64, 3)])
@pytest.mark.parametrize("size", [(1, 1), (300, 2), (17, 90)])
def test_any_size_fits_any_shape(tmp_path, shape, size):
    path = save(tmp_path / "a.png", size=size)
    image = load_one(path, shape)
    assert image.shape == shape
    assert np.abs(image - (ORANGE if shape[2] == 3 else ORANGE_GRAY)).max() <= 1


@pytest.mark.parametrize("side", [32, 60, 100])
def test_quick_jpeg_decoding_looks_the_same(tmp_path, side):
    flower = draw_flowers(6, image_shape=(512, 512, 3), seed=3).images[-1]
    for name, options in (("a.png", {}), ("a.jpg", {"quality": 95})):
        Image.fromarray(flower).save(tmp_path / name, **options)
    exact, quick = (load_one(tmp_path / name, (side, side, 3)) for name in ("a.png", "a.jpg"))
    # Decoded at less than twice the side, edges would be off by 15 and more.
    assert np.abs(exact - quick).max() <= 10


# Streaming.


def test_streaming_equals_loading(folder):
    pictures = load_pictures(folder, image_shape=SHAPE)
    assert pictures.images.dtype == np.uint8
    assert pictures.paths == list_pictures(folder).paths
    batches = stream_pictures(folder, image_shape=SHAPE, batch_size=4)
    assert batches.element_spec == tf.TensorSpec((None, *SHAPE), tf.uint8)
    assert batches.cardinality() == 2
    streamed = [batch.numpy() for batch in batches]
    assert [len(batch) for batch in streamed] == [4, 2]
    np.testing.assert_array_equal(np.concatenate(streamed), pictures.images)


@pytest.mark.parametrize("is_cached", [True, False])
def test_pictures_that_fit_in_the_cache_are_read_once(folder, is_cached, monkeypatch):
    read, own = [], pictures_of_files.read_picture
    monkeypatch.setattr(
        pictures_of_files, "read_picture", lambda *args: read.append(args) or own(*args)
    )
    size = 6 * math.prod(SHAPE)
    budget = size if is_cached else size - 1
    batches = stream_pictures(folder, image_shape=SHAPE, batch_size=4, cache_bytes=budget)
    epochs = [np.concatenate([batch.numpy() for batch in batches]) for _ in range(2)]
    np.testing.assert_array_equal(*epochs)
    assert len(read) == (6 if is_cached else 12)


def shuffled(folder, seed, iterations=2):
    batches = stream_pictures(folder, image_shape=SHAPE, batch_size=6, shuffle=True, seed=seed)
    return [next(iter(batches)).numpy() for _ in range(iterations)]


def test_shuffling_is_new_each_time_and_reproducible(folder):
    first, second = shuffled(folder, seed=1), shuffled(folder, seed=1)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    images = load_pictures(folder, image_shape=SHAPE).images
    rows = {image.tobytes() for image in images}
    assert rows == {image.tobytes() for image in first[0]}


def test_part_of_a_split_is_streamed(folder):
    train = split_pictures(folder, (0.5, 0.3, 0.2))[0]
    (batch,) = stream_pictures(train, image_shape=(8, 8, 1), batch_size=8)
    assert batch.shape == (3, 8, 8, 1)


# Broken files.


def truncated(path, share=0.6):
    save(path)
    Image.fromarray(draw_flowers(1).images[0]).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def huge(path):
    save(path, size=(400, 300))


BROKEN = {
    "truncated.jpg": truncated,
    "truncated.png": truncated,
    "truncated.gif": truncated,
    "truncated.bmp": truncated,
    "truncated.webp": truncated,
    "last_bytes_gone.jpg": lambda path: truncated(path, 0.998),
    "empty.jpg": lambda path: path.write_bytes(b""),
    "text.jpg": lambda path: path.write_text("no picture"),
    "tiff_inside.png": lambda path: save(path, format="TIFF"),
    "bomb.png": huge,
    "missing.jpg": lambda path: None,
}


@pytest.fixture
def small_bombs(monkeypatch):
    """Makes Pillow refuse pictures of more than 2 * 50,000 pixels."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_named(tmp_path, small_bombs, name):
    BROKEN[name](tmp_path / name)
    message = rf"files: wanted pictures, got '.*{name}', broken \(\w+: "
    with pytest.raises(ValueError, match=message):
        load_pictures([tmp_path / name], image_shape=SHAPE)


def test_broken_file_in_a_stream_is_named(folder):
    truncated(folder / "rose" / "truncated.jpg")
    batches = stream_pictures(folder, image_shape=SHAPE, batch_size=3)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"wanted pictures, got '.*truncated\.jpg'"
    ):
        list(batches)


def test_loading_skips_broken_files_with_one_warning(folder):
    truncated(folder / "daisy" / "1_truncated.jpg")
    (folder / "rose" / "text.jpg").write_text("no picture")
    message = r"skipped 2 of 8 pictures.*1_truncated\.jpg.*text\.jpg"
    with pytest.warns(UserWarning, match=message) as caught:
        pictures = load_pictures(folder, image_shape=SHAPE, on_error="skip")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert pictures.images.shape == (6, *SHAPE)
    names = [pictures.class_names[label] for label in pictures.labels]
    assert names == [Path(path).parent.name for path in pictures.paths]
    assert not any("truncated" in path or "text" in path for path in pictures.paths)


def test_streaming_skips_broken_files_and_warns_once_for_each(folder):
    good = load_pictures(folder, image_shape=SHAPE).images
    truncated(folder / "daisy" / "1_truncated.jpg")
    (folder / "rose" / "text.jpg").write_text("no picture")
    batches = stream_pictures(folder, image_shape=SHAPE, batch_size=4, on_error="skip")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            streamed = np.concatenate([batch.numpy() for batch in batches])
            np.testing.assert_array_equal(streamed, good)
    messages = sorted(str(warning.message) for warning in caught)
    assert len(messages) == 2
    assert "1_truncated.jpg" in messages[0]
    assert "text.jpg" in messages[1]


def test_skipping_every_picture_raises(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("no picture")
    message = r"files: wanted at least one good picture, got 2 broken ones, the first '.*a\.jpg'"
    with pytest.raises(ValueError, match=message):
        load_pictures(tmp_path, image_shape=SHAPE, on_error="skip")
    batches = stream_pictures(tmp_path, image_shape=SHAPE, batch_size=2, on_error="skip")
    broken = pytest.raises(tf.errors.InvalidArgumentError, match=message)
    with pytest.warns(UserWarning, match="skipped"), broken:
        list(batches)


# Arguments.


@pytest.mark.parametrize(
    "image_shape",
    [(8, 8), (8, 8, 2), (8, 8, 4), (0, 8, 3), (8, -1, 3), (8, 8.0, 3), 8, None, "883"],
)
@pytest.mark.parametrize("function", [load_pictures, stream_pictures])
def test_invalid_image_shapes_raise(folder, function, image_shape):
    options = {"batch_size": 2} if function is stream_pictures else {}
    with pytest.raises(ValueError, match=r"image_shape: wanted \(height, width, channels\).* got"):
        function(folder, image_shape=image_shape, **options)


@pytest.mark.parametrize(
    "files, error, message",
    [
        ([], ValueError, "files: wanted at least one picture, got none"),
        (PictureFiles((), None, ()), ValueError, "files: wanted at least one picture, got none"),
        ([1, 2], TypeError, "files: wanted paths of pictures, got 1 among them"),
        (None, TypeError, "files: wanted a folder or paths of pictures, got None"),
    ],
)
def test_invalid_files_raise(files, error, message):
    with pytest.raises(error, match=message):
        load_pictures(files, image_shape=SHAPE)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"batch_size": 0}, ValueError, "batch_size: wanted a whole number, at least 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size: wanted a whole number, .* got 2.5"),
        ({"batch_size": True}, TypeError, "batch_size: wanted a whole number, .* got True"),
        ({"seed": -3}, ValueError, "seed: wanted a whole number, at least 0, got -3"),
        (
            {"on_error": "ignore"},
            ValueError,
            "on_error: .*'raise', 'skip', got 'ignore'",
        ),
    ],
)
def test_invalid_options_of_streams_raise(folder, options, error, message):
    with pytest.raises(error, match=message):
        stream_pictures(folder, image_shape=SHAPE, **{"batch_size": 2, **options})


def test_invalid_on_error_of_load_raises(folder):
    with pytest.raises(ValueError, match="on_error: wanted one of 'raise', 'skip', got None"):
        load_pictures(folder, image_shape=SHAPE, on_error=None)


# Real photographs.


@pytest.mark.realdata
def test_real_photographs():
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    flowers = Path(os.environ.get("TFPVAE_DATA", default)) / "flowers"
    if not flowers.is_dir():
        pytest.skip(f"no photographs in {flowers}; set TFPVAE_DATA")
    files = list_pictures(flowers)
    assert files.class_names == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    paths = files.paths[::99]
    pictures = load_pictures(paths, image_shape=(80, 80, 3))
    assert pictures.images.shape == (len(paths), 80, 80, 3)
    assert pictures.images.std(axis=(1, 2, 3)).min() > 5  # none is a plain color
    batches = stream_pictures(paths, image_shape=(80, 80, 3), batch_size=16)
    streamed = np.concatenate([batch.numpy() for batch in batches])
    np.testing.assert_array_equal(streamed, pictures.images)


def test_splits_are_the_pictures_of_the_split_files(tmp_path):
    for i in range(10):
        save(tmp_path / f"{i}.png", color=(25 * i, 0, 0))
    options = {"image_shape": (4, 4, 3)}
    parts = load_splits(tmp_path, fractions=(0.5, 0.3, 0.2), seed=3, **options)
    for part, files in zip(parts, split_pictures(tmp_path, (0.5, 0.3, 0.2), seed=3), strict=True):
        assert part.paths == files.paths
        np.testing.assert_array_equal(part.images, load_pictures(files, **options).images)
    with pytest.raises(ValueError, match="fractions: wanted three numbers above 0"):
        load_splits(tmp_path, fractions=(0.5, 0.5, 0), **options)
