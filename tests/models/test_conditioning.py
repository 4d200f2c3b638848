"""Conditional VAEs against NumPy, a closed form, and images one at a time."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests import reference
from tfpvae import layers
from tfpvae.models import estimators

tfkl = tf_keras.layers

SHAPE = (6, 5, 1)
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(12, *SHAPE)).astype("float32")
LABELS = np.arange(12) % 4


def small_vae(**overrides) -> tfpvae.VAE:
    options = {"image_shape": SHAPE, "num_classes": 4} | overrides
    return tfpvae.build_vae("dense", **options)


# The networks


@pytest.mark.parametrize("label_embedding", [None, 3])
def test_both_networks_agree_with_numpy(label_embedding):
    vae = small_vae(label_embedding=label_embedding)
    codes = np.eye(4)[LABELS]
    hidden, hidden_bias, *embedding, head, head_bias = vae.encoder.get_weights()
    features = np.maximum(IMAGES.reshape(12, -1) @ hidden + hidden_bias, 0)
    expected = np.c_[features, np.linalg.multi_dot([codes, *embedding, np.eye(len(head) - 256)])]
    posterior = vae.encoder([IMAGES, LABELS])
    result = np.c_[posterior.mean(), posterior.distribution.scale]
    raw = expected @ head + head_bias
    raw[:, 2:] = reference.softplus(raw[:, 2:]) + 1e-5
    np.testing.assert_allclose(result, raw, rtol=1e-4, atol=1e-5)

    z = RNG.normal(size=(12, 2)).astype("float32")
    *embedding, hidden, hidden_bias, last, last_bias = vae.decoder.get_weights()
    codes = np.linalg.multi_dot([codes, *embedding, np.eye(len(hidden) - 2)])
    logits = np.maximum(np.c_[z, codes] @ hidden + hidden_bias, 0) @ last + last_bias
    expected = reference.bernoulli_log_prob(IMAGES, logits.reshape(IMAGES.shape))
    result = vae.decoder([z, LABELS]).log_prob(IMAGES)
    np.testing.assert_allclose(result, expected, rtol=1e-4)


@pytest.mark.spread(4)
@pytest.mark.parametrize("architecture", tfpvae.list_architectures())
def test_every_architecture_can_be_conditional(architecture):
    if architecture == "ladder":  # refuses labels
        return
    vae = tfpvae.build_vae(architecture, image_shape=(49, 50, 1), num_classes=3)
    likelihood = vae([np.zeros([2, 49, 50, 1], "float32"), np.array([0, 2])])
    assert likelihood.batch_shape == [2]
    assert vae.num_classes == 3


def test_a_vae_without_classes_has_no_layers_for_labels():
    vae = small_vae(num_classes=None)
    assert vae.num_classes is None
    assert vae.encoder.input_shape == (None, *SHAPE)
    names = [layer.name for layer in (*vae.encoder.layers, *vae.decoder.layers)]
    assert not any(name.startswith(("labels", "one_hot", "concatenate")) for name in names)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_one_hot_encodes_labels_and_refuses_others(dtype):
    layer = layers.OneHot.from_config(layers.OneHot(3).get_config())
    result = layer(tf.constant([2, 0], dtype))
    np.testing.assert_array_equal(result, [[0, 0, 1], [1, 0, 0]])
    for labels in ([3], [-1]) if dtype != "uint8" else ([3],):
        for call in (layer, tf.function(layer)):
            with pytest.raises(tf.errors.InvalidArgumentError, match="labels: wanted whole numb"):
                call(tf.constant(labels, dtype))


# A closed form: probabilistic PCA with a mean per class


def linear_gaussian(data, offsets) -> tuple[tfpvae.VAE, np.ndarray, np.ndarray]:
    """Returns a VAE whose posterior is the true one, and the mean and covariance of p(x|y)."""
    mean, weights, variance = reference.probabilistic_pca(data, 2)
    projection, covariance = reference.probabilistic_pca_posterior(weights, variance)
    (classes, pixels), shape = offsets.shape, (len(mean), 1, 1)

    def network(size, layer, kernel, bias):
        inputs = [tf_keras.Input(size), tf_keras.Input((), dtype="int32")]
        code = layers.OneHot(classes)(inputs[1])
        dense = tfkl.Dense(layer.params_size(np.prod(layer.output_shape[1:])))
        model = tf_keras.Model(
            inputs, layer(dense(tfkl.Concatenate()([tfkl.Flatten()(inputs[0]), code])))
        )
        dense.set_weights([kernel, bias])
        return model

    raw = np.log(np.expm1(variance**0.5))
    kernel = np.concatenate([np.r_[weights.T, offsets], np.zeros((2 + classes, pixels))], axis=1)
    likelihood = layers.IndependentNormal(shape, "mean", scale_floor=0.0)
    decoder = network((2,), likelihood, kernel, np.r_[mean, np.full(pixels, raw)])
    kl = layers.KLDivergenceRegularizer(tfpvae.build_prior(latent_dim=2))
    posterior = layers.IndependentNormal(2, scale_floor=0.0, activity_regularizer=kl)
    kernel = np.r_[projection.T, -offsets @ projection.T]
    kernel = np.concatenate([kernel, np.zeros((pixels + classes, 2))], axis=1)
    bias = np.r_[-projection @ mean, np.log(np.expm1(np.diag(covariance) ** 0.5))]
    encoder = network(shape, posterior, kernel, bias)
    return tfpvae.VAE(encoder, decoder), mean, weights @ weights.T + variance * np.eye(pixels)


@pytest.mark.spread(2)
@pytest.mark.parametrize("num_samples", [5, 50])  # four images per pass, and one
def test_with_the_exact_posterior_every_bound_equals_the_log_likelihood_given_the_class(
    tolerance, num_samples, monkeypatch
):
    monkeypatch.setattr(estimators, "_PIXELS_PER_PASS", 8 * 20)  # 20 rows at a time
    rng = np.random.default_rng(0)
    data = 0.5 + rng.normal(size=(400, 2)) @ rng.normal(size=(2, 8)) * 0.1
    data += 0.05 * rng.normal(size=data.shape)
    offsets = rng.normal(size=(3, 8)) * 0.2
    vae, mean, covariance = linear_gaussian(data, offsets)
    images = np.clip(data[:9], 0, 1).reshape(9, 8, 1, 1).astype(tf_keras.backend.floatx())
    for labels in (np.arange(9) % 3, 2):
        centered = images.reshape(9, 8) - offsets[labels]
        expected = reference.gaussian_log_density(centered, mean, covariance)
        draws = {"num_samples": num_samples, "seed": 1, "labels": labels}
        np.testing.assert_allclose(vae.log_likelihood(images, **draws), expected, rtol=tolerance)
        np.testing.assert_allclose(vae.elbo(images, **draws), expected, rtol=tolerance)


# Data that fit takes


def _batches(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(5)


class _Batches(tf_keras.utils.Sequence):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return IMAGES[4 * index : 4 * index + 4], LABELS[4 * index : 4 * index + 4]


FORMS = {
    "arrays": lambda: (IMAGES, LABELS),
    "bytes": lambda: (IMAGES, LABELS.astype(np.uint8)),
    "a list": lambda: ([IMAGES, LABELS],),
    "dataset": lambda: (_batches(IMAGES, LABELS),),
    "dataset with weights": lambda: (_batches(IMAGES, LABELS, np.ones(12)),),
    "sequence": lambda: (_Batches(),),
}


@pytest.mark.spread(3)
@pytest.mark.parametrize("form", FORMS)
def test_fit_and_evaluate_take_labels_in_every_form(form):
    vae = small_vae(posterior="deterministic")
    vae.compile(run_eagerly=form != "arrays")
    inputs = FORMS[form]()
    validation = tuple(inputs if len(inputs) == 2 else inputs[0]) if form == "a list" else inputs[0]
    validation = inputs if len(inputs) == 2 else validation
    history = vae.fit(*inputs, validation_data=validation, verbose=0).history
    expected = -np.mean(vae([IMAGES, LABELS]).log_prob(IMAGES))
    result = vae.evaluate(*inputs, verbose=0, return_dict=True)
    np.testing.assert_allclose(result["nll"], expected, rtol=1e-5)
    np.testing.assert_allclose(history["val_nll"][-1], expected, rtol=1e-5)


@pytest.mark.parametrize("form", ["arrays", "a list"])
def test_sample_weights_apply_to_images_with_labels(form):
    vae = small_vae(posterior="deterministic")
    vae.compile(run_eagerly=True)
    weights = np.where(LABELS == 1, 2.0, 0.0)
    options = {"sample_weight": weights, "verbose": 0, "return_dict": True}
    result = vae.evaluate(*FORMS[form](), **options)
    nll = -vae([IMAGES, LABELS]).log_prob(IMAGES)
    np.testing.assert_allclose(result["nll"], np.mean(weights * nll), rtol=1e-5)


def test_a_validation_split_with_several_draws():
    vae = small_vae(objective="dreg", num_samples=3, dequantize=True, likelihood="normal")
    vae.compile()
    history = vae.fit(IMAGES, LABELS, validation_split=0.25, epochs=2, verbose=0).history
    assert np.isfinite([*history.values()]).all()


def test_samples_of_a_class_look_like_the_class():
    """Class 0 is dark and class 1 bright, so that z need not encode it."""
    labels = np.arange(64) % 2
    images = np.where(labels == 1, 0.9, 0.1).reshape(-1, 1, 1, 1) * np.ones([64, *SHAPE])
    vae = small_vae(num_classes=2)
    vae.compile(tf_keras.optimizers.Adam(0.01))
    vae.fit(images.astype("float32"), labels, epochs=60, verbose=0)
    for label, gray in ((0, 0.1), (1, 0.9)):
        np.testing.assert_allclose(vae.sample(20, seed=0, labels=label), gray, atol=0.05)
    assert np.mean(vae.kl_divergence(vae.encoder([images, labels]))) < 0.1
    right, wrong = (vae.elbo(images, seed=0, labels=y) for y in (labels, 1 - labels))
    assert np.min(right - wrong) > 10


# Reconstructions, samples and scores


def test_every_image_has_its_own_label_also_when_computed_in_several_passes(monkeypatch):
    vae = small_vae(posterior="deterministic")
    one_by_one = [vae.reconstruct(IMAGES[i : i + 1], labels=LABELS[i]) for i in range(12)]
    one_by_one = np.concatenate(one_by_one)
    for result in (
        vae.reconstruct(IMAGES, labels=LABELS),
        vae.reconstruct(IMAGES, 5, labels=[*map(int, LABELS)]),
        vae.reconstruct(_batches(IMAGES, LABELS)),
        vae.predict([IMAGES, LABELS], verbose=0),
        vae([IMAGES, LABELS]).mean(),
    ):
        np.testing.assert_allclose(result, one_by_one, rtol=1e-5)
    vae = small_vae()
    at_once = {label: vae.sample(12, seed=3, labels=label) for label in range(4)}
    monkeypatch.setattr(estimators, "_PIXELS_PER_PASS", 7 * 30)  # 7 rows at a time
    mixed = vae.sample(12, seed=3, labels=LABELS)
    for i, label in enumerate(LABELS):
        np.testing.assert_allclose(mixed[i], at_once[label][i], rtol=1e-5)


def test_bits_per_dim_use_the_labels():
    vae = small_vae(likelihood="discretized_logistic")
    scores = vae.log_likelihood(IMAGES, 5, seed=0, labels=LABELS)
    result = vae.bits_per_dim(IMAGES, 5, seed=0, labels=LABELS)
    np.testing.assert_allclose(result, -scores / (30 * np.log(2)), rtol=1e-6)


def test_a_mosaic_shows_the_classes_in_turn(tmp_path):
    vae = small_vae()
    vae.compile(run_eagerly=True)
    mosaic = tfpvae.callbacks.SampleMosaic(tmp_path, num_images=6)
    vae.fit(IMAGES, LABELS, verbose=0, callbacks=[mosaic])
    expected = vae.sample(6, seed=0, labels=[0, 1, 2, 3, 0, 1]).numpy()
    np.testing.assert_array_equal(mosaic.samples[1], np.round(255 * expected).astype(np.uint8))


def test_start_values_ignore_the_labels():
    network = tfpvae.build_encoder(
        image_shape=SHAPE, latent_dim=3, backbone="dense", num_classes=4, start_images=IMAGES
    )
    means = np.stack([network([IMAGES, np.full(12, label)]).mean() for label in range(4)])
    np.testing.assert_array_equal(means[0], means[1])  # labels start with weights of 0
    np.testing.assert_allclose(np.cov(means[0].T, bias=True), np.eye(3), atol=1e-3)
    decoder = small_vae(pixel_mean=0.3, label_embedding=2).decoder
    np.testing.assert_allclose(decoder.get_weights()[-1], np.log(0.3 / 0.7), rtol=1e-6)


# Bad input


BAD_LABELS = {
    "missing": (None, ValueError, "wanted one for each image.*conditional on 4 classes, got none"),
    "of another length": (LABELS[:5], ValueError, r"whole numbers \[12\].* got shape \(5,\)"),
    "one-hot": (np.eye(4)[LABELS], ValueError, r"got shape \(12, 4\).*argmax"),
    "a column": (LABELS[:, None], ValueError, r"got shape \(12, 1\).*labels\[:, 0\]"),
    "floats": (LABELS.astype("float32"), TypeError, r"0 <= label < 4, got float32"),
    "too large": (LABELS + 1, ValueError, "0 <= label < 4, got some from 1 to 4"),
    "negative": (LABELS - 1, ValueError, "0 <= label < 4, got some from -1 to 2"),
    "images": (IMAGES, ValueError, r"got shape \(12, 6, 5, 1\)"),
    "strings": (np.full(12, "a"), TypeError, "got string"),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_bad_labels_are_refused_before_any_training(kind):
    bad, error, message = BAD_LABELS[kind]
    vae = small_vae()
    vae.compile()
    pair = (IMAGES,) if bad is None else (IMAGES, bad)
    calls = {
        "fit": lambda: vae.fit(*pair),
        "validation": lambda: vae.fit(IMAGES, LABELS, validation_data=pair),
        "evaluate": lambda: vae.evaluate(*pair),
        "predict": lambda: vae.predict([*pair]),
        "reconstruct": lambda: vae.reconstruct(IMAGES, labels=bad),
        "sample": lambda: vae.sample(12, labels=bad),
        "elbo": lambda: vae.elbo(IMAGES, labels=bad),
        "log_likelihood": lambda: vae.log_likelihood(IMAGES, labels=bad),
    }
    if kind != "of another length":  # which no dataset can have
        calls["dataset"] = lambda: vae.fit(tf.data.Dataset.from_tensor_slices(pair).batch(12))
    for call in calls.values():
        with pytest.raises(error, match=f"labels: .*{message}"):
            call()
    assert vae.optimizer.iterations.numpy() == 0


@pytest.mark.parametrize("labels", [4, -1, 1.5])
def test_a_single_label_for_all_images_is_checked(labels):
    with pytest.raises((ValueError, TypeError), match="labels: wanted whole numbers"):
        small_vae().sample(3, labels=labels)


def test_labels_are_refused_beside_batches_that_have_labels():
    with pytest.raises(ValueError, match="labels: wanted none beside batches"):
        small_vae().reconstruct(_batches(IMAGES, LABELS), labels=1)


def test_a_generator_of_images_without_labels_is_refused():
    vae = small_vae()
    vae.compile(run_eagerly=True)
    with pytest.raises(ValueError, match="labels: wanted one for each image"):
        vae.fit(iter([IMAGES]), verbose=0)


def test_a_vae_that_is_not_conditional_refuses_labels():
    vae = small_vae(num_classes=None)
    vae.compile()
    for call in (
        lambda: vae.sample(2, labels=1),
        lambda: vae.elbo(IMAGES, labels=LABELS),
        lambda: vae.log_likelihood(IMAGES, labels=LABELS),
        lambda: vae.reconstruct(IMAGES, labels=LABELS),
    ):
        with pytest.raises(ValueError, match="labels: wanted none for a VAE that is not condit"):
            call()
    for call in (
        lambda: vae.fit(IMAGES, LABELS),
        lambda: vae.fit(_batches(IMAGES, LABELS)),
        lambda: vae.fit(IMAGES, np.eye(4)[LABELS]),
        lambda: vae.evaluate(IMAGES, LABELS),
    ):
        with pytest.raises(ValueError, match="wanted images"):
            call()
    with pytest.raises(ValueError, match="y: .*Were these labels.*num_classes"):
        vae.fit(IMAGES, LABELS)


def test_networks_that_do_not_fit_are_refused():
    vae, plain, other = small_vae(), small_vae(num_classes=None), small_vae(num_classes=5)
    for encoder, decoder, numbers in (
        (vae.encoder, plain.decoder, "4, got None"),
        (plain.encoder, vae.decoder, "None, got 4"),
        (vae.encoder, other.decoder, "4, got 5"),
    ):
        with pytest.raises(ValueError, match=f"decoder: .*as many classes as the enc.*{numbers}"):
            tfpvae.VAE(encoder, decoder)
    inputs = [tf_keras.Input(SHAPE), tf_keras.Input((4,))]
    joined = tfkl.Concatenate()([tfkl.Flatten()(inputs[0]), inputs[1]])
    encoder = tf_keras.Model(inputs, layers.IndependentNormal(2)(tfkl.Dense(4)(joined)))
    with pytest.raises(ValueError, match=r"encoder: .*tfpvae\.layers\.OneHot, got one of 2 inputs"):
        tfpvae.VAE(encoder, vae.decoder)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_classes": 0}, ValueError, "num_classes: wanted a whole number, at least 1, got 0"),
        ({"num_classes": 2.0}, TypeError, "num_classes: .*2.0"),
        ({"label_embedding": 0}, ValueError, "label_embedding: .*0"),
        (
            {"num_classes": None, "label_embedding": 3},
            ValueError,
            "label_embedding: wanted num_classes with it, got 3",
        ),
        ({"prior": "vampprior"}, ValueError, "prior: .*same for all classes, got a VampPrior"),
    ],
)
def test_bad_options_for_labels_are_named(options, error, message):
    with pytest.raises(error, match=message):
        small_vae(**options)
