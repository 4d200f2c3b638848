"""Damaged files of every kind: no process ends, none hangs, no wrong answer passes for right."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import TIMES
from tests.fuzz.damage import CHANGES, damaged

ROOT = Path(__file__).parents[2]
COUNTS = {
    **dict.fromkeys(("IDX", "IDX, gzipped", "NPZ", "NPZ, inside"), 40),
    **dict.fromkeys(("PNG", "JPEG", "GIF", "BMP", "WEBP"), 25),
    **dict.fromkeys((".weights.h5", ".h5", "checkpoint"), 5),
    **dict.fromkeys((".keras", ".keras, inside", "SavedModel"), 4),
}


@pytest.mark.slow
def test_damaged_files_are_refused_or_answer_as_whole_ones(tmp_path):
    wanted = [f"{name}={count * TIMES}" for name, count in COUNTS.items()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.damaged_files", str(tmp_path), *wanted],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["kind"], one["tried"]) for one in found] == [
        (name, count * TIMES) for name, count in COUNTS.items()
    ]
    assert [one["failures"] for one in found] == [[]] * len(found)
    assert all(one["refused"] for one in found)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [1, 2, 300])
def test_every_change_is_of_bytes_and_the_same_for_a_seed(change, size):
    data = bytes(range(256)) * 2
    for seed in range(20):
        found = change(data[:size], random.Random(seed))
        assert isinstance(found, bytes) and len(found) <= size + 16
        assert found == change(data[:size], random.Random(seed))


def test_what_is_damaged_is_changed():
    assert all(damaged(bytes(9), random.Random(seed)) != bytes(9) for seed in range(99))
