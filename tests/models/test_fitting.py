"""By default fit and evaluate compute what single eager steps compute."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tfpvae.models import objectives, steps
from tfpvae.training import execution

pytestmark = pytest.mark.by_xla
SHAPE = (4, 3, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (10, *SHAPE), dtype=np.uint8)
LABELS = np.arange(10) % 3
EAGERLY = {"run_eagerly": True}


def built(options=None, optimizer=None, **compiled):
    tf_keras.utils.set_random_seed(1)
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, **(options or {}))
    vae.compile(optimizer or tf_keras.optimizers.Adam(0.01), **compiled)
    return vae


def assert_same_training(one, other, result, expected):
    for name, values in expected.history.items():  # float32 sums in another order, five steps long
        np.testing.assert_allclose(result.history[name], values, rtol=1e-4, atol=1e-4)
    for weight, same in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(weight, same, rtol=1e-3, atol=1e-4)


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {}),
        ({"free_bits": 0.5}, {"sample_weight": np.linspace(0.1, 2, 10)}),
        ({"target_rate": 3.0}, {"validation_data": IMAGES[:5], "validation_batch_size": 3}),
        ({"objective": "dreg", "num_samples": 3}, {"y": IMAGES[::-1]}),
        (
            {
                "num_samples": 2,
                "use_exact_kl": False,
                "kl_weight": tfpvae.schedules.LinearWarmup(4),
            },
            {},
        ),
        ({"num_classes": 3}, {"y": LABELS}),
        ({"prior": "vampprior"}, {}),
    ],
    ids=range(7),
)
def test_the_default_agrees_with_single_eager_steps(options, arguments, monkeypatch):
    """In batches of 4, 4 and 2, the short one counts only its own images.

    The noise is fixed, since XLA draws other normals from a seed than TensorFlow does.
    """
    noise = np.random.default_rng(1).normal(size=(3, 1, 2)).astype("float32")

    def draws(posterior, num_samples, seed):
        return posterior.mean() + posterior.stddev() * noise[:num_samples]

    monkeypatch.setattr(objectives, "draw_latents", draws)
    fitted = {"x": IMAGES, "batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    vaes = [built(options), built(options, **EAGERLY)]
    assert vaes[0].execution.in_loops and not vaes[1].execution.in_loops
    histories = [vae.fit(**fitted, **arguments) for vae in vaes]
    assert_same_training(*vaes, *histories)


@pytest.mark.spread(1)
@pytest.mark.parametrize("compiled", [{"jit_compile": False}, {}])
def test_a_seed_reproduces_a_training(compiled):
    runs = []
    for _ in range(2):
        vae = built(**compiled)
        runs.append(vae.fit(IMAGES, batch_size=4, epochs=2, verbose=0).history)
        runs.append(vae.get_weights())
    assert runs[0] == runs[2]
    for one, other in zip(runs[1], runs[3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_evaluate_has_new_draws_unless_seeded():
    vae = built(**EAGERLY)
    one, other = (vae.evaluate(IMAGES, verbose=0) for _ in range(2))
    assert one != other
    seeded = []
    for _ in range(2):
        tf_keras.utils.set_random_seed(3)
        seeded.append(vae.evaluate(IMAGES, batch_size=4, verbose=0))
    assert seeded[0] == seeded[1]


def test_each_step_and_each_batch_has_its_own_draws():
    vae = built()
    training = [vae._seed(training=True).numpy().tolist()]
    vae.optimizer.iterations.assign(1)
    training.append(vae._seed(training=True).numpy().tolist())
    evaluation = [vae._seed(training=False).numpy().tolist()]
    vae._test_counter.assign(1)
    evaluation.append(vae._seed(training=False).numpy().tolist())
    assert len({tuple(seed) for seed in training + evaluation}) == 4


@pytest.fixture
def traced(monkeypatch) -> list[bool]:
    """Returns a list that gets, for each step that is traced, whether it is one of training."""
    traces = []
    own = steps.StepsMixin._objective

    def counted(self, data, training, present=None):
        traces.append(training)
        return own(self, data, training, present)

    monkeypatch.setattr(steps.StepsMixin, "_objective", counted)
    return traces


def test_fit_and_validation_are_each_traced_once(traced):
    vae = built()
    assert vae.execution.in_loops
    for count in (10, 7):  # with one short batch, then another
        images = IMAGES[:count]
        vae.fit(images, batch_size=4, epochs=2, validation_data=images[:5], verbose=0)
        vae.evaluate(images, batch_size=4, verbose=0)
    assert traced == [True, False]


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("jit_compile", "batch_size", "steps_per_execution"),
    [(False, 4, None), (False, 4, 1), (False, 8, None), (True, 4, None), (True, 8, None)],
)
def test_steps_without_an_own_loop_are_traced_once(
    traced, jit_compile, batch_size, steps_per_execution
):
    """Keras traces the body of its loop twice."""
    vae = built(jit_compile=jit_compile, metrics=["mse"], steps_per_execution=steps_per_execution)
    assert not vae.execution.in_loops
    for _ in range(2):
        unseen = IMAGES[:batch_size]
        vae.fit(IMAGES[:8], batch_size=batch_size, epochs=2, validation_data=unseen, verbose=0)
        vae.evaluate(IMAGES[:8], batch_size=batch_size, verbose=0)
    assert traced == [True, False]


class RecordSteps(tf_keras.callbacks.Callback):
    """Records the number of each batch and the count of the optimizer."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, int(self.model.optimizer.iterations.numpy())))


