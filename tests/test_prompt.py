"""Representations of objects at a prompt: one short and true line."""

import base64
import inspect
import io
import math
import re

import numpy as np
import pytest
import tensorflow_probability as tfp
from PIL import Image

import tfpvae
from tfpvae import callbacks, datasets, layers, priors, saving, schedules

IMAGES = np.zeros([4, 6, 5, 1], np.float32)

# Objects whose line makes them again.
CALLS = {
    "LinearWarmup(num_steps=5)": schedules.LinearWarmup(5),
    "LinearWarmup(num_steps=5, weight=0.5)": schedules.LinearWarmup(5, weight=0.5),
    "LinearWarmup(num_epochs=5)": schedules.LinearWarmup(num_epochs=5),
    "CyclicalWarmup(num_steps=4, ramp=1.0)": schedules.CyclicalWarmup(4, ramp=1),
    "IndependentNormal(event_shape=(2,))": layers.IndependentNormal(2),
    "IndependentNormal(event_shape=(2,), convert_to_tensor_fn='mean', scale_floor=0.1)": (
        layers.IndependentNormal(2, convert_to_tensor_fn="mean", scale_floor=0.1)
    ),
    "MultivariateNormalTriL(event_size=3)": layers.MultivariateNormalTriL(3),
    "NormalLikelihood(event_shape=(6, 5, 1), scale=0.2)": (
        layers.NormalLikelihood((6, 5, 1), scale=0.2)
    ),
    "OneHot(3)": layers.OneHot(3),
    "Flow(latent_dim=2, num_layers=1)": tfpvae.build_prior("flow", latent_dim=2, num_layers=1),
    "VampPrior(latent_dim=2, image_shape=(6, 5, 1), num_components=3)": (
        tfpvae.build_prior("vampprior", latent_dim=2, image_shape=(6, 5, 1), num_components=3)
    ),
    "SampleMosaic(folder='mosaics', num_images=9)": (
        callbacks.SampleMosaic("mosaics", num_images=9)
    ),
}
PUBLIC = {
    value
    for room in (tfpvae, *vars(tfpvae).values())
    if inspect.ismodule(room) and room.__name__.startswith("tfpvae")
    for name in getattr(room, "__all__", ())
    if inspect.isclass(value := getattr(room, name))
}
NAMES = {name: getattr(room, name) for room in (callbacks, layers, schedules) for name in dir(room)}


@pytest.mark.parametrize("line", CALLS)
def test_the_line_is_the_call_that_makes_the_object(line):
    instance = CALLS[line]
    assert repr(instance) == line
    names = NAMES | {name: type(CALLS[line]) for name in ("Flow", "VampPrior")}
    again = eval(line, names)
    if isinstance(instance, callbacks.SampleMosaic):
        for name in ("folder", "every", "unit", "num_images", "seed"):
            assert getattr(again, name) == getattr(instance, name)
    elif isinstance(instance, tfpvae.priors.build.tfd.Distribution):
        left_out = ("dtype", "self", "__class__")
        ours, theirs = (
            {k: v for k, v in it.parameters.items() if k not in left_out}
            for it in (instance, again)
        )
        assert ours == theirs
    else:
        left_out = ("name",)
        ours, theirs = (
            {k: v for k, v in it.get_config().items() if k not in left_out}
            for it in (instance, again)
        )
        assert ours == theirs


@pytest.mark.parametrize("public", sorted(PUBLIC, key=str), ids=lambda it: it.__name__)
def test_no_public_class_shows_an_address(public):
    assert public.__repr__ is not object.__repr__


def unit_normal(loc):
    return tfp.distributions.MultivariateNormalDiag(loc)


@pytest.mark.parametrize(
    ("instance", "line"),
    [
        (
            layers.MixtureSameFamily(2, layers.IndependentNormal(3)),
            "MixtureSameFamily(num_components=2, component_layer="
            "IndependentNormal(event_shape=(3,)))",
        ),
        (layers.VariableLayer([2, 3]), "VariableLayer(shape=[2, 3], dtype='float32')"),
        (
            layers.DensePath([2, 3], hidden_units=[8]),
            "DensePath(sizes=(2, 3), hidden_units=(8,), context_size=64)",
        ),
        (
            datasets.PictureFiles(("a/1.png", "b/1.png"), np.array([0, 1]), ("a", "b")),
            "PictureFiles(2 paths, 2 classes)",
        ),
        (callbacks.EarlyStopping(patience=3), "EarlyStopping(monitor='val_loss', patience=3)"),
        (callbacks.StopOnNonFinite(), "StopOnNonFinite()"),
        (callbacks.StopOnNonFinite(IMAGES), "StopOnNonFinite(images (4, 6, 5, 1))"),
        (
            tfpvae.datasets.draw_flowers(3, image_shape=(8, 8, 3)),
            "Pictures(uint8 images [3, 8, 8, 3], 6 classes, 0 paths)",
        ),
    ],
    ids=lambda it: type(it).__name__,
)
def test_the_line_names_what_matters(instance, line):
    assert repr(instance) == line


