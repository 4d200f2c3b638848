"""Reproduces published numbers on MNIST, one row of the literature at a time.

    python benchmarks/reproduce.py --row C --data MNIST_FOLDER

Each row is a module of benchmarks/rows. A row has one or more runs, each in its own folder,
WORK/ROW_seedSEED/RUN: log.json has an entry per epoch, backup the weights and the optimizer of the
last epoch, result.json the scores with settings, versions and seconds. The same command resumes an
interrupted run after its last whole epoch, and does not repeat a finished one; with more --epochs
it trains up to those.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from types import ModuleType

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from rows import a, b, c, d, e, f, g
from rows.training import Task

import tfpvae

ROWS = {"A": a, "B": b, "C": c, "D": d, "E": e, "F": f, "G": g}
VERSIONS = {
    "python": platform.python_version(),
    **{module.__name__: module.__version__ for module in (tf, tf_keras, tfp, tfpvae)},
}


def settings_of(args: argparse.Namespace, row: ModuleType) -> dict:
    """Returns the settings that the scores of a run depend on."""
    small = {"epochs": 1, "test_samples": 5, "test_images": 20}
    usual = {"epochs": row.EPOCHS, "test_samples": row.TEST_SAMPLES, "test_images": 10_000}
    overrides = {name: getattr(args, name) for name in usual if getattr(args, name) is not None}
    return {"row": args.row, "seed": args.seed} | (small if args.smoke else usual) | overrides


def result_of(name: str, args: argparse.Namespace) -> dict:
    """Returns the result of a run from its file, or runs it."""
    row = ROWS[args.row]
    settings = settings_of(args, row)
    smoke = "_smoke" if args.smoke else ""
    folder = args.work / f"{args.row}_seed{args.seed}{smoke}" / name
    path = folder / "result.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    if result.get("settings") == settings:
        return result
    folder.mkdir(parents=True, exist_ok=True)
    print(f"row {args.row}, {name}: {settings}", flush=True)
    start = time.perf_counter()
    options = {name: settings[name] for name in ("seed", "epochs", "test_samples", "test_images")}
    scores = row.run(name, Task(folder=folder, data=args.data, smoke=args.smoke, **options))
    seconds = time.perf_counter() - start
    result = {"settings": settings, "versions": VERSIONS, "seconds": seconds, "scores": scores}
    path.write_text(json.dumps(result, indent=2) + "\n")
    return result


def table(results: dict[str, dict]) -> str:
    """Returns the scores of all runs of a row as text."""
    lines = []
    for name, result in results.items():
        scores = result["scores"].items()
        cells = [f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in scores]
        lines += [name, *(f"  {line}" for line in cells)]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict[str, dict]:
    """Runs the runs of a row that have no results, and returns the results of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", required=True, choices=ROWS)
    parser.add_argument("--data", required=True, type=Path, help="folder of MNIST's IDX files")
    parser.add_argument("--work", type=Path, default=Path("reproduced"), help="folder to work in")
    parser.add_argument("--only", nargs="+", help="only these runs of the row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="default: the row's")
    parser.add_argument("--test-samples", type=int, help="importance samples; default: the row's")
    parser.add_argument("--test-images", type=int, help="default: all 10,000")
    parser.add_argument("--smoke", action="store_true", help="a minimal run, to see that all works")
    args = parser.parse_args(arguments)
    row = ROWS[args.row]
    names = args.only or [*row.RUNS]
    if unknown := set(names) - set(row.RUNS):
        parser.error(f"--only: wanted some of {', '.join(row.RUNS)}, got {', '.join(unknown)}.")
    results = {name: result_of(name, args) for name in names}
    print(row.__doc__, "Published:", row.PUBLISHED, "", table(results), sep="\n")
    return results


if __name__ == "__main__":
    main()
