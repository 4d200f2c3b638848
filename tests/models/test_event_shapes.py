"""VAEs of other data than images: rows, series, volumes, counts and categories."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests.pairs import once
from tests.small_vae import RUNS

tfd, tfkl = tfp.distributions, tf_keras.layers
eager = pytest.mark.eager
RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(3.0, size=(20, 6))
IDS = RNG.integers(0, 4, size=(20, 5))

# Likelihood, shape of an example, and data.
DATA = {
    "a table": ("normal", (6,), RNG.normal(size=(20, 6))),
    "a table of whole numbers": ("normal", (6,), RNG.integers(-3, 3, size=(20, 6))),
    "a table with outliers": ("student_t", (6,), RNG.standard_cauchy(size=(20, 6))),
    "a series": ("logistic", (5, 2), RNG.normal(size=(20, 5, 2)).astype("float32")),
    "a volume": ("normal_per_pixel", (2, 3, 2, 1), RNG.normal(size=(20, 2, 3, 2, 1))),
    "maps of real numbers": ("normal", (3, 4, 2), 50 * RNG.normal(size=(20, 3, 4, 2))),
    "counts": ("poisson", (6,), COUNTS),
    "counts of 8 bits": ("negative_binomial", (6,), COUNTS.astype(np.uint8)),
    "counts with zeros": ("zero_inflated_poisson", (6,), COUNTS * (COUNTS > 2)),
    "counts as floats": ("zero_inflated_negative_binomial", (6,), COUNTS.astype("float64")),
    "one-hot vectors": ("categorical", (5, 4), np.eye(4)[IDS]),
    "ids": ("categorical", (5, 4), IDS),
    "bits": ("bernoulli", (6,), (COUNTS > 2).astype("float32")),
    "shares": ("continuous_bernoulli", (6,), RNG.uniform(size=(20, 6))),
}


def built(kind, run="Keras' loop", **options):
    likelihood, shape, _ = DATA[kind]
    vae = tfpvae.build_vae("dense", event_shape=shape, likelihood=likelihood, **options)
    vae.compile(tf_keras.optimizers.SGD(1e-4), **RUNS[run])
    return vae


# A folder takes long, as its signatures are traced: a third of the kinds, "ids" among them.
@eager
@pytest.mark.spread(7)
@pytest.mark.parametrize(("kind", "name"), once(DATA, ["a.keras", "b.keras", "model"]))
def test_data_train_score_and_serve_as_images_do(kind, name, tmp_path):
    _, shape, data = DATA[kind]
    vae = built(kind)
    vae.run_eagerly = True  # graphs: see the next test
    history = vae.fit(data, batch_size=7, epochs=1, verbose=0, validation_data=data[:7])
    assert np.isfinite([*history.history["loss"], *history.history["val_loss"]]).all()
    assert vae.event_shape == shape
    elbo = vae.elbo(data, seed=0)
    assert elbo.shape == (20,) and vae.log_likelihood(data[:3], 5, seed=0).shape == (3,)
    assert vae.reconstruct(data).shape == (20, *shape)
    assert vae.predict(data, verbose=0).shape == (20, *shape)
    latents = vae.encode(data)
    assert vae.decode(latents).shape == (20, *shape) and vae.sample(2, seed=0).shape == (2, *shape)

    vae.save(tmp_path / name)
    loaded = tf_keras.models.load_model(tmp_path / name)
    assert loaded.data_spec == vae.data_spec
    np.testing.assert_allclose(loaded.elbo(data, seed=0), elbo, rtol=1e-5)
    if name != "model":
        return
    served = tf.saved_model.load(str(tmp_path / "model"))
    one_hot = data if data.ndim == 1 + len(shape) else np.eye(4)[data]
    argument = "images" if len(shape) == 3 else "x"
    outputs = served.signatures["encode"](**{argument: tf.constant(one_hot, tf.float32)})
    np.testing.assert_allclose(outputs["mean"], latents, rtol=1e-5, atol=1e-6)


@pytest.mark.spread(3)
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", ["counts", "ids"])
def test_each_way_of_running_steps_takes_the_data(kind, run):
    _, _, data = DATA[kind]
    losses = []
    for each in ("Keras' loop", run):
        tf_keras.utils.set_random_seed(0)
        vae = built(kind, each, posterior="deterministic")  # XLA draws other numbers
        losses += vae.fit(data, batch_size=8, verbose=0).history["loss"]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_ids_score_as_the_one_hot_vectors_they_stand_for():
    vae = built("ids")
    np.testing.assert_array_equal(vae.elbo(IDS, seed=0), vae.elbo(np.eye(4)[IDS], seed=0))
    np.testing.assert_array_equal(vae.encode(IDS), vae.encode(np.eye(4)[IDS].astype("float32")))


@eager
def test_report_and_fitted_prior_take_a_table():
    _, _, data = DATA["a table"]
    vae = built("a table")
    report = tfpvae.evaluation.report(vae, data, num_samples=5, seed=0)
    assert report["squared_error"]["mean"] == pytest.approx(
        np.mean((vae.reconstruct(data).numpy() - data) ** 2), rel=1e-4
    )
    assert "bits_per_dim" not in report["log_likelihood"]
    fitted = tfpvae.ex_post.fit_prior(vae, data, epochs=1, seed=0)
    assert np.isfinite(fitted.log_likelihood(data, 5, seed=0)).all()


@eager
def test_vampprior_keeps_real_pseudo_inputs():
    _, shape, data = DATA["a table"]
    prior = tfpvae.build_prior(
        "vampprior", latent_dim=2, image_shape=shape, num_components=5, start_images=data
    )
    vae = built("a table", prior=prior)
    vae.fit(DATA["a table"][2], verbose=0)
    assert vae.prior.pseudo_inputs.numpy().min() < 0


BAD = {
    "NaN": ("a table", lambda x: np.where(np.arange(6) == 2, np.nan, x), r"NaN are 20 of 120"),
    "infinity": ("a table", lambda x: np.where(x == x[0, 0], np.inf, x), "wanted finite numbers"),
    "bytes": ("a table", lambda x: np.abs(x).astype(np.uint8), r"x\.astype\('float32'\)"),
    "another width": ("a table", lambda x: x[:, :3], r"wanted examples \[B, 6\], got shape"),
    "one row": ("a table", lambda x: x[0], r"x\[None\]"),
    "real numbers": ("shares", lambda x: x - 0.5, r"'normal' takes any finite ones"),
    "negative counts": ("counts", lambda x: -x, r"wanted whole numbers, 0 or more"),
    "fractions": ("counts", lambda x: x / 2, "with a fraction"),
    "an id too many": ("ids", lambda x: x + 1, r"whole numbers from 0 to 3"),
    "no probabilities": ("one-hot vectors", lambda x: x / 2, "whose sum is 0.5"),
}


@eager
@pytest.mark.spread(5)
@pytest.mark.parametrize("fault", BAD)
def test_other_values_are_refused_as_arrays_and_in_a_step(fault):
    kind, change, message = BAD[fault]
    vae, data = built(kind), change(DATA[kind][2])
    with pytest.raises((TypeError, ValueError), match=message):
        vae.fit(data, verbose=0)
    good = DATA[kind][2].astype(data.dtype)
    if fault in ("another width", "one row", "bytes", "NaN", "real numbers"):
        return  # the shape and the dtype of a dataset are checked as an array's are
    batches = tf.data.Dataset.from_generator(
        lambda: iter([good[:4], data[:4]]),
        output_signature=tf.TensorSpec([4, *good.shape[1:]], good.dtype),
    )
    with pytest.raises(ValueError, match=r"x: wanted .*This is batch 2"):
        vae.fit(batches, verbose=0)


def test_architectures_for_images_say_so():
    with pytest.raises(ValueError, match=r"backbone: wanted one of 'deep', 'dense' or one of your"):
        tfpvae.build_vae("conv", event_shape=(6,))
    with pytest.raises(ValueError, match=r"image_shape: .* event_shape=\(6,\)"):
        tfpvae.build_vae("dense", image_shape=(6,))
    with pytest.raises(ValueError, match="event_shape: wanted image_shape or event_shape"):
        tfpvae.build_vae("dense", image_shape=(2, 3, 1), event_shape=(6,))
    with pytest.raises(ValueError, match="wanted a VAE of images"):
        built("a table").fit(
            DATA["a table"][2], callbacks=[tfpvae.callbacks.SampleMosaic("unused")], verbose=0
        )
    with pytest.raises(ValueError, match="dequantize: wanted a likelihood that is a density of"):
        built("a table", dequantize=True)
    with pytest.raises(ValueError, match="pixel_mean: wanted None"):
        built("a table", pixel_mean=0.5)


LIKELIHOODS = {
    "normal": (lambda: tfpvae.layers.IndependentNormal(6), 12, "a table"),
    "Poisson": (lambda: tfpvae.layers.IndependentPoisson(6), 6, "counts"),
    "mixture": (lambda: tfpvae.layers.MixtureNormal(2, [6]), 26, "a table"),
    "Bernoulli": (lambda: tfpvae.layers.IndependentBernoulli(6), 6, "bits"),
    "plain normal": (lambda: tfp.layers.IndependentNormal(6), 12, "a table"),
}


@eager
@pytest.mark.spread(3)
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_networks_of_ones_own_take_what_their_distribution_is_of(name):
    make, num_params, kind = LIKELIHOODS[name]
    prior = tfd.MultivariateNormalDiag(tf.zeros(2))
    encoder = tf_keras.Sequential(
        [tf_keras.Input((6,)), tfkl.Dense(4), tfpvae.layers.IndependentNormal(2)]
    )
    decoder = tf_keras.Sequential([tf_keras.Input((2,)), tfkl.Dense(num_params), make()])
    vae = tfpvae.VAE(encoder, decoder, prior)
    vae.compile()
    history = vae.fit(DATA[kind][2], verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    if kind != "a table":
        with pytest.raises(ValueError, match="x: wanted"):
            vae.fit(DATA["a table"][2], verbose=0)


class LikePandas:
    """A table with the method of a DataFrame that returns an array."""

    def to_numpy(self) -> np.ndarray:
        return DATA["a table"][2]


@eager
def test_a_dataframe_of_numbers_is_taken_as_its_array():
    vae, frame = built("a table"), LikePandas()
    vae.fit(frame, verbose=0, validation_data=frame)
    np.testing.assert_array_equal(vae.encode(frame), vae.encode(frame.to_numpy()))
    np.testing.assert_array_equal(vae.elbo(frame, seed=0), vae.elbo(frame.to_numpy(), seed=0))
    np.testing.assert_array_equal(vae.predict(frame, verbose=0), vae.reconstruct(frame))
