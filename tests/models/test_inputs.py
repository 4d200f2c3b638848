"""Every batch is checked, networks infer unless told to train, and data may run out."""

import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests import reference
from tfpvae.models.decoders import LIKELIHOODS
from tfpvae.training import batch_checks

SHAPE = (6, 5, 1)
IMAGES = np.random.default_rng(0).uniform(size=(24, *SHAPE)).astype("float32")
BYTES = np.random.default_rng(1).integers(0, 256, size=(24, *SHAPE), dtype=np.uint8)
BYTES[0, 0, 0, 0] = 255


def small_vae(compiled=None, **overrides) -> tfpvae.VAE:
    vae = tfpvae.build_vae("dense", **{"image_shape": SHAPE} | overrides)
    vae.compile(**{"optimizer": tf_keras.optimizers.SGD(1e-3)} | (compiled or {}))
    return vae


def batches(images=IMAGES, size=4) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(images).batch(size)


def spoiled(value, index=9) -> np.ndarray:
    images = IMAGES.copy()
    images[index, 2, 2, 0] = value
    return images


RUNS = {
    "one program of many steps": pytest.param({}, marks=pytest.mark.by_xla),
    "single steps by XLA": {"jit_compile": True, "metrics": ["mse"]},
    "a loop of Keras": {"jit_compile": False},
}
every_run = pytest.mark.parametrize("compiled", RUNS.values(), ids=RUNS)


@every_run
@pytest.mark.parametrize("value", [-0.5, np.nan])
def test_a_later_batch_of_other_pixels_is_named_and_changes_no_weight(compiled, value):
    vae, twin = small_vae(compiled), small_vae(compiled)
    twin.set_weights(vae.get_weights())
    message = r"^x: wanted pixels in \[0, 1\], got values from .* This is batch 3; the weights are "
    tf_keras.utils.set_random_seed(0)
    with pytest.raises(ValueError, match=message):
        vae.fit(batches(spoiled(value)), verbose=0)
    tf_keras.utils.set_random_seed(0)
    twin.fit(batches(IMAGES[:8]), verbose=0)
    for weight, expected in zip(vae.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


@every_run
@pytest.mark.parametrize(
    ("fit", "argument"),
    [
        (lambda vae, bad: vae.evaluate(batches(bad), verbose=0), "x"),
        (lambda vae, bad: vae.predict(batches(bad), verbose=0), "x"),
        (lambda vae, bad: vae.fit(IMAGES, validation_data=batches(bad), verbose=0),
         "validation_data"),
    ],
)  # fmt: skip
def test_it_is_named_wherever_batches_come_in(compiled, fit, argument):
    with pytest.raises(ValueError, match=rf"^{argument}: wanted pixels .* to 9\.0\..* batch 3;"):
        fit(small_vae(compiled), spoiled(9.0))


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch", "predict_on_batch"])
def test_a_batch_by_itself(method):
    with pytest.raises(ValueError, match=r"^x: wanted pixels in \[0, 1\], got values from"):
        getattr(small_vae(), method)(spoiled(9.0))


@every_run
def test_targets_labels_and_weights_are_checked_too(compiled):
    labels = np.arange(24) % 3
    later = np.where(np.arange(24) == 9, 3, labels)
    weights = np.where(np.arange(24) == 9, np.inf, 1.0).astype("float32")
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, spoiled(2.0))).batch(4)
    with pytest.raises(ValueError, match="^x: wanted pixels"):
        small_vae(compiled).fit(pairs, verbose=0)
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, later)).batch(4)
    with pytest.raises(
        ValueError, match="^labels: wanted whole numbers from 0 to 2, got .* batch 3"
    ):
        small_vae(compiled, num_classes=3).fit(pairs, verbose=0)
    triples = tf.data.Dataset.from_tensor_slices((IMAGES, IMAGES, weights)).batch(4)
    with pytest.raises(ValueError, match="^sample_weight: wanted finite numbers, .* batch 3"):
        small_vae(compiled).fit(triples, verbose=0)


