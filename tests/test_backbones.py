"""What the named networks are made of beside Keras' own layers."""

import tfpvae


def test_only_the_moments_of_a_network_in_bfloat16_are_computed_in_float32():
    vae = tfpvae.build_vae("kmnist", precision="bfloat16")
    computed = {type(x).__name__: x.compute_dtype for x in vae.decoder.layers}
    assert computed["BatchNormalization"] == "float32"
    assert {computed[x] for x in ("Conv2DTranspose", "LeakyReLU", "Cropping2D")} == {"bfloat16"}
