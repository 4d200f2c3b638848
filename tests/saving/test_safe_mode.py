"""Untrusted models: loading a `.keras` file runs no code, whatever its config names."""

import codecs
import copy
import json
import os
import pickle
import random
import signal
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.fuzz import TIMES
from tfpvae.saving import functions, serialization

tfkl = tf_keras.layers
SHAPE = (4, 4, 1)
MUTATIONS = 40 * TIMES


@tf_keras.saving.register_keras_serializable(package="tests_untrusted")
class Doubling(tfkl.Layer):
    """A custom layer, registered."""

    def call(self, inputs):
        return 2 * inputs


class Unregistered(Doubling):
    pass


@pytest.fixture(autouse=True)
def no_code_has_run():
    """Unsets the variable that any code in a file would set."""
    os.environ.pop("TFPVAE_CODE_HAS_RUN", None)
    yield
    os.environ.pop("TFPVAE_CODE_HAS_RUN", None)


def build(*backbone, **overrides):
    """Returns a VAE with an operation of TensorFlow, a schedule, and a nested model."""
    images = tfkl.Input(SHAPE)
    features = tf.nn.relu(tfkl.Flatten()(images) * 2.0)
    for layer in (*backbone, tfkl.Dense(2)):
        features = layer(features)
    options = {
        "image_shape": SHAPE,
        "encoder_backbone": tf_keras.Model(images, features),
        "decoder_backbone": tf_keras.Sequential([tfkl.Dense(16), tfkl.Reshape(SHAPE)]),
        "kl_weight": tfpvae.schedules.LinearWarmup(3),
    }
    vae = tfpvae.build_vae("dense", **options | overrides)
    vae.compile(run_eagerly=True)
    return vae