@every_run
def test_a_generator_is_checked_from_its_first_batch_on(compiled):
    def generator(images):
        yield from np.split(images, 6)

    with pytest.raises(
        ValueError, match=r"^x: wanted pixels .* to 25\d\.\d+\. Divide by 255, or pass"
    ):
        small_vae(compiled).fit(generator(255 * IMAGES / IMAGES.max()), verbose=0)
    with pytest.raises(ValueError, match="^x: wanted at least one batch"):
        small_vae(compiled).fit(iter(()), verbose=0)
    with pytest.raises(ValueError, match="^x: wanted pixels .* This is batch 3;"):
        small_vae(compiled).fit(generator(spoiled(7.0)), steps_per_epoch=6, verbose=0)

    def other_shapes():
        yield IMAGES[:4]
        yield IMAGES[:4, :5]

    with pytest.raises(
        ValueError, match=r"^x: wanted shape \[B, 6, 5, 1\], got \[4 5 5 1\]\. .* 2;"
    ):
        small_vae(compiled).fit(other_shapes(), steps_per_epoch=2, verbose=0)


@every_run
def test_datasets_of_unknown_rank_train(compiled):
    def read(i):
        return BYTES[4 * int(i) : 4 * int(i) + 4]

    data = tf.data.Dataset.range(6).map(lambda i: tf.py_function(read, [i], tf.uint8))
    vae = small_vae(compiled)
    history = vae.fit(data, epochs=2, validation_data=data, verbose=0)
    assert int(vae.optimizer.iterations) == 12
    assert np.isfinite(history.history["val_loss"]).all()


# Inference


RANDOM = [
    lambda: tf_keras.layers.RandomFlip(),
    lambda: tf_keras.layers.RandomContrast(0.9),
    lambda: tf_keras.layers.GaussianNoise(3.0),
    lambda: tf_keras.layers.Dropout(0.9),
]


@pytest.mark.parametrize(
    ("layer", "kind"),
    [*zip(RANDOM, ["sequential", "functional", "nested", "sequential"], strict=True)],
)
def test_layers_for_training_are_left_out_of_inference(layer, kind, tmp_path):
    layers = [layer(), tf_keras.layers.Flatten(), tf_keras.layers.Dense(4)]
    backbone = tf_keras.Sequential(layers)
    if kind == "functional":
        images = tf_keras.Input(SHAPE)
        backbone = tf_keras.Model(images, backbone(images))
    if kind == "nested":
        backbone = tf_keras.Sequential([tf_keras.Sequential([backbone])])
    vae = small_vae(encoder_backbone=backbone)
    expected = vae.encoder(IMAGES, training=False).mean()
    images = vae.decoder(expected, training=False).mean()
    vae.save(tmp_path / "vae")
    again = tf_keras.models.load_model(tmp_path / "vae")
    alone = tf.saved_model.load(str(tmp_path / "vae")).signatures
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    close(vae.encoder(IMAGES).mean(), expected)
    close(again.encoder(IMAGES).mean(), expected)
    close(vae.encoder.predict(IMAGES, verbose=0).shape, expected.shape)
    close(vae.reconstruct(IMAGES), images)
    close(vae.predict(IMAGES, verbose=0), images)
    close(vae.elbo(IMAGES, seed=0), vae.elbo(IMAGES, seed=0))
    close(vae.log_likelihood(IMAGES, 3, seed=0), vae.log_likelihood(IMAGES, 3, seed=0))
    close(alone["encode"](images=tf.constant(IMAGES))["mean"], expected)
    close(alone["reconstruct"](images=tf.constant(IMAGES))["mean"], images)
    assert not np.allclose(vae.encoder(IMAGES, training=True).mean(), expected, atol=1e-4)


def test_a_mode_that_an_outer_layer_sets_reaches_the_networks():
    backbone = tf_keras.Sequential([tf_keras.layers.Dropout(0.9), tf_keras.layers.Flatten()])
    vae = small_vae(encoder_backbone=backbone)
    outer = tf_keras.Sequential([tf_keras.Input(SHAPE), vae.encoder])
    expected = vae.encoder(IMAGES).mean()
    np.testing.assert_allclose(outer(IMAGES).mean(), expected, rtol=1e-5)
    assert not np.allclose(outer(IMAGES, training=True).mean(), expected, atol=1e-4)


# What the networks take


