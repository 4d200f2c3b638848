"""The site: every page is in the menu, every public name in the API, and nothing is fetched."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tfpvae
from tfpvae.models.decoders import LIKELIHOODS
from tfpvae.models.encoders import POSTERIORS
from tfpvae.priors import PRIORS

ROOT = Path(__file__).parents[1]
SETTINGS = (ROOT / "mkdocs.yml").read_text()
API = "\n".join(path.read_text() for path in sorted(ROOT.glob("docs/api/*.md")))
# Modules whose API pages list their `__all__`, or all names without an underscore.
WHOLE = ("callbacks", "datasets", "evaluation", "figures", "saving", "schedules")


def test_the_menu_has_every_page_and_no_others():
    listed = re.findall(r"[\w/]+\.md$", SETTINGS.partition("\nnav:\n")[2], re.MULTILINE)
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")]
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/faults.md", "CONTRIBUTING.md"])
def test_files_named_on_a_page_exist(page):
    text = (ROOT / page).read_text()
    paths = set(re.findall(r"\b(?:tests|tfpvae|benchmarks)/[\w/]+(?:\.\w+)?", text))
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_menu_names_equal_page_headings():
    menu = SETTINGS.partition("\nnav:\n")[2]
    # The page of a section, such as choices.md, has the name of the section.
    names = re.findall(r"- ([^\n:]+):(?:\n +-)? ([\w/]+\.md)$", menu, re.MULTILINE)
    assert len(names) == len(re.findall(r"\.md$", menu, re.MULTILINE))
    for name, page in names:
        text = (ROOT / "docs" / page).read_text()
        text = (ROOT / "CHANGELOG.md").read_text() if text.startswith("--8<--") else text
        assert text.startswith(f"# {name}\n"), page


@pytest.mark.parametrize("module", WHOLE)
def test_a_public_module_is_in_the_api(module):
    assert f"::: tfpvae.{module}\n" in API


@pytest.mark.parametrize("name", [n for n in tfpvae.__all__ if n not in (*WHOLE, "layers")])
def test_every_public_name_is_in_the_api(name):
    value = getattr(tfpvae, name)
    expected = f"::: tfpvae.{name}\n" if callable(value) else f"::: tfpvae.{name}."
    assert expected in API


def test_every_figure_is_in_the_api():
    page = (ROOT / "docs/api/figures.md").read_text()
    names = re.findall(r"^::: tfpvae\.figures\.(\w+)$", page, re.MULTILINE)
    assert sorted(names) == tfpvae.figures.__all__


def test_every_layer_is_in_the_api():
    page = (ROOT / "docs/api/layers.md").read_text()
    assert sorted(re.findall(r"^ +- (\w+)$", page, re.MULTILINE)) == tfpvae.layers.__all__


@pytest.mark.parametrize("kind", ["prior", "posterior", "likelihood"])
def test_every_choice_has_a_page(kind):
    names = {"prior": PRIORS, "posterior": POSTERIORS, "likelihood": LIKELIHOODS}
    pages = ROOT.glob(f"docs/{kind}s/*.md")
    assert sorted(page.stem for page in pages) == sorted(names[kind])
    for page in ROOT.glob(f"docs/{kind}s/*.md"):
        text = page.read_text()
        assert f'{kind}="{page.stem}"' in text
        for part in ("**When.**", "**Reference", "```python", "\n$$\n"):  # the last is the equation
            assert part in text


def test_examples_of_docstrings_become_blocks():
    pytest.importorskip("griffe", reason="the docs are built with pip install '.[docs]'")
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        fenced = importlib.import_module("doctests").fenced
    finally:
        sys.path.pop(0)
    docstring = "Returns one.\n\n>>> f(\n...     1)\n1\n\nMore.\n\n>>> f(2)\n1"
    expected = "Returns one.\n\n```pycon\n>>> f(\n...     1)\n1\n```\n\nMore.\n\n"
    assert fenced(docstring) == expected + "```pycon\n>>> f(2)\n1\n```"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    pytest.importorskip("zensical", reason="the docs are built with pip install '.[docs]'")
    for name in ("docs", "tfpvae"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    pages = list(tmp_path.glob("build/site/**/*.html"))
    assert len(pages) > len(list(ROOT.glob("docs/**/*.md")))  # and the page of error 404
    fetching = r"<(?:script|img|iframe)[^>]* src=\"(?:https?:)?//|<link[^>]* href=\"(?:https?:)?//"
    assert [page.name for page in pages if re.search(fetching, page.read_text())] == []
    links = [
        (page, link)
        for page in pages
        if page.name != "404.html"  # whose links start at the root of a server
        for link in re.findall(r'href="([^"#?]+)', page.read_text())
        if "://" not in link
    ]
    assert [link for page, link in links if not page.parent.joinpath(link).exists()] == []