def read(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Returns the files of an intact `.keras` file, and its config."""
    path = tmp_path_factory.mktemp("intact") / "a.keras"
    tf_keras.utils.set_random_seed(0)
    vae = build()
    vae.fit(np.zeros([2, *SHAPE]), epochs=3, verbose=0)
    vae.save(path)
    files = read(path)
    return files, json.loads(files["config.json"])


@pytest.fixture
def load(tmp_path, intact):
    """Returns a function that edits the config of the intact file and loads it."""

    def load_edited(edit, **options):
        files, config = intact
        config = copy.deepcopy(config)
        edit(config)
        files = files | {"config.json": json.dumps(config)}
        return tf_keras.models.load_model(write(tmp_path / "edited.keras", files), **options)

    return load_edited


def layers(config, part="encoder"):
    """Returns the layers of a network and of its nested models, by class name."""
    outer = config["config"][part]["config"]["layers"]
    inner = [layer for model in outer for layer in model["config"].get("layers", ())]
    return {layer["class_name"]: layer for layer in (*outer, *inner)}


def function(module, name):
    return {"class_name": "function", "module": module, "config": name, "registered_name": name}


FUNCTIONS = {
    "os": function("os", "system"),
    "builtins": function("builtins", "eval"),
    "keras": function("keras.utils", "get_file"),
    "private": function("tf_keras.src.utils.generic_utils", "func_load"),
    "not imported": function("antigravity", "geohash"),
    "lambda": {"class_name": "__lambda__", "config": {"value": "4wAA"}},
}
PLACES = {
    "activation": lambda c, f: layers(c)["Dense"]["config"].update(activation=f),
    "initializer": lambda c, f: layers(c)["Dense"]["config"].update(kernel_initializer=f),
    "regularizer": lambda c, f: layers(c, "decoder")["Dense"]["config"].update(bias_regularizer=f),
    "kl weight": lambda c, f: layers(c)["IndependentNormal"]["config"]["activity_regularizer"]
    .update(weight=f),
    "loss": lambda c, f: c["compile_config"].update(loss=f),
    "optimizer": lambda c, f: c["compile_config"].update(optimizer=f),
}  # fmt: skip


@pytest.mark.spread(12)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_only_functions_of_keras_and_registered_ones_are_loaded(load, place, kind):
    refused = r"config\..*: wanted (a function of Keras or a registered one|the name of a class)"
    with pytest.raises(ValueError, match=refused):
        load(lambda config: PLACES[place](config, FUNCTIONS[kind]))
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("subprocess", "Popen"),
        ("tf_keras.src.layers.core.lambda_layer", "Nothing"),
        ("keras.utils", "CustomObjectScope"),
        ("keras.layers", "deserialize"),
        ("keras", "layers"),
        ("antigravity", "Flying"),
        (__name__, "Unregistered"),
    ],
)
def test_only_classes_of_keras_and_registered_ones_are_loaded(load, module, name):
    entry = {"module": module, "class_name": name, "registered_name": name}
    refused = (
        rf"layers\[\d\]: wanted a class of Keras or a registered one, got '{name}' of '{module}'"
    )
    with pytest.raises(ValueError, match=refused):
        load(lambda config: layers(config)["Dense"].update(entry))
    assert "antigravity" not in sys.modules


def test_a_custom_class_has_to_be_registered_or_among_the_custom_objects(tmp_path):
    build(Doubling(name="doubling")).save(tmp_path / "a.keras")
    assert isinstance(tf_keras.models.load_model(tmp_path / "a.keras"), tfpvae.VAE)
    build(Unregistered(name="doubling")).save(tmp_path / "b.keras")
    with pytest.raises(ValueError, match="got 'Unregistered' of .*custom_objects"):
        tf_keras.models.load_model(tmp_path / "b.keras")
    custom = {"Unregistered": Unregistered}
    loaded = tf_keras.models.load_model(tmp_path / "b.keras", custom_objects=custom)
    assert isinstance(loaded, tfpvae.VAE)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_lambda_layer_in_either_network_is_refused(tmp_path, part):
    sets_variable = tfkl.Lambda(lambda x: (os.environ.update(TFPVAE_CODE_HAS_RUN="1"), x)[1])
    network = tf_keras.Sequential(
        [tfkl.Flatten(), sets_variable, tfkl.Dense(16), tfkl.Reshape(SHAPE)]
    )
    vae = build(**{f"{part}_backbone": network})
    vae.save(tmp_path / "a.keras")
    assert os.environ.pop("TFPVAE_CODE_HAS_RUN") == "1"  # from building it
    with pytest.raises(ValueError, match="wanted the name of a class of .*, got 'Lambda', which"):
        tf_keras.models.load_model(tmp_path / "a.keras")
    assert "TFPVAE_CODE_HAS_RUN" not in os.environ
    # The author of the file may trust it.
    loaded = tf_keras.models.load_model(tmp_path / "a.keras", safe_mode=False)
    assert isinstance(loaded, tfpvae.VAE)


def test_a_lambda_with_a_hidden_class_is_refused(load, intact):
    """Keras does not check a config without a module, as in old files."""
    code = {"function": ["4wAA", None, None], "function_type": "lambda", "name": "x"}
    for hidden in (
        {"class_name": "Lambda", "config": code},
        {"class_name": "TimeDistributed", "config": {"layer": {"config": code}}},
        {"class_name": "Lambda", "registered_name": "tfpvae>OneHot", "config": code},
        {"class_name": "TensorFlowOpLayer", "config": {"node_def": {"op": "WriteFile"}}},
    ):
        with pytest.raises(ValueError, match="which can run code|got a Python lambda"):
            load(lambda config, hidden=hidden: layers(config)["Dense"].update(hidden))


@pytest.mark.parametrize("operation", ["io.write_file", "raw_ops.WriteFile", "py_function", 3])
@pytest.mark.parametrize("module", [True, False])
def test_operations_that_do_more_than_compute_are_refused(load, tmp_path, operation, module):
    target = tmp_path / "written"

    def edit(config):
        layer = layers(config)["TFOpLambda"]
        layer["config"]["function"] = operation
        layer["inbound_nodes"] = [["_CONSTANT_VALUE", -1, str(target), {"contents": "x"}]]
        if not module:
            del layer["module"]

    with pytest.raises(ValueError, match=f"wanted an operation that only .*, got {operation!r}"):
        load(edit)
    assert not target.exists()


def test_a_vocabulary_from_a_file_is_refused(load):
    layer = {"class_name": "StringLookup", "config": {"vocabulary": "/etc/hostname"}}
    with pytest.raises(ValueError, match="wanted the words of a vocabulary, got the file '/etc"):
        load(lambda config: layers(config)["Dense"].update(layer))


@pytest.mark.parametrize(
    "nodes",
    [[[["dense", 0, 0, {}]]], [[["dense", 3, 0, {}]]], [[["tf.nn.relu", 7, 0, {}]]],
     [[["tf.nn.relu", -1, 0, {}]]], [[["tf.nn.relu", "0", 0, {}]]],
     [[["tf.nn.relu", 0, 0, {"mask": ["dense", 0, 0]}]]]],
)  # fmt: skip
def test_cyclic_layers_are_refused(load, nodes):
    def edit(config):
        text = json.dumps(nodes).replace('"dense"', json.dumps(layers(config)["Dense"]["name"]))
        relu = layers(config)["TFOpLambda"]["name"]
        layers(config)["Dense"]["inbound_nodes"] = json.loads(text.replace("tf.nn.relu", relu))

    with pytest.raises(ValueError, match="wanted layers that can be run one after the other"):
        load(edit)


def test_many_layers_called_in_turn_are_loaded(tmp_path):
    """Keras goes over all layers once for each call."""
    vae = build(*[tfkl.Dense(16), tfkl.Dense(16)] * 20)
    vae.save(tmp_path / "a.keras")
    loaded = tf_keras.models.load_model(tmp_path / "a.keras")
    for ours, theirs in zip(outputs(loaded), outputs(vae), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Distributions.


@pytest.mark.parametrize(
    "config",
    [
        {"distribution": ["Normal"], "parameters": {}},
        {"distribution": "Normal"},
        {"distribution": "Normal", "parameters": []},
        {"distribution": "Normal", "parameters": {"loc": 0.0, "scale": 1.0, "os": "system"}},
        {"distribution": {"distribution": "Normal"}, "parameters": {}},
        {"array": [0.0], "dtype": "object", "shape": [1]},
        {"array": ["x"], "dtype": "S1000000000", "shape": [1]},
        {"array": [0.0], "dtype": "V1000000000", "shape": [1]},
        {"array": [0.0], "dtype": "float32", "shape": [2]},
        {"array": [0.0], "dtype": "nonsense", "shape": [1]},
        {"array": [0.0], "dtype": "float32"},
        {"variable": [0.0], "trainable": True, "name": "x"},
        {"deferred": 1.0, "transform": "os.system"},
        {"dtype": "os.system"},
        {"no": "kind"},
    ],
)
def test_a_config_of_no_distribution_is_refused(config):
    with pytest.raises(ValueError, match="config: wanted|distribution: wanted"):
        serialization.from_config(config)


@pytest.mark.parametrize(
    "name", ["os.system", "eval", "__init_subclass__", "_set_sample_static_shape", "dtype", "", 3]
)
def test_names_of_no_function_are_refused(name):
    with pytest.raises(ValueError, match="function: wanted a method of"):
        functions.function_from_name(name)


# Pickles.


def run():
    os.environ["TFPVAE_CODE_HAS_RUN"] = "1"


class _RunsCode:
    def __reduce__(self):
        return run, ()


@pytest.mark.parametrize("name", ["DistributionLambda", "IndependentNormal"])
@pytest.mark.parametrize("changes", [{}, {"registered_name": None}, {"module": None}])
def test_layers_of_tensorflow_probability_are_refused(load, name, changes):
    """They unpickle code, and Keras allows them in safe mode because they are registered."""
    code = codecs.encode(pickle.dumps(_RunsCode()), "base64").decode("ascii")
    config = {"name": "x", "function": code, "function_type": "function", "event_shape": [2]}
    config |= {"module": None, "make_distribution_fn": code, "convert_to_tensor_fn": code}
    module = "tensorflow_probability.python.layers.distribution_layer"
    layer = {"class_name": name, "module": module, "registered_name": name, "config": config}
    with pytest.raises(ValueError, match=f"got {name!r}(, which can run code| of 'tensorflow_pro)"):
        load(lambda config: layers(config)["Dense"].update(layer | changes))
    assert "TFPVAE_CODE_HAS_RUN" not in os.environ


def test_pickles_are_never_opened(tmp_path, intact, monkeypatch):
    """Neither as weights nor as a model nor as arrays of a data set."""
    calls = []
    monkeypatch.setattr(pickle, "load", lambda *a, **k: calls.append(a))
    monkeypatch.setattr(pickle, "loads", lambda *a, **k: calls.append(a))
    monkeypatch.setattr(pickle, "Unpickler", lambda *a, **k: calls.append(a))
    objects = np.array([_RunsCode()], dtype=object)
    np.savez(tmp_path / "model.weights.npz", objects)
    files = {name: data for name, data in intact[0].items() if not name.endswith(".h5")}
    files["model.weights.npz"] = (tmp_path / "model.weights.npz").read_bytes()
    with pytest.raises(ValueError):
        tf_keras.models.load_model(write(tmp_path / "a.keras", files))
    pickled = pickle.dumps(objects)
    for name in ("b.keras", "b.h5", "b"):
        (tmp_path / name).write_bytes(pickled)
        with pytest.raises(OSError):
            tf_keras.models.load_model(tmp_path / name)
    np.savez(
        tmp_path / "mnist.npz", x_train=objects, y_train=objects, x_test=objects, y_test=objects
    )
    with pytest.raises(ValueError, match="got pickled objects"):
        tfpvae.datasets.load_mnist(source=tmp_path / "mnist.npz")
    assert calls == []


# Mutations.


def containers(config):
    yield config
    for inner in config.values() if isinstance(config, dict) else config:
        if isinstance(inner, (dict, list)):
            yield from containers(inner)


def mutate(config, rng):
    """Changes one entry anywhere in a config; returns a description of the change."""
    nodes = list(containers(config))
    inner = rng.choice([inner for inner in nodes[1:] if inner])
    key = rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
    old, kind = inner[key], rng.choice(["drop", "value", "value", "value", "other"])
    if kind == "drop":
        del inner[key]
        return f"{key!r} was dropped"
    values = [None, True, -1, 0, 3, 0.5, 1e300, "", "x", "os.system", "eval", [], {}, [[[]]]]
    values += [{"class_name": "x"}, float("nan"), str(old)[:-1], [old], {"class_name": old}]
    if kind == "other":  # an entry from elsewhere in the config
        other = rng.choice([other for other in nodes if other])
        values = list(other.values()) if isinstance(other, dict) else other
    inner[key] = copy.deepcopy(rng.choice(values))
    return f"{key!r}: {str(old)[:50]!r} became {str(inner[key])[:50]!r}"


def outputs(vae):
    images = np.random.default_rng(0).uniform(size=(2, *SHAPE)).astype("float32")
    latents = np.ones([2, 2], "float32")
    return [
        vae.encoder(images).mean().numpy(),
        vae.decoder(latents).mean().numpy(),
        vae.prior.log_prob(latents).numpy(),
    ]


def test_mutated_configs_load_or_raise(load, intact):
    """None hangs, runs code, or loads as another model."""
    rng, original = random.Random(0), load(lambda _: None)
    weights, expected = original.get_weights(), outputs(original)
    modules, files = set(sys.modules), set(os.listdir())
    num_loaded, different = 0, []
    for _ in range(MUTATIONS):
        changes = []
        signal.alarm(60)  # ends a test that hangs
        try:
            vae = load(lambda config, changes=changes: changes.append(mutate(config, rng)))
        except Exception as error:  # of any type, but with a message
            assert str(error), (changes, type(error))
            continue
        finally:
            signal.alarm(0)
        assert isinstance(vae, tfpvae.VAE), changes
        num_loaded += 1
        for ours, theirs in zip(vae.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=changes[0])
        if not all(map(np.array_equal, outputs(vae), expected)):
            different.append(changes[0])
    assert different == []  # none of these happens to describe another model
    imported = {name.split(".")[0] for name in set(sys.modules) - modules}
    assert imported <= {"keras", "tensorflow", "tf_keras"}
    assert set(os.listdir()) == files
    assert 0 < num_loaded < MUTATIONS