@pytest.mark.parametrize("form", ["as made", "folder", "file"])
def test_an_encoder_takes_the_images_that_its_vae_takes(form, tmp_path):
    vae = small_vae()
    if form != "as made":
        path = tmp_path / ("vae" if form == "folder" else "vae.keras")
        vae.save(path)
        vae = tf_keras.models.load_model(path)
    expected = vae.encoder(BYTES / np.float32(255)).mean()
    for images in (BYTES, tf.constant(BYTES), BYTES[..., 0], BYTES / 255):
        np.testing.assert_allclose(vae.encoder(images).mean(), expected, rtol=1e-5, atol=1e-6)
        call = tf.function(lambda images: vae.encoder(images).mean())
        np.testing.assert_allclose(call(tf.constant(images)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        vae.decoder(expected).log_prob(BYTES),
        vae.decoder(expected).log_prob(BYTES / 255),
        rtol=1e-5,
    )
    for images in (255 * IMAGES / IMAGES.max(), -IMAGES, np.full_like(IMAGES, np.nan)):
        with pytest.raises(ValueError, match=r"images: wanted pixels in \[0, 1\], got values from"):
            vae.encoder(images)
        with pytest.raises(tf.errors.InvalidArgumentError, match="images: wanted pixels in"):
            call(tf.constant(images))
    with pytest.raises((TypeError, ValueError), match="images: wanted float pixels .* got int64"):
        vae.encoder(BYTES.astype("int64"))


@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
def test_a_likelihood_scores_bytes_as_pixels(likelihood):
    p = small_vae(likelihood=likelihood).decoder(np.zeros([24, 2], "float32"))
    np.testing.assert_allclose(p.log_prob(BYTES), p.log_prob(BYTES / np.float32(255)), rtol=1e-5)
    np.testing.assert_allclose(p.prob(BYTES), p.prob(BYTES / np.float32(255)), rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"value: wanted images .* got shape .*images\[..., None\]"
    ):
        p.log_prob(IMAGES[..., 0])
    if not likelihood.startswith("normal"):  # whose draws may lie anywhere
        with pytest.raises(ValueError, match=r"value: wanted pixels in \[0, 1\], got values from"):
            p.log_prob(IMAGES * 255)
    assert np.isfinite(p.log_prob(tf.cast(p.sample(seed=0), tf.float32))).all()


def test_bernoulli_of_bytes_against_numpy():
    vae = small_vae()
    p = vae.decoder(np.zeros([24, 2], "float32"))
    expected = reference.bernoulli_log_prob(BYTES / 255, p.distribution.logits.numpy())
    np.testing.assert_allclose(p.log_prob(BYTES), expected, rtol=1e-4)


def test_threads_get_distributions():
    vae = small_vae()
    expected = vae.encoder(IMAGES).mean().numpy()

    def ask(_):
        return vae.decoder(vae.encoder(IMAGES).mean()).mean().numpy()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(64)))
    for answer in answers:
        np.testing.assert_allclose(answer, vae.decoder(expected).mean(), rtol=1e-5)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_answers_inside_a_function_are_those_outside(num_classes):
    vae = small_vae(num_classes=num_classes)
    labels = {} if num_classes is None else {"labels": np.arange(24) % 3}
    asks = [
        lambda x: vae.elbo(x, seed=3, **labels),
        lambda x: vae.log_likelihood(x, 5, seed=3, **labels),
        lambda x: vae.reconstruct(x, **labels),
        lambda x: vae.sample(24, seed=3, **labels),
    ]
    for ask in asks:
        inside = tf.function(ask, autograph=False)(tf.constant(IMAGES))
        np.testing.assert_allclose(inside, ask(IMAGES), rtol=1e-4, atol=1e-4)


# Data that run out


@every_run
def test_an_epoch_of_fewer_batches_has_their_mean(compiled):
    vae = small_vae(compiled)
    with pytest.warns(UserWarning, match="steps_per_epoch: wanted 4 batches in each of 3 epochs"):
        history = vae.fit(batches(), steps_per_epoch=4, epochs=3, verbose=0)
    assert int(vae.optimizer.iterations) == 6
    losses = history.history["loss"]
    assert len(losses) == 2 and 0.5 < losses[1] / losses[0] < 1.5


@every_run
def test_a_generator_that_ends_ends_training(compiled):
    def generator():
        yield from np.split(IMAGES, 6)

    vae = small_vae(compiled)
    history = vae.fit(generator(), steps_per_epoch=3, epochs=4, verbose=0)
    assert int(vae.optimizer.iterations) == 6
    assert len(history.history["loss"]) == len(history.epoch) == 2
    assert np.isfinite(history.history["loss"]).all()
    history = vae.fit(generator(), steps_per_epoch=4, epochs=2, verbose=0)
    assert int(vae.optimizer.iterations) == 12
    assert len(history.history["loss"]) == 2


