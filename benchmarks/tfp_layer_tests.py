"""Runs TensorFlow Probability's own tests of its distribution layers on those of tfpvae.

`python benchmarks/tfp_layer_tests.py CHECKOUT` takes the folder of a checkout of
github.com/tensorflow/probability at the tag of the installed version (v0.25.0), of which it keeps
nothing. It runs the test module as it is, then with `tfpvae.layers` in the place of `tfp.layers`,
and once more without the scale floor of tfpvae, and prints which tests pass with which. A class
that tfpvae lacks, the Gaussian process, is that of TensorFlow Probability in all runs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

MODULE = "tensorflow_probability/python/layers/distribution_layer_test.py"
IMPORT = "from tensorflow_probability.python.layers import distribution_layer\n"

PLAIN = "from tensorflow_probability.python.layers import distribution_layer"

OURS = """
import types
from tensorflow_probability.python.layers import distribution_layer as plain
from tfpvae import layers
distribution_layer = types.SimpleNamespace(**vars(plain))
for name in layers.__all__:
    setattr(distribution_layer, name, getattr(layers, name))
"""

NO_FLOOR = (
    OURS
    + """
class IndependentNormal(layers.IndependentNormal):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"scale_floor": 0.0, **kwargs})
    @staticmethod
    def new(*args, **kwargs):
        return layers.IndependentNormal.new(*args, scale_floor=0.0, **kwargs)
distribution_layer.IndependentNormal = layers.base.register(IndependentNormal)
"""
)

# absl parses the flags that its tests read only when it is the one that runs them.
CONFTEST = """
from absl import flags
flags.FLAGS(["test"])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="folder of a checkout of TFP 0.25")
    source = (parser.parse_args().checkout / MODULE).read_text()
    if source.count(IMPORT) != 1:
        sys.exit(f"{MODULE}: wanted one line {IMPORT.strip()!r}, got {source.count(IMPORT)}.")
    runs = {"tfp.layers": PLAIN, "tfpvae.layers": OURS, "scale_floor=0": NO_FLOOR}
    outcomes = {name: run(source, imports) for name, imports in runs.items()}
    passed = {test for test, is_passed in outcomes["tfp.layers"].items() if is_passed}
    for name, outcome in outcomes.items():
        count = sum(outcome.get(test, False) for test in passed)
        print(f"{name}: {count} of the {len(passed)} tests that pass with tfp.layers")
    for test in sorted(passed):
        if not outcomes["tfpvae.layers"].get(test, False):
            is_passed = outcomes["scale_floor=0"].get(test, False)
            print(f"  {test}{' (passes with scale_floor=0)' if is_passed else ''}")


def run(source: str, imports: str) -> dict[str, bool]:
    """Returns whether each test passed, with this code in the place of the import of the layers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "conftest.py").write_text(CONFTEST)
        (path / "test_layers.py").write_text(source.replace(IMPORT, imports + "\n"))
        report = path / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
        root = str(Path(__file__).resolve().parents[1])
        subprocess.run(
            [*command, f"--junitxml={report}", f"--rootdir={folder}"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        cases = ElementTree.parse(report).iter("testcase")
        # A skipped, failed or broken test has an element that says so.
        kinds = ("failure", "error", "skipped")
        return {
            f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}": not any(
                case.find(kind) is not None for kind in kinds
            )
            for case in cases
        }


if __name__ == "__main__":
    main()