@pytest.mark.parametrize("term", [layers.KLDivergenceRegularizer, layers.KLDivergenceAddLoss])
def test_a_kl_term_shows_its_prior_and_weight(term):
    prior = priors.build_prior("standard_normal", latent_dim=2)
    line = f"{term.__name__}(distribution_b={prior!r}, weight=LinearWarmup(num_steps=5))"
    assert repr(term(prior, weight=schedules.LinearWarmup(5))) == line


def test_a_layer_of_a_function_shows_its_name():
    with pytest.warns(UserWarning, match="make_distribution_fn"):
        layer = layers.DistributionLambda(unit_normal)
    assert repr(layer) == "DistributionLambda(make_distribution_fn=unit_normal)"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_notebook_shows_the_first_pictures_in_a_row(channels):
    pictures = datasets.draw_flowers(12, image_shape=(200, 100, channels), seed=0)
    line, data = re.fullmatch(
        r'<p>(.*)</p><img alt="the first 10" src="data:image/png;base64,(.*)">',
        pictures._repr_html_(),
    ).groups()
    assert line == repr(pictures)
    row = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    small = pictures.images[:, ::3, ::3]
    width = small.shape[2] + 2
    assert row.shape[:2] == (67, 10 * width)
    np.testing.assert_array_equal(row[:, 9 * width : -2], small[9, ..., :].squeeze())
    none = pictures._replace(images=pictures.images[:0])
    assert none._repr_html_() == f"<p>{none!r}</p>"


def test_a_notebook_shows_a_card_as_markdown():
    card = saving.ModelCard(data="80 flowers", scores={"ELBO": [-2.0, -4.0]})
    text = f"**Model card**\n\ndata: 80 flowers\n\n{card.scores_table()}"
    assert card._repr_markdown_() == text
    assert saving.ModelCard(title="flowers")._repr_markdown_() == "**flowers**"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {},
            "images [6, 5, 1], latent_dim 3, posterior IndependentNormal, prior IndependentNormal, "
            "likelihood IndependentBernoulli",
        ),
        (
            {"posterior": "deterministic"},
            "images [6, 5, 1], latent_dim 3, posterior Deterministic, prior none, "
            "likelihood IndependentBernoulli",
        ),
        (
            {
                "num_classes": 4,
                "posterior": "multivariate_normal_tril",
                "prior": "normal",
                "likelihood": "normal",
                "kl_weight": 0.5,
                "objective": "iwae",
                "num_samples": 5,
            },
            "images [6, 5, 1], latent_dim 3, posterior MultivariateNormalTriL, "
            "prior IndependentNormal (trainable), likelihood NormalLikelihood, num_classes 4, "
            "objective iwae, num_samples 5, kl_weight 0.5",
        ),
    ],
    ids=["default", "autoencoder", "settings"],
)
def test_a_vae_shows_its_parts_in_a_line_and_in_a_table(options, expected):
    vae = tfpvae.build_vae("dense", image_shape=(6, 5, 1), latent_dim=3, **options)
    count = sum(math.prod(weight.shape) for weight in vae.weights)
    assert repr(vae) == f"<VAE 'dense': {expected}, {count:,} parameters>"
    table = vae._repr_html_()
    # A row for each part and one for the parameters; the image shape has two commas of its own.
    assert table.count("<tr>") == expected.count(", ") - 2 + 2
    assert f">{count:,}</td>" in table and "likelihood" in table
    lines = []
    vae.summary(print_fn=lines.append)
    assert lines[0] == repr(vae)
    assert any(f"Total params: {count}" in line for line in lines)


def test_the_distributions_of_the_networks_are_named_after_their_layers():
    vae = tfpvae.build_vae("dense", image_shape=(6, 5, 1), latent_dim=3)
    posterior = vae.encoder(IMAGES)
    expected = "<IndependentNormal batch_shape=[4] event_shape=[3] dtype=float32>"
    assert repr(posterior) == str(posterior) == expected
    likelihood = "<IndependentBernoulli batch_shape=[4] event_shape=[6, 5, 1] dtype=float32>"
    assert repr(vae.decoder(posterior.mean())) == likelihood
