"""The error of an import without a dependency says the command that installs it."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import tfpvae
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


# Modules that are imported before TensorFlow, so that the test is fast.
@pytest.mark.parametrize(
    ("module", "package"), [("tensorflow", "tensorflow"), ("tf_keras", "tf-keras")]
)
def test_an_import_without_a_dependency_says_the_fix(module, package):
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT, module],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    last = process.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {module}: wanted it installed, got none.")
    assert f'python -m pip install "{package}' in last


def test_a_module_that_is_imported_later_says_the_fix_too(monkeypatch):
    def import_module(name):
        raise ModuleNotFoundError(f"No module named 'PIL', for {name}", name="PIL")

    monkeypatch.setattr("importlib.import_module", import_module)
    with pytest.raises(ImportError, match="PIL: wanted it installed.*pillow"):
        tfpvae.__getattr__("datasets")


@pytest.mark.parametrize("module", _imports._PACKAGES)
def test_the_command_has_the_versions_that_tfpvae_requires(module, monkeypatch):
    package = _imports._PACKAGES[module]
    requirements = [f"other-{package}>9", f'{package}>=1.5,<2; python_version >= "3.10"']
    monkeypatch.setattr("importlib.metadata.requires", lambda _: requirements)
    assert f'pip install "{package}>=1.5,<2"' in _imports.message(module)


def test_a_checkout_that_is_not_installed_names_the_package_without_versions(monkeypatch):
    def requires(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", requires)
    assert 'pip install "tensorflow"' in _imports.message("tensorflow")


@pytest.mark.parametrize("module", ["tfpvae.nothing", "tensorflow.nothing", "pandas", None])
def test_other_modules_have_no_message(module):
    assert _imports.message(module) is None