@every_run
@pytest.mark.parametrize("is_known", [True, False])
def test_fewer_validation_batches_than_said(compiled, is_known):
    vae = small_vae(compiled | {"optimizer": tf_keras.optimizers.SGD(0.0)})
    unseen = batches(IMAGES[:12])
    unseen = unseen if is_known else unseen.filter(lambda _: True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = vae.fit(
            IMAGES, epochs=2, validation_data=unseen, validation_steps=9, verbose=0
        ).history["val_loss"]
        loss = vae.evaluate(unseen, steps=9, verbose=0)[0]
    own = [str(w.message) for w in told if "wanted 9 batches, got a dataset of 3" in str(w.message)]
    assert len(own) == (2 if is_known else 0)  # Keras logs it where the length is not known
    expected = -float(tf.reduce_mean(vae.elbo(IMAGES[:12], 200, seed=0)))
    np.testing.assert_allclose([*history, loss], expected, rtol=0.05)


# Monitors


@pytest.mark.parametrize(
    "make",
    [
        lambda: tfpvae.callbacks.EarlyStopping(monitor="val_elbo", patience=1, min_delta=0.1),
        lambda: tf_keras.callbacks.EarlyStopping("val_elbo", patience=1, min_delta=0.1),
    ],
)
def test_a_rising_elbo_is_better(make):
    vae = small_vae({"optimizer": tf_keras.optimizers.Adam(0.01)})
    stopping = make()
    black = np.zeros_like(IMAGES)  # on which the elbo rises in each epoch
    history = vae.fit(black, validation_data=black, epochs=4, verbose=0, callbacks=[stopping])
    assert len(history.epoch) == 4
    assert stopping.best == max(history.history["val_elbo"])


def test_checkpoints_and_plateaus_follow_the_elbo(tmp_path):
    vae = small_vae({"optimizer": tf_keras.optimizers.Adam(0.01)})
    path = str(tmp_path / "best.keras")
    best = tf_keras.callbacks.ModelCheckpoint(path, "elbo", save_best_only=True)
    plateau = tf_keras.callbacks.ReduceLROnPlateau("elbo", patience=1, min_delta=0.0)
    black = np.zeros_like(IMAGES)
    history = vae.fit(black, epochs=4, verbose=0, callbacks=[best, plateau]).history["elbo"]
    assert best.best == max(history)
    assert float(vae.optimizer.learning_rate) == pytest.approx(0.01)


# Weights of classes


@every_run
def test_weights_of_classes_are_weights_of_images(compiled):
    labels = np.arange(24) % 3
    weights = {0: 2.0, 2: 0.0}
    each = np.array([2.0, 1.0, 0.0], "float32")[labels]
    losses = []
    for data in (
        {"x": IMAGES, "y": labels, "class_weight": weights},
        {
            "x": tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(24),
            "class_weight": weights,
        },
        {"x": IMAGES, "y": labels, "sample_weight": each},
    ):
        tf_keras.utils.set_random_seed(1)
        vae = small_vae(compiled, num_classes=3)
        losses.append(vae.fit(**data, batch_size=None if len(data) == 2 else 24, verbose=0).history)
    for history in losses[:2]:
        np.testing.assert_allclose(history["nll"], losses[2]["nll"], rtol=0.02)


def test_weights_of_classes_need_classes():
    with pytest.raises(ValueError, match=r"^class_weight: wanted a VAE with labels"):
        small_vae().fit(IMAGES, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match=r"^class_weight: wanted a dict of classes, from 0 to 2"):
        vae = small_vae(num_classes=3)
        vae.fit(IMAGES, np.arange(24) % 3, class_weight={7: 1.0}, verbose=0)


# Losses in a loop of the user's own


@pytest.mark.parametrize("prior", ["standard_normal", "vampprior", "given"])
def test_the_losses_of_a_call_are_the_kl_that_fit_trains_on(prior):
    far = tfpvae.layers.KLDivergenceRegularizer(
        tfpvae.build_prior("normal", latent_dim=2), use_exact_kl=True, weight=0.5
    )
    vae = small_vae(**({} if prior == "given" else {"prior": prior}))
    if prior == "given":
        far.distribution_b.trainable_variables[0].assign([3.0, 3.0])
        vae = tfpvae.VAE(vae.encoder, vae.decoder, prior=far)
    vae(IMAGES)
    tf_keras.utils.set_random_seed(0)
    kl = tf.reduce_mean(tf.stack([vae.kl_divergence(vae.encoder(IMAGES)) for _ in range(50)]))
    sums = []
    for _ in range(50 if prior == "vampprior" else 1):
        vae(IMAGES)
        sums.append(float(sum(vae.losses)))
    assert np.mean(sums) == pytest.approx(float(vae.kl_weight * kl), rel=0.05, abs=0.05)


@pytest.mark.parametrize(
    "options", [{}, {"objective": "iwae", "num_samples": 3}, {"free_bits": 1.0}]
)
def test_loss_terms_are_those_of_a_step(options):
    vae = small_vae({"run_eagerly": True}, **options)
    vae.training_state.seed.assign([1, 2])
    seed = vae._seed(training=True)
    loss, reported, _ = vae._objective(IMAGES, training=True)
    terms = vae.loss_terms(IMAGES, seed=seed)
    np.testing.assert_allclose(tf.reduce_mean(terms.loss) + terms.regularization, loss, rtol=1e-5)
    np.testing.assert_allclose(terms.nll, reported["nll"], rtol=1e-5)
    np.testing.assert_allclose(terms.kl, reported["kl"], rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        tf_keras.losses.binary_crossentropy,
        tf_keras.losses.BinaryCrossentropy(reduction="none"),
        tf_keras.losses.MeanSquaredError(),
    ],
)
def test_a_loss_of_pixels_or_of_a_batch_is_refused(loss):
    with pytest.raises(ValueError, match="^loss: wanted a function .* one number per image"):
        small_vae({"loss": loss})


