"""Two workers, as on two machines, train as one process does; `two_workers` runs them."""

import json
import os
from itertools import chain

import numpy as np
import pytest

from tests.processes import run_module

RAISED, KILLED = 3, -9

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forked"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    run_module("tests.training.two_workers", folder)
    exit_codes = json.loads((folder / "exit_codes.json").read_text())
    expected = {"one": [0], "two": [0, 0], "killed": [RAISED, KILLED], "resumed": [0, 0]}
    assert exit_codes == expected
    return folder


@pytest.fixture(scope="module")
def results(folder):
    """Returns a function that reads the variables and other results of a process in a case."""

    def read(process, case):
        path = folder / process / case
        variables = np.load(path.with_suffix(".npz"))
        return [variables[name] for name in variables.files], json.loads(
            path.with_suffix(".json").read_text()
        )

    return read


def images_per_epoch(seen, count, steps):
    """Returns the images of each of `count` epochs, of a training without validation."""
    assert len(seen) == count * steps
    return [[*chain(*seen[i : i + steps])] for i in range(0, len(seen), steps)]


@pytest.mark.parametrize("case", ["plain", "mixture", "arrays", "elements", "files", "backed_up"])
def test_workers_agree_bit_for_bit(case, results):
    (first, of_first), (second, of_second) = results("two_0", case), results("two_1", case)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    del of_first["seen"], of_second["seen"]
    assert of_first == of_second  # losses, metrics, scores, the prior, kl_weight


@pytest.mark.parametrize("case", ["plain", "mixture"])
def test_two_workers_train_as_one_process_with_the_whole_batch(case, results):
    """In the same order, with the same losses, and with a last batch that one worker has alone."""
    (one, of_one), (two, of_two) = results("one_0", case), results("two_0", case)
    # float32 sums in another order; Adam first divides by roots of small numbers.
    for value, expected in zip(two, one, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    for name, expected in of_one["history"].items():
        np.testing.assert_allclose(of_two["history"][name], expected, rtol=1e-5, atol=1e-5)
    other = results("two_1", case)[1]["seen"]
    assert [own + others for own, others in zip(of_two["seen"], other, strict=True)] == of_one[
        "seen"
    ]


def test_metrics_are_means_over_all_images(results):
    one, two = (results(process, "plain")[1] for process in ("one_0", "two_0"))
    assert {"loss", "nll", "kl", "mae", "val_loss", "val_mae"} <= two["history"].keys()
    assert two["scores"] == pytest.approx(one["scores"], rel=1e-6)  # float32
    for name, value in two["scores"].items():
        assert two["history"][f"val_{name}"][-1] == pytest.approx(value, rel=1e-6)


def test_a_learned_prior_and_a_warm_up_agree_between_one_and_two_workers(results):
    of_one, of_two = results("one_0", "mixture")[1], results("two_0", "mixture")[1]
    before, after = of_two["prior"]
    assert before != after
    for value, expected in zip(after, of_one["prior"][1], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    assert of_two["kl_weight"] == of_one["kl_weight"] == 1


@pytest.mark.parametrize("case", ["arrays", "elements", "files"])
def test_an_epoch_has_every_image_once(case, results):
    first, second = (results(f"two_{worker}", case)[1]["seen"] for worker in (0, 1))
    epochs = zip(
        images_per_epoch(first, 2, steps=3), images_per_epoch(second, 2, steps=3), strict=True
    )
    for own, others in epochs:
        assert sorted(own + others) == [*range(11)]
    if case == "files":
        assert {number % 2 for number in chain(*first)} == {0}
    else:
        assert images_per_epoch(first, 2, steps=3)[0] != images_per_epoch(first, 2, steps=3)[1]


def test_a_training_resumes_after_a_worker_was_killed(folder, results):
    killed = float((folder / "killed_at.txt").read_text())
    noticed, error = (folder / "killed_0.txt").read_text().split(" ", 1)
    print(f"The other noticed after {float(noticed) - killed:.1f} s.")
    assert "task:1" in error  # the missing worker
    for worker in (0, 1):
        expected, whole = results(f"two_{worker}", "backed_up")
        actual, rest = results(f"resumed_{worker}", "backed_up")
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        assert rest["epochs"] == [2, 3]  # killed in the middle of epoch 2
        assert rest["history"] == {name: losses[2:] for name, losses in whole["history"].items()}
        assert rest["seen"] == whole["seen"][6:]  # at 3 steps per epoch
