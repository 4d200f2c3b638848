"""The picture of the rooms in docs/architecture.md is that of the code: read, not imported."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import tfpvae

ROOMS = Path(tfpvae.__file__).parent
PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()


def table(heading: str) -> list[list[str]]:
    """Returns the cells of a table's rows, without its head."""
    lines = PAGE.partition(heading)[2].partition("\n|")[2].partition("\n\n")[0].splitlines()[2:]
    return [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]


def names(cell: str) -> set[str]:
    return {name.rstrip("/") for name in re.findall(r"`([\w/.]+)`", cell)}


PICTURE = {
    name: (what, looks_down)
    for room, what, looks_down in table("downwards:")
    for name in names(room)
}


def modules(room: str) -> list[Path]:
    folder = ROOMS / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOMS / f"{room}.py"]


def rooms_imported(path: Path) -> set[str]:
    """Returns the rooms of tfpvae that a module imports, wherever in it."""
    result = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "tfpvae":
            result |= {f"tfpvae.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            result.add(node.module)
    return {name.split(".")[1] for name in result if name.startswith("tfpvae.")}


def test_every_room_is_in_the_picture_and_nothing_else_is():
    there = {p.stem if p.suffix else p.name for p in ROOMS.iterdir() if p.name != "py.typed"}
    assert set(PICTURE) == there - {"__pycache__", "__main__"}


@pytest.mark.parametrize("room", sorted(set(PICTURE) - {"__init__", "_environment"}))
def test_a_room_looks_down_only_on_those_that_the_picture_says(room):
    below = names(PICTURE[room][1].partition("(")[0])
    seen = set().union(*map(rooms_imported, modules(room))) - {room}
    assert seen == below
    order = [*PICTURE]
    assert [name for name in seen if order.index(name) < order.index(room)] == []


@pytest.mark.parametrize("room", [name for name in PICTURE if (ROOMS / name).is_dir()])
def test_a_room_of_several_modules_names_each(room):
    assert {path.stem for path in modules(room)} - {"__init__"} <= names(PICTURE[room][0])


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            name
            for row in table("## What is written by hand")
            for name in names(row[0])
            if not name.startswith(".")
        }
    ),
)
def test_what_is_said_to_be_written_by_hand_is_there(name):
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            result = importlib.import_module(".".join(["tfpvae", *parts[:i]]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            result = getattr(result, part)
        return
    getattr(tfpvae, name)