# Optimizers, strategies


@pytest.mark.parametrize("name", ["vae", "vae.keras"])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_legacy_optimizer_comes_back(name, steps, tmp_path):
    vae = small_vae({"optimizer": tf_keras.optimizers.legacy.Adam(1e-3)})
    for _ in range(steps):
        vae.fit(IMAGES, verbose=0)
    vae.save(tmp_path / name)
    again = tf_keras.models.load_model(tmp_path / name)
    np.testing.assert_allclose(again.reconstruct(IMAGES), vae.reconstruct(IMAGES), atol=1e-6)
    if name == "vae":  # Keras leaves a legacy optimizer's state out of a .keras file
        for value, expected in zip(
            again.optimizer.get_weights(), vae.optimizer.get_weights(), strict=False
        ):
            np.testing.assert_allclose(value, expected, rtol=1e-6)
    again.fit(IMAGES, verbose=0)


def test_the_text_of_a_fault_has_the_form_that_is_looked_for():
    batch = tf.constant(spoiled(9.0)), None, None, None
    text = batch_checks.fault(batch, SHAPE, None).numpy().decode()
    assert re.fullmatch(r"images: wanted pixels in \[0, 1\], got values from \S+ to 9\.", text)
    assert batch_checks.fault((tf.constant(BYTES), None, None, None), SHAPE, None) == ""


@pytest.mark.parametrize("architecture", tfpvae.list_architectures())
def test_networks_are_the_same_whatever_keras_takes_for_images(architecture):
    counts = []
    for data_format in ("channels_last", "channels_first"):
        tf_keras.backend.set_image_data_format(data_format)
        vae = tfpvae.build_vae(architecture)
        counts.append((vae.count_params(), vae.decoder(np.zeros([2, 128 if architecture == "kmnist"
                       else vae.encoder.output_shape[-1]], "float32")).mean().shape))  # fmt: skip
    assert counts[0] == counts[1]


def test_draws_of_an_unbounded_likelihood_are_encoded_and_bytes_as_floats_are_not():
    vae = small_vae(likelihood=tfpvae.layers.NormalLikelihood(SHAPE, scale=0.5))
    draws = vae.decoder(np.zeros([24, 2], "float32")).sample(seed=0)
    assert draws.numpy().min() < 0
    assert np.isfinite(vae.encoder(draws).mean()).all()
    with pytest.raises(ValueError, match=r"images: wanted pixels in \[0, 1\], got values from"):
        vae.encoder(BYTES.astype("float32"))


@pytest.mark.parametrize("part", ["vae", "encoder", "decoder"])
@pytest.mark.parametrize("name", ["model", "model.keras"])
def test_networks_are_saved_by_keras_too(part, name, tmp_path):
    vae = small_vae()
    model = vae if part == "vae" else getattr(vae, part)
    tf_keras.models.save_model(model, tmp_path / name)
    again = tf_keras.models.load_model(tmp_path / name)
    inputs = np.zeros([3, 2], "float32") if part == "decoder" else IMAGES[:3]
    if part == "vae":
        again, model = again.encoder, vae.encoder
    np.testing.assert_allclose(again(inputs).mean(), model(inputs).mean(), rtol=1e-5)


def test_a_pass_of_the_encoder_leaves_no_loss_of_an_earlier_call():
    vae = small_vae(prior="vampprior")
    vae(IMAGES)
    assert len(vae.losses) == 1
    vae.encoder(IMAGES)
    assert vae.losses == []
