"""The report that `python -m tfpvae` prints."""

import runpy

import pytest

import tfpvae
from tfpvae import _environment


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (
            "flags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16\n",
            "in hardware: amx_bf16, avx512_bf16",
        ),
        ("Features\t: fp asimd sve bf16 i8mm\n", "in hardware: bf16"),
        ("flags\t\t: fpu avx2 avx512f\n", "by way of float32: no such instructions"),
        ("flags\t\t: fpu not_avx512_bf16x\n", "by way of float32: no such instructions"),
        ("", "not known: no flags in /proc/cpuinfo"),
    ],
)
def test_bfloat16_support_follows_from_the_flags_of_the_processor(cpuinfo, expected):
    assert _environment.bfloat16_support(cpuinfo) == expected


def test_the_report_has_what_a_bug_report_needs(monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("TF_SECRET", "hidden")
    runpy.run_module("tfpvae", run_name="__main__")
    printed = capsys.readouterr().out
    for expected in (tfpvae.__version__, "tensorflow-probability", "CPU:0", "XLA_FLAGS"):
        assert expected in printed
    assert "hidden" not in printed  # private variables are not printed
    table = printed.splitlines()[-2:]
    assert [line.split()[0] for line in table] == ["matrix", "convolution"]
    for line in table:
        ratios = [float(cell) for cell in line[16:].split()]
        assert len(ratios) == 3 and min(ratios) > 0


def test_speed_ratios_are_ratios_of_times(monkeypatch):
    # Seconds of each column: plain 4, XLA 2, bfloat16 8, both 1.
    names = ["plain", "XLA", "bfloat16", "bfloat16, XLA"]
    monkeypatch.setattr(_environment, "_step", lambda *_: lambda: 0.0)
    seconds = dict(zip(names, [4.0, 2.0, 8.0, 1.0], strict=True))
    monkeypatch.setattr(_environment, "_shortest", lambda steps: {n: seconds[n] for n in steps})
    expected = {"XLA": 2.0, "bfloat16": 0.5, "bfloat16, XLA": 4.0}
    assert set(_environment.speed_ratios()) == {"matrix product", "convolution"}
    assert _environment.speed_ratios()["convolution"] == expected


def test_an_error_replaces_the_ratio_of_what_fails(monkeypatch):
    def step(function, arrays, dtype, jit_compile):
        if jit_compile:
            raise NotImplementedError("no XLA for this device")
        return lambda: 0.0

    monkeypatch.setattr(_environment, "_step", step)
    ratios = _environment.speed_ratios()["matrix product"]
    assert ratios["XLA"] == ratios["bfloat16, XLA"] == "NotImplementedError"
    assert isinstance(ratios["bfloat16"], float)
