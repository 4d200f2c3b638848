"""Damaged files of every kind: no process crashes, hangs or ignores a checksum."""

import json
import random

import pytest

from tests.fuzz import TIMES
from tests.fuzz.damage import CHANGES, damaged
from tests.processes import run_module

COUNTS = {
    **dict.fromkeys(("IDX", "IDX, gzipped", "NPZ", "NPZ, inside"), 40),
    **dict.fromkeys(("PNG", "JPEG", "GIF", "BMP", "WEBP"), 25),
    **dict.fromkeys((".weights.h5", ".h5", "checkpoint"), 4),
    **dict.fromkeys((".keras", ".keras, inside", "SavedModel"), 2),
}


@pytest.mark.slow
def test_damaged_files_are_refused_or_read_as_intact_ones(tmp_path):
    kinds = [f"{name}={count * TIMES}" for name, count in COUNTS.items()]
    lines = run_module("tests.fuzz.damaged_files", tmp_path, *kinds)
    print(lines)
    reports = [json.loads(line) for line in lines.splitlines()]
    assert [(report["kind"], report["read"]) for report in reports] == [
        (name, count * TIMES) for name, count in COUNTS.items()
    ]
    assert [report["failures"] for report in reports] == [[]] * len(reports)
    assert all(report["refused"] for report in reports)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [1, 2, 300])
def test_a_seed_reproduces_a_change(change, size):
    data = bytes(range(256)) * 2
    for seed in range(20):
        result = change(data[:size], random.Random(seed))
        assert isinstance(result, bytes) and len(result) <= size + 16
        assert result == change(data[:size], random.Random(seed))


def test_damage_always_changes_the_bytes():
    assert all(damaged(bytes(9), random.Random(seed)) != bytes(9) for seed in range(99))
