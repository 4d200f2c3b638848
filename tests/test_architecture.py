"""The table of rooms in docs/architecture.md agrees with the imports of the code."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import tfpvae

ROOMS = Path(tfpvae.__file__).parent
PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()


def table(heading: str) -> list[list[str]]:
    """Returns the cells of the rows of a table, without its head."""
    lines = PAGE.partition(heading)[2].partition("\n|")[2].partition("\n\n")[0].splitlines()[2:]
    return [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]


def names(cell: str) -> set[str]:
    return {name.rstrip("/") for name in re.findall(r"`([\w/.]+)`", cell)}


TABLE = {
    name: (contents, imports)
    for room, contents, imports in table("downwards:")
    for name in names(room)
}


def modules(room: str) -> list[Path]:
    folder = ROOMS / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOMS / f"{room}.py"]


def rooms_imported(path: Path) -> set[str]:
    """Returns the rooms of tfpvae that a module imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "tfpvae":
            names |= {f"tfpvae.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name.split(".")[1] for name in names if name.startswith("tfpvae.")}


def test_the_table_has_every_room_and_no_others():
    rooms = {p.stem if p.suffix else p.name for p in ROOMS.iterdir() if p.name != "py.typed"}
    assert set(TABLE) == rooms - {"__pycache__", "__main__"}


@pytest.mark.parametrize("room", sorted(set(TABLE) - {"__init__", "_environment"}))
def test_a_room_imports_only_the_lower_rooms_of_the_table(room):
    expected = names(TABLE[room][1].partition("(")[0])
    imported = set().union(*map(rooms_imported, modules(room))) - {room}
    assert imported == expected
    order = [*TABLE]
    assert [name for name in imported if order.index(name) < order.index(room)] == []


@pytest.mark.parametrize("room", [name for name in TABLE if (ROOMS / name).is_dir()])
def test_the_table_names_every_module_of_a_room(room):
    assert {path.stem for path in modules(room)} - {"__init__"} <= names(TABLE[room][0])


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
def test_everything_listed_as_written_by_hand_exists(name):
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(["tfpvae", *parts[:i]]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            value = getattr(value, part)
        return
    getattr(tfpvae, name)


PROGRAMS = sorted(
    path
    for folder in ("benchmarks", "examples", "notebooks")
    for path in (ROOMS.parent / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_programs_import_public_names_only(path):
    assert rooms_imported(path) <= set(tfpvae.__all__)
