"""An import that fails for want of a dependency says the command that helps."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tfpvae import _imports

WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
import tfpvae
"""


# Of those that are imported before TensorFlow is, so that the test takes no time.
@pytest.mark.parametrize(
    ("module", "package"), [("tensorflow", "tensorflow"), ("tf_keras", "tf-keras")]
)
def test_an_import_without_a_dependency_says_the_fix(module, package):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, module],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {module}: wanted it installed, got none.")
    assert f'python -m pip install "{package}' in last


@pytest.mark.parametrize("module", _imports._PACKAGES)
def test_the_command_asks_for_the_versions_that_tfpvae_does(module, monkeypatch):
    package = _imports._PACKAGES[module]
    expected = [f"other-{package}>9", f'{package}>=1.5,<2; python_version >= "3.10"']
    monkeypatch.setattr("importlib.metadata.requires", lambda _: expected)
    assert f'pip install "{package}>=1.5,<2"' in _imports.message(module)


def test_a_checkout_that_is_not_installed_names_the_package_alone(monkeypatch):
    def requires(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", requires)
    assert 'pip install "tensorflow"' in _imports.message("tensorflow")


@pytest.mark.parametrize("module", ["tfpvae.nothing", "tensorflow.nothing", "pandas", None])
def test_of_any_other_module_it_says_nothing(module):
    assert _imports.message(module) is None
