"""The Python of README and docs runs unchanged, the blocks of a page one after another."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tfpvae.datasets import draw_flowers

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
)
PYTHON = r"```python\n(.*?)```"
# Pages with their own tests.
OWN_TEST = (
    "README.md",
    "docs/choices.md",
    "docs/evaluation.md",
    "docs/howto/logging.md",
    "docs/own_pictures.md",
)

# Packages that a page requires; without them it is skipped.
NEEDS = {"docs/howto/devices.md": "ai_edge_litert", "docs/howto/serving.md": "litserve"}


# Pages that print what a long training reaches, and assert nothing of it.
EPOCHS = {"docs/howto/tables.md": 2}


def blocks_of(page: str) -> list[str]:
    return re.findall(PYTHON, (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Runs the test in an empty folder, and returns it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(page: str, *, epochs: int | None = None) -> None:
    """Runs a page in this process, where TensorFlow is already imported."""
    text = (ROOT / page).read_text()
    if epochs:  # instead of the page's number
        text = re.sub(r"epochs=\d+", f"epochs={epochs}", text)
    parts = re.split(PYTHON, text, flags=re.DOTALL)
    # Other text becomes empty lines, so that an error names the line of the page.
    parts = ["\n" + part if i % 2 else "\n" * part.count("\n") for i, part in enumerate(parts)]
    exec(compile("".join(parts), ROOT / page, "exec"), {"__name__": "page"})


def write_pictures(folder: Path, *, size: tuple[int, int], mode: str = "RGB") -> None:
    folder.mkdir()
    for i, image in enumerate(draw_flowers(30).images):
        Image.fromarray(image).convert(mode).resize(size).save(folder / f"{i}.png")


@pytest.mark.slow
def test_the_readme_runs(tmp_path):
    write_pictures(tmp_path / "pictures", size=(80, 80))
    process = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks_of("README.md"))],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    printed = process.stdout
    for name in ("reconstructions.png", "samples.png"):
        Image.open(tmp_path / name).verify()
    plain, ours = re.findall(r"KL ([\d.]+), in the loss ([\d.]+)", printed)
    assert float(plain[1]) == pytest.approx(2 * float(plain[0]), rel=2e-3)
    assert float(ours[1]) == pytest.approx(float(ours[0]), rel=2e-3)
    assert printed.count("cannot be saved") == 1 and "saved, and loaded" in printed


@pytest.mark.slow
def test_custom_pictures_take_under_forty_lines(folder, capsys):
    (block,) = blocks_of("docs/own_pictures.md")
    assert len(block.splitlines()) < 40
    write_pictures(folder / "gray_pictures", size=(36, 50), mode="L")
    run("docs/own_pictures.md", epochs=6)
    assert "'nll'" in capsys.readouterr().out
    results = {path.name for path in (folder / "results").iterdir()}
    assert results == {"mosaics", "history.png", "reconstructions.png", "samples.png", "model"}
    # Early stopping waits for five epochs, so that this mosaic is always there.
    Image.open(folder / "results" / "mosaics" / "epoch_0005.png").verify()


@pytest.mark.slow
def test_the_page_on_choices_runs(folder, capsys):
    run("docs/choices.md")
    printed = capsys.readouterr().out
    (bits,) = re.findall(r"^monte_carlo ([\d.]+)$", printed, re.MULTILINE)
    assert 7 < float(bits) < 9  # noise has 8, which nothing can compress
    assert (folder / "chosen").is_dir()
    assert re.search(r"^most likely: \[\d \d \d\]$", printed, re.MULTILINE)


@pytest.mark.slow
def test_the_page_on_evaluation_runs(folder, capsys):
    run("docs/evaluation.md")
    printed = capsys.readouterr().out
    curve = [float(bound) for bound in re.findall(r"^L_\d+: (-[\d.]+)", printed, re.MULTILINE)]
    assert len(curve) == 4 and curve == sorted(curve)
    assert "active units" in printed and "of 8" in printed
    low, high = map(float, re.findall(r"between (-[\d.]+) and (-[\d.]+)", printed)[0])
    assert (
        low < high + 1
    )  # for four images both have errors of half a nat, and the gap may be smaller
    assert re.search(r"gain: [\d.]+ nats", printed)  # positive
    assert (folder / "with_fitted_prior").is_dir()
    Image.open(folder / "units.png").verify()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in OWN_TEST and blocks_of(page)]
)
def test_every_other_page_runs(page, folder):
    """A page asserts the claims of its text itself."""
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    run(page, epochs=EPOCHS.get(page))


def test_the_readme_has_each_of_its_two_commands_on_one_line():
    lines = [line.strip() for line in (ROOT / "README.md").read_text().splitlines()]
    assert sum("examples/flowers.py" in line and "pip install" in line for line in lines) == 1
    assert sum("-m pytest" in line for line in lines) == 1


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_exists(page):
    text = re.sub("```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    missing = [
        link
        for link in links
        if "://" not in link and not (ROOT / page).parent.joinpath(link).exists()
    ]
    assert missing == []


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("docs/figures/**/*.png")), ids=lambda path: path.name
)
def test_every_figure_of_the_docs_is_small_and_shown_on_a_page(path):
    assert path.stat().st_size <= 100_000
    pages = [(ROOT / page).read_text() for page in PAGES]
    assert any(path.relative_to(ROOT / "docs").as_posix() in page for page in pages)
