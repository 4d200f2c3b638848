"""Typical mistakes: the message names the argument and the fix."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from PIL import Image

import tfpvae

RNG = np.random.default_rng(0)
IMAGES = RNG.random((4, 28, 28, 1)).astype("float32")
BYTES = (255 * IMAGES).astype(np.uint8)
PICTURE = Image.fromarray(BYTES[0, ..., 0])

NAMES = [
    ("architecture", "Dense", "dense"),
    ("architecture", "mlp", "dense"),
    ("architecture", "mnist", "dense"),
    ("architecture", "flower", "flowers"),
    ("architecture", "kmnst", "kmnist"),
    ("posterior", "gaussian", "independent_normal"),
    ("posterior", "normal", "independent_normal"),
    ("posterior", "diag", "independent_normal"),
    ("posterior", "full", "multivariate_normal_tril"),
    ("posterior", "mvn", "multivariate_normal_tril"),
    ("posterior", "low-rank", "low_rank"),
    ("posterior", "IAF", "iaf"),
    ("posterior", "ae", "deterministic"),
    ("prior", "vamp", "vampprior"),
    ("prior", "gmm", "mixture"),
    ("prior", "maf", "flow"),
    ("prior", "standard", "standard_normal"),
    ("prior", "Standard Normal", "standard_normal"),
    ("likelihood", "mse", "normal"),
    ("likelihood", "gaussian", "normal"),
    ("likelihood", "bce", "bernoulli"),
    ("likelihood", "binary_crossentropy", "bernoulli"),
    ("likelihood", "discretised_logistic", "discretized_logistic"),
    ("likelihood", "continuous-bernoulli", "continuous_bernoulli"),
    ("objective", "ELBO", "elbo"),
    ("objective", "IWAE", "iwae"),
    ("precision", "bf16", "bfloat16"),
    ("precision", "mixed_bfloat16", "bfloat16"),
]

KEYWORDS = [
    ("latent_dims", "latent_dim"),
    ("z_dim", "latent_dim"),
    ("latent_size", "latent_dim"),
    ("encoded_size", "latent_dim"),
    ("beta", "kl_weight"),
    ("kl_weights", "kl_weight"),
    ("input_shape", "image_shape"),
    ("image_size", "image_shape"),
    ("priors", "prior"),
    ("n_classes", "num_classes"),
    ("loss", "objective"),
    ("mixed_precision", "precision"),
    ("encoder_backbones", "encoder_backbone"),
    ("pixel_means", "pixel_mean"),
]


class LikeTorch:
    """An array with the dtype and the methods of a torch tensor."""

    shape, dtype = IMAGES.shape, "torch.float32"

    def numpy(self) -> np.ndarray:
        return IMAGES


class LikePandas:
    """A table with the method of a DataFrame that returns an array."""

    def __init__(self, array: np.ndarray):
        self.array = array

    def to_numpy(self) -> np.ndarray:
        return self.array


DATA = {
    "a list of images": ([*IMAGES], "np.stack("),
    "nested lists": (IMAGES.tolist(), "np.stack("),
    "a picture": (PICTURE, "np.asarray(picture)"),
    "rows with names": ({"image": IMAGES, "label": [0, 1, 2, 3]}, "Write data['image'], or"),
    "a list of pictures": ([PICTURE, PICTURE], "np.stack("),
    "a folder": ("pictures", "tfpvae.datasets.load_pictures("),
    "a torch tensor": (LikeTorch(), "images.numpy()"),
    "a DataFrame of words": (LikePandas(np.array([["a", 1.0]], object)), "pandas.get_dummies("),
    "a DataFrame of pixels": (LikePandas(IMAGES.reshape(4, -1)), "images.reshape([-1, 28, 28, 1])"),
    "channels first": (np.moveaxis(IMAGES, -1, 1), "np.moveaxis(images, 1, -1)"),
    "rows of pixels": (IMAGES.reshape(4, -1), "images.reshape([-1, 28, 28, 1])"),
    "no channel axis": (IMAGES[..., 0], "images[..., None]"),
    "one image": (IMAGES[0], "images[None]"),
    "another size": (RNG.random((4, 32, 32, 1)), "image_shape=(32, 32, 1)"),
    "color": (RNG.random((4, 28, 28, 3)), "keepdims=True"),
    "pixels from -1 to 1": (2 * IMAGES - 1, "(images + 1) / 2"),
    "pixels from 0 to 255": (255 * IMAGES, "Divide by 255, or pass uint8"),
    "16 bits": ((65535 * IMAGES).astype(np.uint16), "Divide by 65535"),
    "12 bits": ((4095 * IMAGES).astype(np.uint16), "Divide by 4095"),
    "int64": ((255 * IMAGES).astype(int), "Divide by 255, or pass uint8"),
    "bool": (IMAGES > 0.5, "images.astype('float32')"),
    "binary bytes": ((IMAGES > 0.5).astype(np.uint8), "images.astype('float32')"),
    "a NaN": (np.where(IMAGES.max() == IMAGES, np.nan, IMAGES), "NaN are 1 of 3136 values"),
    "labels": (np.arange(4), "num_classes="),
    "a ragged tensor": (tf.RaggedTensor.from_tensor(IMAGES), "to_tensor()"),
    "a masked array": (np.ma.masked_greater(IMAGES, 0.5), "filled(0)"),
}


@pytest.mark.parametrize(("argument", "name", "nearest"), NAMES)
def test_the_message_names_the_name_that_was_meant(argument, name, nearest):
    arguments = {"architecture": "dense"} | {argument: name}
    with pytest.raises(ValueError, match=f"^{argument}: .* Did you mean '{nearest}'\\?"):
        tfpvae.build_vae(**arguments)


@pytest.mark.parametrize(("keyword", "nearest"), KEYWORDS)
def test_the_message_names_the_argument_that_was_meant(keyword, nearest):
    with pytest.raises(TypeError, match=f"^{keyword}: .* Did you mean '{nearest}'\\?"):
        tfpvae.build_vae("dense", **{keyword: 1})


@pytest.fixture(scope="module")
def vae() -> tfpvae.VAE:
    vae = tfpvae.build_vae("dense")
    vae.compile()
    return vae


@pytest.mark.parametrize("mistake", DATA)
@pytest.mark.parametrize(("method", "argument"), [("fit", "x"), ("encode", "images")])
def test_the_message_names_the_line_that_converts_the_data(vae, mistake, method, argument):
    data, fix = DATA[mistake]
    options = {"verbose": 0} if method == "fit" else {}
    with pytest.raises((TypeError, ValueError)) as error:
        getattr(vae, method)(data, **options)
    message = str(error.value)
    assert message.startswith(f"{argument}: ") and fix in message, message
    assert vae.optimizer.iterations.numpy() == 0


def test_a_gray_image_shape_without_channels_is_completed_in_the_message():
    with pytest.raises(ValueError, match=r"image_shape: .* \(28, 28, 1\)\."):
        tfpvae.build_vae("dense", image_shape=(28, 28))


def nll(images, mean):
    """A metric by the name of one that is reported."""
    return tf.reduce_mean((images - mean) ** 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss_weights": [0.5]}, r"wanted None, got \[0.5\]. kl_weight weighs"),
        ({"metrics": ["mse", "kl"]}, "wanted names other than loss, nll, kl, elbo, .* got 'kl'"),
        ({"weighted_metrics": [tf_keras.metrics.MeanSquaredError("loss")]}, ".* got 'loss'"),
        ({"metrics": [nll]}, ".* got 'nll'"),
    ],
)
def test_arguments_of_compile_that_keras_would_take_wrongly_are_refused(vae, arguments, message):
    with pytest.raises(ValueError, match=f"^{next(iter(arguments))}: {message}"):
        vae.compile(**arguments)
