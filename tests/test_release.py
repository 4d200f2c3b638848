"""A release: one version number, and complete files."""

import os
import re
import runpy
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import tfpvae

ROOT = Path(__file__).parents[1]


def test_the_version_is_in_one_file_only():
    number = re.escape(tfpvae.__version__)
    settings = [
        ROOT / name for name in ("setup.cfg", "pyproject.toml", "CITATION.cff", "mkdocs.yml")
    ]
    assert [
        path.name
        for path in settings
        if re.search(rf"(?<![\d.]){number}(?![\d.])", path.read_text())
    ] == []
    assert "version = attr: tfpvae.__version__" in (ROOT / "setup.cfg").read_text()


def test_an_unsupported_python_is_told_the_supported_ones(monkeypatch):
    low, high = re.findall(r"\((3, \d+)\)", (ROOT / "setup.py").read_text())
    expected = f"python_requires = >={low},<{high}".replace(", ", ".")
    assert expected in (ROOT / "setup.cfg").read_text()
    pytest.importorskip("setuptools")
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    with pytest.raises(SystemExit, match=r"wanted Python 3.10 to 3.13.*got 3\.9\. "):
        runpy.run_path(str(ROOT / "setup.py"))


def test_the_changelog_has_this_version_or_unreleased_changes():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## Unreleased" in text or f"## {tfpvae.__version__}" in text


@pytest.fixture
def dist() -> Path:
    """Returns the folder with the output of `python -m build`, which TFPVAE_DIST names."""
    if "TFPVAE_DIST" not in os.environ:
        pytest.skip("no built files: TFPVAE_DIST names their folder")
    return Path(os.environ["TFPVAE_DIST"])


def test_the_wheel_has_the_typed_package_and_nothing_else(dist):
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "tfpvae/py.typed" in names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"tfpvae"}
    sources = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tfpvae/**/*.py")}
    assert sources <= set(names)


def test_the_sdist_has_all_files_of_the_repository(dist):
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = [
        path.relative_to(ROOT).as_posix()
        for folder in ("benchmarks", "docs", "examples", "notebooks", "tests", "tfpvae")
        for path in ROOT.glob(f"{folder}/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    top = ["CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "README.md", "mkdocs.yml"]
    assert set(tracked + top) - names == set()
