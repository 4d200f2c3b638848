"""The VAE against NumPy, the data that fit takes, and bad input."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests import reference
from tests.pairs import once
from tests.processes import run_module
from tfpvae._checks import data as data_checks

tfd = tfp.distributions
tfkl = tf_keras.layers

SHAPE = (6, 5, 1)


def small_vae(**overrides) -> tfpvae.VAE:
    return tfpvae.build_vae("dense", image_shape=SHAPE, **overrides)


def pictures(count=12, dtype="float32") -> np.ndarray:
    bytes_ = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    return bytes_ if dtype == "uint8" else (bytes_ / 255).astype(dtype)


# The objective


def test_nll_and_kl_agree_with_numpy():
    """Recomputes the dense VAE from its weights and its draw."""
    vae = small_vae()
    x = pictures()
    hidden, hidden_bias, head, head_bias = vae.encoder.get_weights()
    raw = np.maximum(x.reshape(12, -1) @ hidden + hidden_bias, 0) @ head + head_bias
    mean, scale = raw[:, :2], reference.softplus(raw[:, 2:]) + 1e-5
    posterior = vae.encoder(x)
    np.testing.assert_allclose(posterior.mean(), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(posterior.stddev(), scale, rtol=1e-4)
    kls = [
        reference.gaussian_kl(m, np.diag(s**2), np.zeros(2), np.eye(2))
        for m, s in zip(mean, scale, strict=True)
    ]
    np.testing.assert_allclose(vae.kl_divergence(posterior), kls, rtol=1e-4)
    z = tf.convert_to_tensor(posterior).numpy()
    hidden, hidden_bias, last, last_bias = vae.decoder.get_weights()
    logits = np.maximum(z @ hidden + hidden_bias, 0) @ last + last_bias
    expected = reference.bernoulli_log_prob(x, logits.reshape(x.shape))
    np.testing.assert_allclose(vae.decoder(z).log_prob(x), expected, rtol=1e-5)


@pytest.mark.spread(5)
@pytest.mark.parametrize("kl_weight", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_the_reported_loss_is_nll_plus_weighted_kl_for_any_batch_size(kl_weight, batch_size):
    vae = small_vae(kl_weight=kl_weight)
    vae.compile()
    result = vae.evaluate(pictures(), batch_size=batch_size, verbose=0, return_dict=True)
    expected = result["nll"] + kl_weight * result["kl"]
    np.testing.assert_allclose(result["loss"], expected, rtol=1e-5)
    exact = np.mean(vae.kl_divergence(vae.encoder(pictures())))
    np.testing.assert_allclose(result["kl"], exact, rtol=1e-5)  # the mean over images, not batches


def test_regularization_of_custom_layers_is_added_once():
    decoder = tf_keras.Sequential(
        [tfkl.Dense(30, kernel_regularizer=tf_keras.regularizers.L2(0.1)), tfkl.Reshape(SHAPE)]
    )
    vae = small_vae(decoder_backbone=decoder)
    vae.compile()
    result = vae.evaluate(pictures(), verbose=0, return_dict=True)
    penalty = 0.1 * np.sum(decoder.get_weights()[0] ** 2)
    np.testing.assert_allclose(result["loss"], result["nll"] + result["kl"] + penalty, rtol=1e-5)


def test_a_plain_tfp_encoder_counts_the_kl_once_inside_a_vae():
    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    regularizer = tfp.layers.KLDivergenceRegularizer(prior, use_exact_kl=True)
    encoder = tf_keras.Sequential(
        [
            tf_keras.Input(SHAPE),
            tfkl.Flatten(),
            tfkl.Dense(4),
            tfp.layers.IndependentNormal(2, activity_regularizer=regularizer),
        ]
    )
    vae = tfpvae.VAE(encoder, small_vae().decoder, prior=prior)
    vae.compile()
    result = vae.evaluate(pictures(), verbose=0, return_dict=True)
    np.testing.assert_allclose(result["loss"], result["nll"] + result["kl"], rtol=1e-5)


def test_sample_weights_apply_to_the_whole_bound_of_an_image():
    vae = small_vae()
    vae.compile()
    x, weights = pictures(), np.array([2.0] * 6 + [0.0] * 6)
    weighted = vae.evaluate(x, sample_weight=weights, verbose=0, return_dict=True)
    # Exact, since the KL has no noise of draws.
    exact = np.mean(vae.kl_divergence(vae.encoder(x[:6])))
    np.testing.assert_allclose(weighted["kl"], exact, rtol=1e-5)
    np.testing.assert_allclose(weighted["loss"], weighted["nll"] + weighted["kl"], rtol=1e-5)


def test_denoising_scores_the_targets():
    vae = small_vae(posterior="deterministic")
    vae.compile()
    x, targets = pictures(), 1 - pictures()
    expected = -np.mean(vae.decoder(vae.encoder(x).mean()).log_prob(targets))
    result = vae.evaluate(x, targets, verbose=0, return_dict=True)
    np.testing.assert_allclose(result["nll"], expected, rtol=1e-5)


# Data that fit takes


def _batches(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(4)


FORMS = {
    "array": lambda x: (x,),
    "array twice": lambda x: (x, x),
    "tensor": lambda x: (tf.constant(x),),
    "dataset": lambda x: (_batches(x),),
    "dataset of pairs": lambda x: (tf.data.Dataset.zip((_batches(x), _batches(x))),),
    "dataset of one": lambda x: (tf.data.Dataset.zip((_batches(x),)),),
}


DTYPES = ["float32", "uint8", "float64"]


@pytest.mark.spread(4)
@pytest.mark.parametrize(
    ("form", "dtype"), dict.fromkeys([*once(FORMS, DTYPES), *(("array", d) for d in DTYPES)])
)
def test_fit_and_evaluate_take_images_in_every_form(form, dtype):
    vae = small_vae(posterior="deterministic")
    vae.compile(run_eagerly=form != "array")  # a graph per dtype is enough
    inputs = FORMS[form](pictures(dtype=dtype))
    validation = inputs if len(inputs) == 2 else inputs[0]
    history = vae.fit(*inputs, batch_size=_batch_size(form), validation_data=validation, verbose=0)
    assert sorted(history.history) == ["kl", "loss", "nll", "val_kl", "val_loss", "val_nll"]
    expected = -np.mean(vae(pictures()).log_prob(pictures()))
    result = vae.evaluate(*inputs, verbose=0, return_dict=True)
    np.testing.assert_allclose(result["nll"], expected, rtol=1e-5)
    np.testing.assert_allclose(history.history["val_nll"][-1], expected, rtol=1e-5)


def _batch_size(form):
    return None if form.startswith("dataset") else 4


def test_uint8_and_float_images_give_the_same_results():
    vae = small_vae()
    for method in (vae.reconstruct, lambda x: vae.elbo(x, seed=1), lambda x: vae(x).mean()):
        tf.random.set_seed(0)
        floats = method(pictures())
        tf.random.set_seed(0)
        np.testing.assert_allclose(method(pictures(dtype="uint8")), floats, rtol=1e-5)


def test_validation_split_callbacks_and_metrics_work_as_in_keras(tmp_path):
    vae = small_vae()
    vae.compile(tf_keras.optimizers.Adamax(1e-3), metrics=["mse"])
    history = vae.fit(
        pictures(40),
        epochs=3,
        validation_split=0.25,
        verbose=0,
        callbacks=[
            tf_keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True),
            tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), save_best_only=True),
            tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "folder")),
            tf_keras.callbacks.BackupAndRestore(str(tmp_path / "backup")),
            tf_keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        ],
    ).history
    assert {"loss", "nll", "kl", "mse", "val_loss", "val_mse"} <= set(history)
    assert len(history["loss"]) == 3
    for name in ("best.keras", "folder"):
        assert isinstance(tf_keras.models.load_model(tmp_path / name), tfpvae.VAE)
    mse = np.mean((vae(pictures(40)[30:]).mean() - pictures(40)[30:]) ** 2)
    # This reconstruction has another draw and the restored weights.
    np.testing.assert_allclose(history["val_mse"][-1], mse, rtol=0.05)


def test_a_custom_loss_replaces_the_nll():
    vae = small_vae(posterior="deterministic")

    def squared_error(images, likelihood):
        return tf.reduce_sum((images - likelihood.mean()) ** 2, axis=[1, 2, 3])

    vae.compile(loss=squared_error)
    expected = np.sum((vae(pictures()).mean() - pictures()) ** 2) / 12
    result = vae.evaluate(pictures(), verbose=0, return_dict=True)
    np.testing.assert_allclose(result["nll"], expected, rtol=1e-5)
    with pytest.raises(TypeError, match="loss: .*'mse'"):
        vae.compile(loss="mse")


@pytest.mark.spread(1)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_distributions_and_losses_in_float32(policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        vae = small_vae()
        vae.compile()
        history = vae.fit(pictures(), verbose=0).history
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    assert vae.decoder.layers[1].compute_dtype == policy.removeprefix("mixed_")
    assert vae.encoder(pictures()).dtype == vae(pictures()).dtype == tf.float32
    np.testing.assert_allclose(history["loss"], np.add(history["nll"], history["kl"]), rtol=1e-5)


def test_gradients_are_clipped_as_the_optimizer_says(tmp_path):
    vae = small_vae()
    vae.compile(tf_keras.optimizers.SGD(1.0, global_clipnorm=0.01), run_eagerly=True)
    for _ in range(2):  # as built, and as loaded
        before = vae.get_weights()
        vae.fit(pictures(), verbose=0)
        steps = [after - start for after, start in zip(vae.get_weights(), before, strict=True)]
        size = np.sqrt(sum(np.sum(step**2) for step in steps))
        np.testing.assert_allclose(size, 0.01, rtol=1e-3)  # the gradient is far larger
        vae.save(tmp_path / "a.keras")
        vae = tf_keras.models.load_model(tmp_path / "a.keras")
        vae.run_eagerly = True


def test_jit_compile_trains():
    vae = small_vae()
    vae.compile(jit_compile=True, steps_per_execution=2)
    history = vae.fit(pictures(40), batch_size=4, epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_two_replicas_train_as_one_with_the_whole_batch(tmp_path):
    run_module("tests.training.two_replicas", tmp_path)
    one, two = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for key, value in one.items():  # float32 sums in another order
        np.testing.assert_allclose(two[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


# Summary and weights


def test_summary_shows_the_layers_and_counts_of_both_networks():
    lines = []
    small_vae().summary(print_fn=lines.append)
    text = "\n".join(lines)
    for part in ("encoder", "posterior", "(None, 2)", "decoder", "likelihood", "(None, 6, 5, 1)"):
        assert part in text
    total = small_vae().count_params()
    assert f"Total params: {total}" in text and "Non-trainable params: 0" in text
    assert "multiple" not in text and "((" not in text


def test_the_weights_are_those_of_the_networks():
    vae = small_vae()
    assert len(vae.weights) == len(vae.encoder.weights) + len(vae.decoder.weights)


# Bad input


BAD_IMAGES = {
    "wrong rank": (
        np.zeros([3, 6, 5]),
        ValueError,
        r"got shape \((3|None), 6, 5\).*Add",
    ),
    "labels": (np.zeros([3]), ValueError, r"got shape \((3|None),\).*labels"),
    "wrong channels": (np.zeros([3, 6, 5, 3]), ValueError, r"got shape \((3|None), 6, 5, 3\)"),
    "wrong size": (np.zeros([3, 5, 6, 1]), ValueError, r"got shape \((3|None), 5, 6, 1\)"),
    "above 1": (np.full([3, *SHAPE], 255.0), ValueError, "0, 1.*255.0.*Divide by 255"),
    "below 0": (np.full([3, *SHAPE], -0.5), ValueError, r"\[0, 1\], got values from -0.5"),
    "NaN": (np.full([3, *SHAPE], np.nan), ValueError, "nan"),
    "infinite": (np.full([3, *SHAPE], np.inf), ValueError, "inf"),
    "one NaN": (
        np.where(np.arange(30).reshape(SHAPE) == 7, np.nan, pictures(2)),
        ValueError,
        "nan",
    ),
    "empty": (np.zeros([0, *SHAPE]), ValueError, "at least one image"),
    "whole numbers": (np.zeros([3, *SHAPE], int), TypeError, "int64"),
    "strings": (np.full([3, *SHAPE], "a"), TypeError, "string"),
    "binary bytes": (np.ones([3, *SHAPE], np.uint8), ValueError, "largest here is 1.*float32"),
    "a list": ([1, 2, 3], TypeError, "list"),
    "nothing": (None, TypeError, "NoneType"),
    "a path": ("images.npy", TypeError, "str"),
}


def _calls(vae, bad):
    as_dataset = isinstance(bad, np.ndarray) and bad.ndim and bad.dtype.kind != "U"
    calls = {
        "fit": lambda: vae.fit(bad),
        "validation": lambda: vae.fit(pictures(), validation_data=(bad,)),
        "evaluate": lambda: vae.evaluate(bad),
        "predict": lambda: vae.predict(bad),
        "reconstruct": lambda: vae.reconstruct(bad),
    }
    if as_dataset:
        calls["dataset"] = lambda: vae.fit(_batches(bad))
    return calls


@pytest.mark.spread(8)
@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_bad_images_are_refused_before_any_training(kind):
    bad, error, message = BAD_IMAGES[kind]
    vae = small_vae()
    vae.compile()
    before = vae.get_weights()
    for name, call in _calls(vae, bad).items():
        if name == "dataset" and kind == "empty":
            message = "empty dataset"
        with pytest.raises(error, match=message):
            call()
    assert vae.optimizer.iterations.numpy() == 0
    for weight, expected in zip(vae.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("index", [0, 7, 39])
def test_one_bad_pixel_is_detected_anywhere(monkeypatch, index):
    monkeypatch.setattr(data_checks, "_VALUES_PER_CHUNK", 10 * 30)  # four pieces of ten images
    for bad in (np.nan, -0.1, 1.1):
        images = pictures(40)
        images[index, 2, 3] = bad
        with pytest.raises(ValueError, match="x: wanted pixels"):
            small_vae().predict(images)


def test_targets_that_are_labels_are_refused():
    vae = small_vae()
    vae.compile()
    with pytest.raises(ValueError, match="y: .*labels"):
        vae.fit(pictures(), np.zeros(12))
    pairs = tf.data.Dataset.from_tensor_slices((pictures(), np.zeros(12))).batch(4)
    with pytest.raises(ValueError, match="x: .*labels"):
        vae.fit(pairs)


def test_networks_that_do_not_fit_are_refused():
    vae = small_vae()
    plain = tf_keras.Sequential([tf_keras.Input(SHAPE), tfkl.Flatten(), tfkl.Dense(2)])
    with pytest.raises(TypeError, match="encoder: .*distribution layer"):
        tfpvae.VAE(plain, vae.decoder)
    with pytest.raises(ValueError, match=r"decoder: .*\(2,\).*\(5,\)"):
        tfpvae.VAE(vae.encoder, small_vae(latent_dim=5).decoder)
    other = tfpvae.build_decoder(image_shape=(4, 4, 1), latent_dim=2, backbone="dense")
    with pytest.raises(ValueError, match=r"decoder: .*\(6, 5, 1\).*\(4, 4, 1\)"):
        tfpvae.VAE(vae.encoder, other)
    with pytest.raises(ValueError, match=r"prior: .*\(2,\).*\(3,\)"):
        tfpvae.VAE(vae.encoder, vae.decoder, prior=tfpvae.build_prior(latent_dim=3))
    with pytest.raises(TypeError, match="prior: .*'normal'"):
        tfpvae.VAE(vae.encoder, vae.decoder, prior="normal")
    without = tf_keras.Sequential([*plain.layers[:1], tfpvae.layers.IndependentNormal(15)])
    with pytest.raises(ValueError, match="encoder: wanted a built model"):
        tfpvae.VAE(without, vae.decoder)
    without.build((None, *SHAPE))
    with pytest.raises(ValueError, match=r"decoder: |prior: .*got neither"):
        tfpvae.VAE(without, vae.decoder)
    with pytest.raises(TypeError, match="encoder: .*3"):
        tfpvae.VAE(3, vae.decoder)


@pytest.mark.spread(4)
@pytest.mark.parametrize("seed", [0, 1, -1, 2**31, 2**63, np.int64(7), (1, 2), np.array([3, 4])])
def test_any_whole_number_is_a_seed(seed):
    vae = small_vae()
    np.testing.assert_array_equal(vae.sample(2, seed=seed), vae.sample(2, seed=seed))


# The KL method


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("options", "method"),
    [
        ({}, "exact"),
        ({"use_exact_kl": False}, "monte_carlo"),
        ({"prior": "mixture"}, "monte_carlo"),
        ({"posterior": "iaf"}, "monte_carlo"),
        ({"posterior": "low_rank", "prior": "normal"}, "exact"),
        ({"posterior": "deterministic"}, None),
    ],
)
def test_a_vae_says_how_its_kl_is_computed(options, method):
    assert small_vae(**options).kl_method == method


def test_a_save_changes_neither_the_losses_of_a_call_nor_later_draws(tmp_path):
    """Keras reads every property as it saves, and that of the KL method once ran the encoder."""
    vae = small_vae(use_exact_kl=None)
    vae(pictures())
    (loss,) = vae.losses
    tf.random.set_seed(0)
    expected = tf.random.normal([])
    tf.random.set_seed(0)
    vae.save(tmp_path / "model.keras")
    assert tf.random.normal([]) == expected
    assert vae.losses == [loss] and loss == tf.reduce_mean(
        vae.kl_divergence(vae.encoder(pictures()))
    )


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretized_logistic"])
def test_a_mass_is_not_dequantized(likelihood):
    with pytest.raises(ValueError, match="dequantize: wanted a likelihood that is a density"):
        small_vae(likelihood=likelihood, dequantize=True)
