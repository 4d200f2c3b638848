"""A VAE refuses to replace its settings and parts, and the message says how to build another."""

import numpy as np
import pytest

import tfpvae
from tests.small_vae import IMAGES, SHAPE, small_vae

VALUES = {
    "objective": "iwae",
    "num_samples": 5,
    "free_bits": 1.0,
    "target_rate": 3.0,
    "dequantize": True,
    "missing": "mask",
    "num_classes": 3,
    "image_shape": (3, 3, 1),
    "kl_weight": 0.5,
}


@pytest.fixture(scope="module")
def vae() -> tfpvae.VAE:
    return small_vae()


@pytest.mark.parametrize("name", VALUES)
def test_a_setting_is_not_changed(vae, name):
    before = getattr(vae, name)
    with pytest.raises(AttributeError, match=f"^{name}: wanted no change .*, got .*\\. [A-Z]"):
        setattr(vae, name, VALUES[name])
    assert getattr(vae, name) == before


@pytest.mark.parametrize("name", ["encoder", "decoder", "prior", "kl_regularizer"])
def test_a_part_is_not_replaced(vae, name):
    before = getattr(vae, name)
    with pytest.raises(AttributeError, match=rf"^{name}: .* tfpvae.VAE\("):
        setattr(vae, name, getattr(small_vae(), name))
    assert getattr(vae, name) is before


def test_the_same_networks_make_a_vae_with_the_setting():
    vae = small_vae(prior="vampprior")
    with pytest.raises(AttributeError) as error:
        vae.free_bits = 1.0
    expression = str(error.value).partition("networks: ")[2].removesuffix(".").replace("...", "1.0")
    other = eval(expression, {"tfpvae": tfpvae, "vae": vae})
    assert other.free_bits == 1 and other.prior is vae.prior
    other.compile(run_eagerly=True)
    assert np.isfinite(other.fit(IMAGES, verbose=0).history["loss"]).all()


def test_other_attributes_and_those_of_a_subclass_are_set():
    class Subclass(tfpvae.VAE):
        @property
        def kl_weight(self):
            return self.own_weight

        @kl_weight.setter
        def kl_weight(self, value):
            self.own_weight = value

    plain = tfpvae.build_vae("dense", image_shape=SHAPE)
    vae = Subclass(plain.encoder, plain.decoder)
    vae.kl_weight, vae.note = 0.5, "a note"
    vae.encoder = vae.encoder
    assert vae.kl_weight == 0.5 and vae.note == "a note"