@pytest.mark.spread(1)
@pytest.mark.parametrize("compiled", [{}, {"jit_compile": False}])
def test_a_callback_is_called_at_each_batch(compiled):
    vae, steps = built(**compiled), RecordSteps()
    vae.fit(IMAGES, batch_size=4, callbacks=[steps], verbose=0)
    assert steps.seen == [(0, 1), (1, 2), (2, 3)]
    vae.fit(IMAGES, batch_size=4, verbose=0)
    assert int(vae.optimizer.iterations.numpy()) == 6


class CustomLayer(tf_keras.layers.Layer):
    """Layer that tfpvae does not know."""

    def call(self, inputs):
        return tf.nn.relu(inputs)


class CustomSteps(tfpvae.VAE):
    """VAE with a training step of its own."""

    def train_step(self, data):
        return super().train_step(data)


@tfpvae.saving.register("tests.CustomPrior")
class CustomPrior(tfp.distributions.MultivariateNormalDiag):
    """Prior that tfpvae does not know."""


@pytest.mark.spread(1)
@pytest.mark.parametrize(
    ("batch_size", "compiled", "by_batch"),
    [(1, {}, False), (100, {}, True), (1, {"jit_compile": False}, True)],
)
def test_a_callback_that_evaluates_keeps_the_steps_per_call_of_fit(batch_size, compiled, by_batch):
    """A call of `evaluate` may run more or fewer steps than a call of `fit`."""
    steps = []

    class Evaluates(tf_keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            before = int(self.model._steps_per_execution.numpy())
            self.model.evaluate(IMAGES, batch_size=batch_size, verbose=0)
            steps.append((before, int(self.model._steps_per_execution.numpy())))

    vae = built(**compiled)
    others = [Evaluates(), *([RecordSteps()] if by_batch else [])]
    vae.fit(IMAGES, batch_size=4, epochs=3, callbacks=others, verbose=0)
    assert int(vae.optimizer.iterations.numpy()) == 9
    assert len({count for counts in steps for count in counts}) == 1
    assert (steps[0][0] > 1) is not by_batch


def test_a_callback_that_evaluates_keeps_the_draws_and_the_stop_flag_of_fit():
    weights = []
    for evaluates in (False, True):
        vae = built()

        def stop_and_evaluate(epoch, logs, vae=vae, evaluates=evaluates):
            vae.training_state.is_over.assign(True)
            if evaluates:
                vae.evaluate(IMAGES, verbose=0)
            assert vae.training_state.is_over.numpy()

        callbacks = [tf_keras.callbacks.LambdaCallback(on_epoch_end=stop_and_evaluate)]
        vae.fit(IMAGES, batch_size=4, epochs=3, callbacks=callbacks, verbose=0)
        weights.append(vae.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_auto_leaves_the_steps_per_call_to_tfpvae():
    vae = built(steps_per_execution="auto")
    assert vae.execution.chooses_steps and not vae.autotune_steps_per_execution
    vae.fit(IMAGES, batch_size=4, epochs=2, verbose=0)
    assert int(vae.optimizer.iterations.numpy()) == 6


def test_run_eagerly_can_be_changed_after_fit():
    vae = built()
    for eagerly in (True, False, True):
        vae.run_eagerly = eagerly
        vae.fit(IMAGES, batch_size=4, validation_data=IMAGES, verbose=0)
        vae.evaluate(IMAGES, verbose=0)
    assert int(vae.optimizer.iterations.numpy()) == 9


def custom_loss(images, likelihood):
    return -likelihood.log_prob(images)


def test_custom_parts_are_left_to_keras():
    backbone = tf_keras.Sequential(
        [tf_keras.layers.Flatten(), CustomLayer(), tf_keras.layers.Dense(4)]
    )
    plain = built()
    assert plain.execution.by_xla and plain.execution.in_loops
    others = [
        built({"encoder_backbone": backbone}),
        built(loss=custom_loss),
        built(metrics=["mse"]),
        built(jit_compile=False),
        built(run_eagerly=True),
    ]
    others.append(CustomSteps(plain.encoder, plain.decoder))
    others.append(tfpvae.VAE(plain.encoder, plain.decoder, prior=CustomPrior([0.0, 0.0])))
    for vae in others[-2:]:
        vae.compile()
    for vae in others:
        assert not vae.execution.by_xla and not vae.execution.in_loops


def test_on_a_gpu_convolutions_are_compiled_too(monkeypatch):
    """Compiles for the CPU in place of a GPU; a network of all kinds of layers learns."""
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    layers = tf_keras.layers
    down = [
        *(layers.ZeroPadding2D(), layers.Conv2D(3, 2), layers.BatchNormalization()),
        *(layers.MaxPool2D(), layers.AveragePooling2D(2, 1, "same"), layers.Flatten()),
    ]
    up = [
        *(layers.Dense(6), layers.Reshape((3, 2, 1)), layers.Conv2DTranspose(1, 4)),
        layers.Cropping2D(1),
    ]
    assert {*execution._ON_A_GPU} <= {type(layer) for layer in [*down, *up]}
    networks = {"encoder_backbone": down, "decoder_backbone": up}
    vae = built({key: tf_keras.Sequential(value) for key, value in networks.items()})
    assert vae.execution.each_by_xla and not vae.execution.in_loops
    losses = vae.fit(IMAGES, batch_size=5, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.spread(1)
@pytest.mark.parametrize(
    "compiled", [{"loss": custom_loss}, {"metrics": ["mse"]}, {"steps_per_execution": 3}]
)
def test_jit_compile_works_with_custom_options(compiled):
    vae = built(jit_compile=True, **compiled)
    vae.fit(IMAGES, batch_size=5, verbose=0)
    assert np.isfinite(vae.evaluate(IMAGES, verbose=0)).all()


def test_datasets_of_unknown_or_infinite_length_train():
    vae = built()
    batches = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)
    unknown = batches.filter(lambda _: True)
    vae.fit(unknown, epochs=2, validation_data=unknown, verbose=0)
    assert int(vae.optimizer.iterations.numpy()) == 6
    vae.fit(batches.repeat(), steps_per_epoch=4, epochs=2, verbose=0)
    assert int(vae.optimizer.iterations.numpy()) == 14
    assert np.isfinite(vae.evaluate(unknown, verbose=0)).all()


@pytest.mark.spread(1)
@pytest.mark.parametrize("compiled", [EAGERLY, {}])
def test_single_batches_train_and_are_scored(compiled):
    vae = built(**compiled)
    vae.train_on_batch(IMAGES[:4])
    assert int(vae.optimizer.iterations.numpy()) == 1
    assert np.isfinite(vae.test_on_batch(IMAGES[:3])).all()


def test_a_loaded_model_decides_again_how_its_steps_run(tmp_path):
    vae = built()
    vae.save(tmp_path / "vae.keras")
    assert vae._compile_config.config["jit_compile"] is None
    loaded = tf_keras.models.load_model(tmp_path / "vae.keras")
    assert loaded.execution.by_xla and loaded.execution.chooses_steps


@pytest.mark.spread(1)
@pytest.mark.parametrize("jit_compile", [None, False])
def test_legacy_optimizers_train(jit_compile):
    vae = built(optimizer=tf_keras.optimizers.legacy.Adam(0.01), jit_compile=jit_compile)
    vae.fit(IMAGES, batch_size=4, verbose=0)
    assert int(vae.optimizer.iterations.numpy()) == 3


@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": IMAGES[:9]}, "y: wanted as many as of x, 10, got 9."),
        ({"sample_weight": np.ones(3)}, r"sample_weight: wanted .* \[10\], got shape \(3,\)."),
        ({"sample_weight": np.ones([10, 2])}, "sample_weight: .* got shape"),
        ({"sample_weight": np.full(10, np.nan)}, "sample_weight: .* not finite"),
    ],
)
def test_targets_and_weights_are_one_per_image(method, arguments, message):
    vae = tfpvae.build_vae("dense", image_shape=IMAGES.shape[1:])
    vae.compile(run_eagerly=True)
    with pytest.raises(ValueError, match=message):
        getattr(vae, method)(IMAGES, verbose=0, **arguments)
