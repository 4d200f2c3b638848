"""Distributions are saved as plain data, and functions by name."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae.saving import functions, serialization

tfd, tfb = tfp.distributions, tfp.bijectors


@serialization.register("tests.Shifted")
class Shifted(tfd.TransformedDistribution):
    """A custom distribution, registered."""

    def __init__(self, shift, name="Shifted"):
        parameters = dict(locals())
        super().__init__(
            tfd.MultivariateNormalDiag(tf.zeros(2)),
            tfb.Shift(shift),
            parameters=parameters,
            name=name,
        )


class Unregistered(Shifted):
    pass


@tf_keras.saving.register_keras_serializable("tests")
def one_and(x):
    return tf.concat([[1.0], x], axis=0)


DISTRIBUTIONS = {
    "independent": lambda: tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1),
    "sample": lambda: tfd.Sample(tfd.Laplace(0.0, 2.0), 2),
    "diag": lambda: tfd.MultivariateNormalDiag([0.1, 0.2], [1.0, 2.0]),
    "tril": lambda: tfd.MultivariateNormalTriL(tf.zeros(2), [[1.0, 0.0], [0.5, 2.0]]),
    "operator": lambda: tfd.MultivariateNormalLinearOperator(
        tf.zeros(2), tf.linalg.LinearOperatorDiag([1.0, 3.0])
    ),
    "transformed": lambda: tfd.TransformedDistribution(
        tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfb.Chain([tfb.Shift([1.0, 2.0]), tfb.Scale(2.0)])
    ),
    "mixture": lambda: tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.Variable([0.5, -0.5], name="logits")),
        tfd.MultivariateNormalDiag(
            tf.Variable([[0.0, 1.0], [2.0, 3.0]], name="loc"),
            tfp.util.TransformedVariable(tf.ones([2, 2]), tfb.Softplus(), name="scale"),
        ),
    ),
    "matrix in a vector": lambda: tfd.MultivariateNormalTriL(
        tf.Variable(tf.zeros(2)), tfp.util.TransformedVariable(tf.eye(2), tfb.FillScaleTriL())
    ),
    "function of a variable": lambda: tfd.MultivariateNormalDiag(
        tf.zeros(2), tfp.util.DeferredTensor(tf.Variable([3.0]), one_and, shape=[2])
    ),
    "frozen": lambda: tfd.MultivariateNormalDiag(tf.Variable([0.1, 0.2], trainable=False)),
    "registered": lambda: Shifted([1.0, 2.0]),
    "numpy": lambda: tfd.MultivariateNormalDiag(np.float64([0.1, 0.2]), np.float64([1.0, 2.0])),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_survives_json(name):
    original = DISTRIBUTIONS[name]()
    config = serialization.to_config(original)
    restored = serialization.from_config(json.loads(json.dumps(config)))
    points = original.sample(5, seed=(1, 2))
    # The same parameters in the same operations agree bit for bit.
    np.testing.assert_array_equal(restored.log_prob(points), original.log_prob(points))
    np.testing.assert_array_equal(restored.sample(5, seed=(1, 2)), points)
    assert type(restored) is type(original)
    assert restored.dtype == original.dtype
    assert serialization.to_config(restored) == config


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_variables_are_converted_to_variables(name):
    original = DISTRIBUTIONS[name]()
    restored = serialization.from_config(serialization.to_config(original))
    for part in ("variables", "trainable_variables"):
        shapes = [[variable.shape for variable in getattr(d, part)] for d in (original, restored)]
        assert shapes[0] == shapes[1]
    assert not {id(v) for v in original.variables} & {id(v) for v in restored.variables}


@pytest.mark.parametrize(
    ("build", "part"),
    [
        (lambda: Unregistered([1.0, 2.0]), "Unregistered"),
        (
            lambda: tfd.TransformedDistribution(
                tfd.MultivariateNormalDiag(tf.zeros(2)),
                tfb.Inline(forward_fn=lambda x: x, forward_min_event_ndims=0),
            ),
            r"TransformedDistribution\.bijector.*Inline\.forward_fn",
        ),
        (
            lambda: tfd.MultivariateNormalDiag(
                tf.zeros(2), tfp.util.DeferredTensor(tf.Variable([1.0, 1.0]), lambda v: v**2)
            ),
            r"MultivariateNormalDiag\.scale_diag: transform_fn",
        ),
    ],
    ids=["unregistered class", "python function", "deferred function"],
)
def test_the_message_names_the_part_that_cannot_be_saved_and_the_fix(build, part):
    with pytest.raises(ValueError, match=f"{part}.*saving.register"):
        serialization.to_config(build())


@pytest.mark.parametrize("kind", ["distribution", "bijector", "linear_operator"])
@pytest.mark.parametrize("name", ["os.system", "Nothing", "tf_keras>Model", "__init__", "np"])
def test_a_config_cannot_name_other_code(kind, name):
    with pytest.raises(ValueError, match=f"{kind}: wanted a class"):
        serialization.from_config({kind: name, "parameters": {}})


def test_functions_are_restored_by_name():
    for function in (tf.convert_to_tensor, tfd.Distribution.sample, tfd.Distribution.mean):
        name = functions.function_to_name(function, "f")
        assert functions.function_from_name(name) is function


def test_a_function_without_a_name_is_refused():
    with pytest.raises(ValueError, match=r"convert_to_tensor_fn: wanted a method.*lambda"):
        functions.function_to_name(lambda d: d.mean(), "convert_to_tensor_fn")
    with pytest.raises(ValueError, match="'nonsense'"):
        functions.function_from_name("nonsense")
    with pytest.raises(ValueError, match="'__init__'"):
        functions.function_from_name("__init__")


def test_register_requires_a_name_with_a_package_and_a_class_of_tfp():
    with pytest.raises(ValueError, match="'Shifted'"):
        serialization.register("Shifted")
    with pytest.raises(TypeError, match="int"):
        serialization.register("tests.int")(int)
    with pytest.raises(ValueError, match=r"tests\.Shifted"):
        serialization.register("tests.Shifted")(Unregistered)
