"""Versions and devices for a bug report, and whether XLA and bfloat16 pay here."""

import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

import tfpvae

_PACKAGES = (
    "tensorflow",
    "tensorflow-probability",
    "tf-keras",
    "keras",
    "numpy",
    "pillow",
    "matplotlib",
    "scikit-learn",
    "tensorboard",
)


# Variables that change what TensorFlow or oneDNN do. By name: others may hold what is private.
_SETTINGS = (
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
    "OMP_NUM_THREADS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)


# What a processor calls its bfloat16 products: Intel and AMD first, Arm last.
_BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16", "svebf16")
_ROUNDS = 5
_COLUMNS = {
    "XLA": ("float32", True),
    "bfloat16": ("bfloat16", False),
    "bfloat16, XLA": ("bfloat16", True),
}


def report() -> str:
    """Returns the text that `python -m tfpvae` prints, to paste into a bug report.

    Its last table is measured as it is asked for, in a second or two; see `speed_ratios`.
    """
    settings = {name: os.environ[name] for name in _SETTINGS if name in os.environ}
    sections = {
        "versions": versions(),
        "platform": {"system": platform.platform(), "cores": str(os.cpu_count()), **_processor()},
        "devices": _devices(),
        "environment variables": settings or {"none of those that matter": ""},
    }
    lines = [f"tfpvae {tfpvae.__version__}"]
    for title, rows in sections.items():
        width = max(map(len, rows))
        lines += [
            "",
            title,
            *(f"  {key:<{width}}  {value}".rstrip() for key, value in rows.items()),
        ]
    return "\n".join([*lines, "", *_speed_table()])


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that tfpvae stands on.

    >>> list(versions())[:3]
    ['python', 'tfpvae', 'tensorflow']
    """
    versions = {"python": platform.python_version(), "tfpvae": tfpvae.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def bfloat16_support(cpuinfo: str) -> str:
    """Returns what a processor has for products of bfloat16, by the text of /proc/cpuinfo.

    With AMX (`amx_bf16`) or AVX512_BF16, oneDNN computes them in hardware; without, by way of
    float32, which takes longer than float32 itself.

    >>> bfloat16_support("flags : fpu avx2 avx512f avx512_bf16")
    'in hardware: avx512_bf16'
    """
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    if not lines:
        return "not known: no flags in /proc/cpuinfo"
    flags = [flag for flag in _BFLOAT16_FLAGS if flag in lines[0].split()]
    if not flags:
        return "by way of float32: no such instructions"
    return f"in hardware: {', '.join(flags)}"


def speed_ratios() -> dict[str, dict[str, float | str]]:
    """Returns how many times faster than plain float32 XLA and bfloat16 are here, as measured.

    Of two small pieces of a VAE, each with its gradients: a dense layer, [128, 784] by [784, 256],
    and a 3x3 convolution, [8, 28, 28, 16] to 32 channels. A ratio is that of the shortest times of
    some rounds, in which all take turns. Other work on the machine still shows; of a larger network
    it may come out otherwise.

    Returns:
      By piece and "XLA", "bfloat16" or "bfloat16, XLA", the ratio, or the error's name where it
      cannot be had.
    """
    rng = np.random.default_rng(0)
    return {
        name: _ratios(function, [rng.standard_normal(shape) for shape in shapes])
        for name, (function, *shapes) in _PIECES.items()
    }


def _convolve(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(images, kernel, strides=1, padding="SAME")


_PIECES: dict[str, tuple] = {
    "matrix product": (tf.matmul, [128, 784], [784, 256]),
    "convolution": (_convolve, [8, 28, 28, 16], [3, 3, 16, 32]),
}


def _ratios(function: Callable, arrays: list[np.ndarray]) -> dict[str, float | str]:
    steps: dict[str, Callable] = {}
    failed: dict[str, str] = {}
    for name, (dtype, jit_compile) in {"plain": ("float32", False), **_COLUMNS}.items():
        try:
            steps[name] = _step(function, arrays, dtype, jit_compile)
            steps[name]()  # compiled
        except Exception as error:  # whatever it is belongs in the report
            if name == "plain":
                raise
            steps.pop(name, None)
            failed[name] = type(error).__name__
    seconds = _shortest(steps)
    return {
        name: failed[name] if name in failed else seconds["plain"] / seconds[name]
        for name in _COLUMNS
    }


def _step(
    function: Callable, arrays: list[np.ndarray], dtype: str, jit_compile: bool
) -> Callable[[], float]:
    """Returns what computes a function and its gradients once, and waits for them."""
    inputs = [tf.cast(array, dtype) for array in arrays]

    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = tf.reduce_sum(tf.nn.relu(function(*inputs)))
        return tf.add_n([tf.reduce_sum(part) for part in tape.gradient(value, inputs)])

    traced = tf.function(step, jit_compile=jit_compile, autograph=False)
    concrete = traced.get_concrete_function(*inputs)
    return lambda: float(concrete(*inputs))


def _shortest(steps: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Returns the shortest time of each step, in seconds."""
    seconds = dict.fromkeys(steps, float("inf"))
    for _ in range(_ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def _speed_table() -> list[str]:
    lines = ["times as fast as float32 without XLA, measured now, with gradients; above 1 it pays"]
    lines.append("  " + " " * 14 + "".join(f"{name:>16}" for name in _COLUMNS))
    for piece, ratios in speed_ratios().items():
        cells = (f"{r:.2f}" if isinstance(r, float) else r for r in ratios.values())
        lines.append(f"  {piece:<14}" + "".join(f"{cell:>16}" for cell in cells))
    return lines


def _devices() -> dict[str, str]:
    devices = {}
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        keys = [key for key in ("device_name", "compute_capability") if key in details]
        name = device.name.removeprefix("/physical_device:")
        devices[name] = ", ".join(str(details[key]) for key in keys)
    return devices


def _processor() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    text = path.read_text(errors="replace") if path.exists() else ""
    named = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    name = named[1] if named else platform.processor() or platform.machine()
    return {"processor": name, "bfloat16": bfloat16_support(text)}
