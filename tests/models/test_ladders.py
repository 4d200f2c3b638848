"""The convolutional ladder: one path, however it is built, saved, loaded or resumed."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tfpvae.distributions import ladder, remembered
from tfpvae.layers.ladder_state import LadderState
from tfpvae.networks.convolutional_ladder import ConvolutionalPath
from tfpvae.networks.ladder import DensePath
from tfpvae.networks.structure import layers_of

pytestmark = pytest.mark.eager
SHAPE = (10, 17, 3)  # maps of 3x5 and 5x9, whose sides are not doubles
OPTIONS = {"groups": 1, "latent_channels": 2, "width": 4}
SIZES = (30, 90)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, *SHAPE), np.uint8)


def build(**options) -> tfpvae.VAE:
    arguments = {"image_shape": SHAPE, "backbone_options": OPTIONS}
    arguments["likelihood"] = "coupled_mixture_of_logistics"
    return tfpvae.build_vae("ladder", **arguments | options)


def moved(vae: tfpvae.VAE) -> tfpvae.VAE:
    """Returns a VAE whose heads are not 0 any more."""
    rng = np.random.default_rng(1)
    vae.set_weights([w + 0.05 * rng.normal(size=w.shape) for w in vae.get_weights()])
    return vae


@pytest.fixture(scope="module")
def vae() -> tfpvae.VAE:
    return moved(build())


def paths(vae: tfpvae.VAE) -> list:
    (state,) = (layer for layer in layers_of(vae.decoder) if isinstance(layer, LadderState))
    return [vae.encoder.layers[-1].path, vae.prior.path, state.path]


def test_the_three_distributions_share_one_path(vae):
    first, *others = paths(vae)
    assert first.sizes == SIZES
    assert all(path is first for path in others)
    ids = [id(weight) for weight in vae.weights]
    assert len(ids) == len(set(ids))
    shared = {id(weight) for weight in first.weights}
    for network in (vae.encoder, vae.decoder):
        assert shared < {id(weight) for weight in network.weights}


def test_every_weight_has_a_gradient_and_a_step_has_one_walk(vae, monkeypatch):
    descend, walks = ladder.descend, []
    monkeypatch.setattr(ladder, "descend", lambda *a, **k: walks.append(1) or descend(*a, **k))
    with tf.GradientTape() as tape:
        terms = vae.loss_terms(IMAGES, seed=0)
        loss = tf.reduce_mean(terms.loss)
    # One is of the encoder's own KL, which no graph of a VAE computes.
    assert len(walks) == 2
    for gradient in tape.gradient(loss, vae.trainable_variables):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    monkeypatch.setattr(ladder, "recall", lambda tensor: None)
    again = vae.loss_terms(IMAGES, seed=0)
    for one, other in zip(terms[:3], again[:3], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_large_weights_have_a_finite_loss_and_gradient():
    """A draw far out is not multiplied from group to group: locations and scales are bounded."""
    vae = build()
    rng = np.random.default_rng(0)
    vae.set_weights([100 * rng.normal(size=weight.shape) for weight in vae.get_weights()])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(vae.loss_terms(IMAGES, seed=0).loss)
    assert all(np.isfinite(part).all() for part in tape.gradient(loss, vae.trainable_variables))
    for normal in vae.prior.walk(vae.prior.sample(8, seed=(1, 2))).priors:
        assert np.abs(normal.mean()).max() <= 5 and np.max(normal.stddev()) < 5.1


def test_a_draw_keeps_no_state_for_a_later_tape(vae):
    z = vae.encoder(IMAGES).sample(seed=(1, 2))
    with tf.GradientTape() as tape:
        nll = -tf.reduce_mean(vae.decoder(z).log_prob(IMAGES / np.float32(255)))
    head = vae.prior.path.weights
    gradients = tape.gradient(nll, head)
    assert sum(gradient is not None for gradient in gradients) > len(head) / 3
    assert remembered.recall(z) is None


def test_scores_and_shapes(vae):
    assert vae.sample(3, seed=0).shape == (3, *SHAPE)
    assert vae.encode(IMAGES).shape == (8, sum(SIZES))
    groups = tfpvae.evaluation.kl_per_group(vae, IMAGES, 4, seed=0)
    rate = tfpvae.evaluation.rate_distortion(vae, IMAGES, 200, seed=0).rate
    assert groups.shape == (2,) and (groups > 0).all()
    np.testing.assert_allclose(groups.sum(), rate.mean(), rtol=0.1)
    elbo, bound = vae.elbo(IMAGES, 50, seed=0), vae.log_likelihood(IMAGES, 50, seed=0)
    assert (elbo.numpy().mean() < bound.numpy().mean()) and np.isfinite(elbo).all()
    assert (
        tfpvae.evaluation.kl_per_group(tfpvae.build_vae("dense"), np.zeros([1, 28, 28, 1])) is None
    )


def test_each_group_depends_on_those_above_alone(vae):
    z = vae.prior.sample(2, seed=(1, 2)).numpy()
    means = []
    for start, stop in ((0, 0), (0, SIZES[0]), (SIZES[0], sum(SIZES))):
        changed = z.copy()
        changed[:, start:stop] += 1
        (below,) = vae.prior.walk(tf.constant(changed)).priors
        means.append(below.mean().numpy())
    assert np.abs(means[1] - means[0]).max() > 1e-3
    np.testing.assert_array_equal(means[2], means[0])


# A .keras file is saved by the tests below, too.
@pytest.mark.slow
@pytest.mark.spread(1)
@pytest.mark.parametrize("name", ["model", "model.keras", "model.weights.h5", "weights.h5"])
def test_every_format_saves_one_path(name, tmp_path):
    vae = moved(build())
    vae.compile(run_eagerly=True)
    vae.fit(IMAGES, batch_size=8, verbose=0)
    if "weights" in name:
        vae.save_weights(tmp_path / name)
        loaded = build()
        loaded.load_weights(tmp_path / name)
    else:
        vae.save(tmp_path / name)
        loaded = tf_keras.models.load_model(tmp_path / name)
    first, *others = paths(loaded)
    assert all(path is first for path in others)
    assert len(loaded.weights) == len(vae.weights)
    for network in ("encoder", "decoder"):
        pair = (getattr(model, network).get_weights() for model in (vae, loaded))
        for one, other in zip(*pair, strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(vae.elbo(IMAGES, seed=0), loaded.elbo(IMAGES, seed=0))
    loaded.compile(run_eagerly=True)
    assert np.isfinite(loaded.fit(IMAGES, batch_size=8, verbose=0).history["loss"]).all()


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path):
    def trained(*epochs) -> list[np.ndarray]:
        for last in epochs:
            tf_keras.utils.set_random_seed(0)
            vae = build()
            vae.compile(tf_keras.optimizers.Adam(1e-3), run_eagerly=True)
            backup = tf_keras.callbacks.BackupAndRestore(
                tmp_path / str(epochs), delete_checkpoint=False
            )
            vae.fit(IMAGES, batch_size=4, epochs=last, verbose=0, callbacks=[backup])
        return vae.get_weights()

    for one, other in zip(trained(3), trained(1, 3), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.spread(1)
@pytest.mark.parametrize(("patch", "maps"), [(1, 3), (2, 2), (4, 1)])
def test_the_largest_map_has_a_position_a_patch(patch, maps, tmp_path):
    groups = [1] * (maps - 1) + [2]
    vae = moved(build(backbone_options={**OPTIONS, "patch": patch, "groups": groups}))
    height, width = (-(-side // patch) for side in SHAPE[:2])
    assert paths(vae)[0].sizes[-2:] == (2 * height * width,) * 2
    vae.compile(run_eagerly=True)
    assert np.isfinite(vae.fit(IMAGES, batch_size=8, verbose=0).history["loss"]).all()
    vae.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(vae.elbo(IMAGES, seed=0), loaded.elbo(IMAGES, seed=0))


def test_a_path_that_was_saved_without_a_patch_has_that_of_its_size():
    config = ConvolutionalPath(SHAPE, **OPTIONS).get_config()
    assert config.pop("patch") == 2
    assert ConvolutionalPath.from_config(config).sizes == SIZES


@pytest.mark.spread(1)
@pytest.mark.parametrize("prior", ["vampprior", "flow"])
def test_the_prior_of_the_top_group_is_chosen(prior, tmp_path):
    vae = build(prior=prior, kl_weight=tfpvae.schedules.LinearWarmup(2), free_bits=0.01)
    assert vae.prior.top.event_shape == [SIZES[0]]
    vae.compile(run_eagerly=True)
    assert np.isfinite(vae.fit(IMAGES, epochs=2, verbose=0).history["loss"]).all()
    vae.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(vae.elbo(IMAGES, seed=0), loaded.elbo(IMAGES, seed=0))


def test_bfloat16_keeps_distributions_and_losses_in_full_precision():
    vae = moved(build(precision="bfloat16"))
    terms = vae.loss_terms(IMAGES, seed=0)
    plain = build()
    plain.set_weights(vae.get_weights())
    expected = plain.loss_terms(IMAGES, seed=0)
    for one, other in zip(terms[:3], expected[:3], strict=True):
        assert one.dtype == tf.float32
        np.testing.assert_allclose(one, other, rtol=0.05)  # 8 bits of mantissa, layer upon layer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 7}, "latent_dim: wanted None for 'ladder', or 120"),
        ({"posterior": "iaf"}, "posterior: wanted None or 'ladder'"),
        ({"encoder_backbone": "dense"}, "encoder_backbone: wanted None for 'ladder'"),
        ({"num_classes": 3}, "num_classes: wanted None for a convolutional ladder"),
        ({"start_images": IMAGES}, "start_images: wanted None for a convolutional ladder"),
        ({"backbone_options": {"groups": [1]}}, "groups: wanted one number for each of the 2 maps"),
        ({"backbone_options": {"patch": 0}}, "patch: wanted"),
        ({"backbone_options": {"patch": 3}}, "patch: wanted a power of two, got 3"),
        ({"backbone_options": {"levels": 2}}, "backbone_options: wanted some of"),
        ({"objective": "dreg", "num_samples": 2}, "objective: wanted a posterior whose parameters"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_a_decoder_of_another_ladder_is_refused(vae):
    other = build(backbone_options={**OPTIONS, "depth": 2})
    with pytest.raises(ValueError, match="decoder: wanted one that goes down the ladder"):
        tfpvae.VAE(vae.encoder, other.decoder)
    latents = tf_keras.Input((5,))
    state = LadderState(DensePath([2, 3], hidden_units=[4]))(latents)
    likelihood = tfpvae.layers.IndependentBernoulli((2, 2, 1), "mean")(state)
    encoder = tfpvae.build_encoder(image_shape=(2, 2, 1), latent_dim=5, backbone="dense")
    with pytest.raises(ValueError, match="encoder: wanted one that ends in a tfpvae.layers.Ladder"):
        tfpvae.VAE(encoder, tf_keras.Model(latents, likelihood))
