"""Messages that refuse pixels say the line to write, and that line gives the right pixels."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from scipy import sparse

import tfpvae
from tfpvae import _checks
from tfpvae._checks import DataSpec
from tfpvae._checks import data as data_checks

SHAPE = (4, 5, 2)
SPEC = DataSpec(SHAPE)
LEVELS = np.random.default_rng(0).integers(0, 256, (6, *SHAPE)).astype(np.uint8)
LEVELS.flat[:2] = 0, 255
PIXELS = LEVELS / 255
BINARY = LEVELS > 127


def pixels_of_bits(bits, dtype=np.uint16):
    return np.rint(PIXELS * (2**bits - 1)).astype(dtype)


def message_for(images):
    with pytest.raises((TypeError, ValueError), match="images: .*wanted|images: uint8") as caught:
        _checks.array("images", images, SPEC)
    return str(caught.value)


ZEROED = "np.where(np.isfinite(images), images, 0)"
# Refused images, words of the message, the line that it says to write, and the pixels of that line.
ADVICE = {
    "16 bits": (pixels_of_bits(16), "Divide by 65535", "images / 65535", PIXELS),
    "16 bits in 32": (pixels_of_bits(16, np.int32), "Divide by 65535", "images / 65535", PIXELS),
    "16 bits in floats": (pixels_of_bits(16, float), "Divide by 65535", "images / 65535", PIXELS),
    "14 bits": (pixels_of_bits(14), "Divide by 16383, .* by 65535 if", "images / 16383", PIXELS),
    "12 bits": (pixels_of_bits(12), "Divide by 4095, the white of 12", "images / 4095", PIXELS),
    "12 bits in floats": (pixels_of_bits(12, "f4"), "Divide by 4095", "images / 4095", PIXELS),
    "10 bits": (pixels_of_bits(10), "Divide by 1023, the white of 10", "images / 1023", PIXELS),
    "8 bits in 16": (pixels_of_bits(8), "Divide by 255, or pass uint8", "images / 255", PIXELS),
    "8 bits in 64": (pixels_of_bits(8, int), "or pass uint8", "images.astype('uint8')", LEVELS),
    "8 bits in floats": (LEVELS * 1.0, "Divide by 255, or pass uint8", "images / 255", PIXELS),
    "4 bits": (
        pixels_of_bits(4, int),
        "Divide by 15 if .* by 255 if",
        "images / 15",
        pixels_of_bits(4) / 15,
    ),
    "4 bits in floats": (
        pixels_of_bits(4, float),
        "",
        "images / np.max(images)",
        pixels_of_bits(4) / 15,
    ),
    "24 bits": (pixels_of_bits(24, np.uint32), "", "images / np.max(images)", PIXELS),
    "24 bits in floats": (pixels_of_bits(24, float), "", "images / np.max(images)", PIXELS),
    "binary": (BINARY.astype(int), "are 0 and 1", "images.astype('float32')", BINARY),
    "binary bytes": (BINARY.astype("u1"), "largest here is 1", "images.astype('float32')", BINARY),
    "bool": (BINARY, "got bool. .* 0 and 1", "images.astype('float32')", BINARY),
    "1 and -1": (BINARY.astype("i1") * 2 - 1, "", "(images + 1) / 2", BINARY),
    "1 and -1 in floats": (BINARY * 2.0 - 1, "", "(images + 1) / 2", BINARY),
    "-1 to 1": (PIXELS * 2 - 1, "-1.0 to 1.0", "(images + 1) / 2", PIXELS),
    "-1/2 to 1/2": (PIXELS - 0.5, "-0.5 to 0.5", "images + 0.5", PIXELS),
    "signed bytes": (
        (LEVELS - 128.0).astype("i1"),
        "int8, values from -128 to 127",
        "(images.astype('float32') + 128) / 255",
        PIXELS,
    ),
    "signed bytes in floats": (LEVELS - 128.0, "", "(images + 128) / 255", PIXELS),
    "bytes about 0": (LEVELS - 127.5, "", "(images + 127.5) / 255", PIXELS),
    "standardized": (
        (PIXELS - 0.4) / 0.2,
        "Undo a standardization",
        "(images - np.min(images)) / np.ptp(images)",
        PIXELS,
    ),
    "overshot": (
        PIXELS * 1.05 - 0.02,
        "resampling",
        "np.clip(images, 0, 1)",
        (PIXELS * 1.05 - 0.02).clip(0, 1),
    ),
    "rounded": (PIXELS * 1.0001, "", "np.clip(images, 0, 1)", PIXELS),
    "with noise": (LEVELS + 0.5, "8 bits with noise", "images / 256", (LEVELS + 0.5) / 256),
    "a nan": (np.where(BINARY, np.nan, PIXELS), "nan to nan", ZEROED, PIXELS * ~BINARY),
    "infinite": (np.where(BINARY, np.inf, PIXELS), "0.0 to inf", ZEROED, PIXELS * ~BINARY),
}


def has_line(message, line):
    """Returns whether a message says a line of code, or the same in words."""
    if line == "images.astype('uint8')":
        return "pass uint8" in message
    return line in message or f"ivide by {line.removeprefix('images / ')}" in message


@pytest.mark.parametrize("kind", ADVICE)
def test_following_the_advice_gives_the_right_pixels(kind):
    images, words, line, expected = ADVICE[kind]
    message = message_for(images)
    assert re.search(words, message) and has_line(message, line), message
    pixels = eval(line)
    _checks.array("images", pixels, SPEC)
    np.testing.assert_allclose(pixels, expected, atol=6e-4)  # half a level of 10 bits


TENSOR_KINDS = ["16 bits", "8 bits in 64", "4 bits", "1 and -1", "-1 to 1", "standardized", "a nan"]


@pytest.mark.parametrize("kind", TENSOR_KINDS)
def test_following_the_advice_for_a_tensor_gives_the_right_pixels(kind):
    images, words, line, expected = ADVICE[kind]
    images = tf.constant(images)
    line = line.replace("images.astype('uint8')", "tf.cast(images, 'uint8')")
    assert re.search(words, message_for(images))
    pixels = eval(line)
    _checks.array("images", pixels, SPEC)
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [bool, np.int32, np.uint8])
def test_the_advice_for_a_binary_tensor_is_a_cast(dtype):
    images = tf.constant(BINARY.astype(dtype))
    line = re.search(r"tf\.cast\(.*?\)", message_for(images)).group()
    np.testing.assert_array_equal(eval(line), BINARY)
    _checks.array("images", eval(line), SPEC)


def test_16_bits_divided_by_255_once_or_twice_are_recognized():
    for images, times in (
        (pixels_of_bits(16) / 255, ""),
        (pixels_of_bits(16) / 255 / 255, " twice"),
    ):
        for dtype in (np.float32, np.float64):
            message = message_for(images.astype(dtype))
            assert f"look like 16 bits divided by 255{times}: divide the original" in message
            assert "by 65535." in message


def test_zeros_as_whole_numbers_are_taken_for_bytes():
    assert "Divide by 255, or pass uint8." in message_for(np.zeros([2, *SHAPE], int))


def test_the_message_says_how_many_nans_there_are_and_where_the_first_is(monkeypatch):
    monkeypatch.setattr(data_checks, "_VALUES_PER_CHUNK", 2 * PIXELS[0].size)
    images = PIXELS.astype("float32")
    images[3, 1, 2, 1] = images[4, 0, 0, 0] = images[5] = np.nan
    message = message_for(images)
    assert f"NaN are {2 + images[0].size} of {images.size} values" in message
    place = re.search(r"the first (images\[.*?\])\.$", message).group(1)
    assert place == "images[3, 1, 2, 1]" and np.isnan(eval(place))
    assert np.isfinite(images[:3]).all()


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, 255.0, r"0\.0 to 255\.0\. Divide by 255, or pass uint8\."),
        (np.float32(-1), np.float32(1), r"-1\.0 to 1\.0\. .*\(images \+ 1\) / 2"),
        (np.nan, np.nan, "nan to nan.*np.where"),
        (0.0, np.inf, "0.0 to inf.*np.where"),
    ],
)
def test_the_message_about_a_range_needs_no_array(low, high, words):
    message = _checks.out_of_range("x", low, high, SPEC)
    assert re.match(rf"x: wanted pixels in \[0, 1\], got values from {words}", message)


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (tf.uint16, "65535 if they have 16 bits, by 4095 if they have 12"),
        (tf.int32, "255 of 8 bits"),
        (tf.bool, r"tf\.cast\(images, 'float32'\)"),
        (tf.complex64, "$"),
    ],
)
def test_the_advice_for_a_symbolic_tensor_follows_from_its_dtype(dtype, words):
    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], dtype)], autograph=False)
    def traced(images):
        _checks.array("images", images, SPEC)

    message = rf"^images: wanted float pixels .* got {dtype.name}\..*{words}"
    with pytest.raises(TypeError, match=message):
        traced.get_concrete_function()


def test_the_advice_for_a_dataset_follows_from_its_first_batch():
    for images, words in (
        (pixels_of_bits(16), "uint16, .*Divide by 65535"),
        (BINARY, "bool.*tf.cast"),
    ):
        dataset = tf.data.Dataset.from_tensor_slices(images).batch(6)
        with pytest.raises(TypeError, match=f"x: wanted float pixels .* got {words}"):
            _checks.examples("x", dataset, SPEC)


def test_the_advice_for_rows_of_pixels_reshapes_them_to_images():
    images = PIXELS.reshape(len(PIXELS), -1)
    line = re.search(r"images\.reshape\(.*?\]\)", message_for(images)).group()
    np.testing.assert_array_equal(eval(line), PIXELS)


# Masks, variables, and containers that are not dense


@pytest.fixture(scope="module")
def vae():
    vae = tfpvae.build_vae("dense", image_shape=SHAPE)
    vae.compile(run_eagerly=True)
    return vae


@pytest.fixture(scope="module")
def conditional():
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, num_classes=3)
    vae.compile(run_eagerly=True)
    return vae


IMAGES = PIXELS.astype("float32")
LABELS = np.arange(6) % 3
MASKED = np.ma.masked_less(IMAGES, 0.2)

# The calls that take images: the argument that the message names, and the call.
ENTRIES = {
    "fit": ("x", lambda vae, x: vae.fit(x, verbose=0)),
    "targets": ("y", lambda vae, x: vae.fit(IMAGES, x, verbose=0)),
    "validation": ("validation_data", lambda vae, x: vae.fit(IMAGES, validation_data=x, verbose=0)),
    "validation, a tuple": (
        "validation_data",
        lambda vae, x: vae.fit(IMAGES, validation_data=(x,), verbose=0),
    ),
    "evaluate": ("x", lambda vae, x: vae.evaluate(x, verbose=0)),
    "predict": ("x", lambda vae, x: vae.predict(x, verbose=0)),
    "reconstruct": ("images", lambda vae, x: vae.reconstruct(x)),
    "elbo": ("images", lambda vae, x: vae.elbo(x)),
    "log_likelihood": ("images", lambda vae, x: vae.log_likelihood(x, 2)),
    "loss_terms": ("images", lambda vae, x: vae.loss_terms(x)),
    "posterior_means": ("images", tfpvae.evaluation.posterior_means),
    "first_non_finite": ("images", tfpvae.evaluation.first_non_finite),
    "start_images": (
        "start_images",
        lambda _, x: tfpvae.build_vae("dense", image_shape=SHAPE, start_images=x),
    ),
    "vampprior": (
        "start_images",
        lambda _, x: tfpvae.build_prior(
            "vampprior", latent_dim=2, image_shape=SHAPE, num_components=2, start_images=x
        ),
    ),
    "pixel_mean": (
        "pixel_mean",
        lambda _, x: tfpvae.build_vae("dense", image_shape=SHAPE, pixel_mean=x[0]),
    ),
    "batches": ("images", lambda _, x: tfpvae.datasets.batches(x, batch_size=2)),
    "binarize": ("images", lambda _, x: tfpvae.datasets.binarize(x, seed=0)),
    "mosaic": ("images", lambda _, x: tfpvae.figures.mosaic(x[..., :1])),
}


@pytest.mark.spread(9)
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_method_refuses_masked_images_and_takes_them_filled(entry, vae):
    argument, call = ENTRIES[entry]
    name = "pixel_mean" if argument == "pixel_mean" else "images"
    message = rf"^{argument}: wanted an array without gaps, got a masked array, \d+ of \d+ values "
    with pytest.raises(TypeError, match=rf"{message}hidden\. Write {name}\.filled\(0\)\.$"):
        call(vae, MASKED)
    call(vae, MASKED.filled(0))  # as the message says


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_method_takes_a_variable_and_a_mask_that_hides_nothing(entry, vae):
    _, call = ENTRIES[entry]
    call(vae, np.ma.array(IMAGES))
    call(vae, tf.Variable(IMAGES))


@pytest.mark.parametrize("container", [tf.Variable, np.ma.array])
@pytest.mark.parametrize("images", [IMAGES, LEVELS], ids=["floats", "bytes"])
def test_a_variable_or_a_mask_that_hides_nothing_scores_as_its_values(container, images, vae):
    np.testing.assert_array_equal(vae.elbo(container(images), seed=0), vae.elbo(images, seed=0))
    np.testing.assert_array_equal(vae.reconstruct(container(images)), vae.reconstruct(images))
    np.testing.assert_array_equal(
        vae.predict(container(images), verbose=0), vae.reconstruct(images)
    )


TO_DENSE = {
    "ragged": (tf.RaggedTensor.from_tensor, "images.to_tensor()"),
    "sparse": (tf.sparse.from_dense, "tf.sparse.to_dense(images)"),
}


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry not in ("pixel_mean", "mosaic")]
)
@pytest.mark.parametrize("kind", TO_DENSE)
def test_every_method_refuses_ragged_and_sparse_images(entry, kind, vae):
    (argument, call), (make, line) = ENTRIES[entry], TO_DENSE[kind]
    images = make(IMAGES)
    message = rf"^{argument}: wanted an array without gaps, got a \w+Tensor\. Write "
    with pytest.raises(TypeError, match=rf"{message}{re.escape(line)}\.$"):
        call(vae, images)
    np.testing.assert_array_equal(eval(line), IMAGES)


@pytest.mark.parametrize("kind", TO_DENSE)
def test_following_the_advice_for_a_ragged_or_sparse_dataset_trains(kind, vae):
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES).batch(3).map(TO_DENSE[kind][0])
    with pytest.raises(TypeError, match="x: wanted an array without gaps, got a ") as caught:
        vae.fit(dataset, verbose=0)
    _, _, line = str(caught.value)[:-1].partition("Write ")
    assert np.isfinite(vae.fit(eval(line), verbose=0).history["loss"]).all()


def test_the_advice_for_a_scipy_matrix_is_to_make_it_dense_and_then_to_reshape_it():
    images = sparse.csr_matrix(PIXELS.reshape(6, -1))
    assert "got a csr_matrix. Write images.toarray()." in message_for(images)
    assert "images.reshape" in message_for(images.toarray())


# Labels and weights


MASKED_LABELS = np.ma.masked_equal(LABELS, 1)
LABELED = {
    "fit": lambda vae, x, y: vae.fit(x, y, verbose=0),
    "a pair": lambda vae, x, y: vae.evaluate([x, y], verbose=0),
    "validation": lambda vae, x, y: vae.fit(IMAGES, LABELS, validation_data=(x, y), verbose=0),
    "predict": lambda vae, x, y: vae.predict([x, y], verbose=0),
    "reconstruct": lambda vae, x, y: vae.reconstruct(x, labels=y),
    "elbo": lambda vae, x, y: vae.elbo(x, labels=y),
    "sample": lambda vae, x, y: vae.sample(int(x.shape[0]), labels=y),
    "batches": lambda _, x, y: tfpvae.datasets.batches(x, y, batch_size=2),
}


@pytest.mark.parametrize("entry", LABELED)
def test_the_advice_for_masked_labels_leaves_out_their_images(entry, conditional):
    call = LABELED[entry]
    with pytest.raises(TypeError, match="labels: wanted an array without gaps") as caught:
        call(conditional, IMAGES, MASKED_LABELS)
    message, images, labels = str(caught.value), IMAGES, MASKED_LABELS
    keep = eval(re.search(r"keep = (.*)\.$", message).group(1))
    assert "labels[keep] and images[keep]" in message and keep.sum() == 4
    call(conditional, images[keep], labels[keep])  # as the message says
    call(conditional, tf.Variable(IMAGES), tf.Variable(LABELS))


def test_the_advice_for_masked_weights_gives_their_images_no_weight(vae):
    def score(weights):
        return vae.evaluate(IMAGES, sample_weight=weights, verbose=0)

    sample_weight = np.ma.array(np.ones(6), mask=[0, 0, 0, 0, 1, 1])
    with pytest.raises(TypeError, match="sample_weight: wanted an array without gaps") as caught:
        score(sample_weight)
    line = re.search(r"Write (.*)\.$", str(caught.value)).group(1)
    np.testing.assert_array_equal(eval(line), [1, 1, 1, 1, 0, 0])
    for weights in (eval(line), np.ma.array(np.ones(6)), tf.Variable(np.ones(6))):
        assert np.isfinite(score(weights)).all()


def test_a_masked_batch_of_a_sequence_is_refused(vae):
    class Batches(tf_keras.utils.Sequence):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return MASKED

    with pytest.raises(TypeError, match="x: wanted an array without gaps, got a masked array"):
        vae.fit(Batches(), verbose=0)


def test_dense_arrays_are_not_copied():
    for value in (IMAGES, tf.constant(IMAGES), None, [1], "text"):
        assert _checks.as_dense("x", value) is value
    assert np.shares_memory(_checks.as_dense("x", np.ma.array(IMAGES, copy=False)), IMAGES)
