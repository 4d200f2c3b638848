"""Tests of listing and splitting folders of pictures."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfpvae.datasets import list_pictures, split_pictures

# Listing.


def test_flat_folder_has_no_classes(tmp_path):
    for name in ("b.png", "A.JPG", "c.bmp", ".hidden.png", "notes.txt", "d.tiff"):
        (tmp_path / name).touch()
    files = list_pictures(tmp_path)
    assert [Path(path).name for path in files.paths] == ["A.JPG", "b.png", "c.bmp"]
    assert files.labels is None
    assert files.class_names == ()


def test_sub_folders_are_classes(folder):
    (folder / "empty").mkdir()
    (folder / "readme.txt").write_text("two classes")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "1.png").touch()
    files = list_pictures(str(folder))
    assert files.class_names == ("daisy", "rose")
    assert files.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert files.labels.dtype == np.int32
    names = [Path(path).relative_to(folder).as_posix() for path in files.paths]
    assert names[:3] == ["daisy/0.png", "daisy/2.png", "daisy/4.png"]
    assert names[3:] == ["rose/1.png", "rose/3.png", "rose/5.png"]


def test_link_back_to_the_folder_does_not_loop(folder):
    try:
        (folder / "rose" / "loop").symlink_to(folder, target_is_directory=True)
        (folder / "self").symlink_to(folder / "self")
    except OSError:
        pytest.skip("this system cannot link")
    assert len(list_pictures(folder).paths) == 6


def test_missing_folder_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder: wanted .* got .*nowhere"):
        list_pictures(tmp_path / "nowhere")


def test_file_instead_of_folder_raises(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"folder: wanted a folder .* the file .*a\.png"):
        list_pictures(tmp_path / "a.png")


def test_folder_without_pictures_raises(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(ValueError, match=r"\.bmp, \.gif, \.jpeg, \.jpg, \.png, \.webp"):
        list_pictures(tmp_path)


def test_pictures_beside_class_folders_raise(folder):
    (folder / "stray.png").touch()
    with pytest.raises(ValueError, match=r"either .* got both: .*stray\.png.*0\.png"):
        list_pictures(folder)


# Splitting.


@given(
    count=st.integers(3, 200),
    weights=st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any),
    seed=st.integers(0, 2**32),
)
def test_split_is_disjoint_complete_and_near_the_fractions(count, weights, seed):
    paths = [f"{i}.jpg" for i in range(count)]
    fractions = [weight / sum(weights) for weight in weights]
    parts = split_pictures(paths, fractions, seed)
    split = [path for part in parts for path in part.paths]
    assert sorted(split) == sorted(paths)
    for part, fraction in zip(parts, fractions, strict=True):
        assert (len(part.paths) > 0) == (fraction > 0)
        # Both edges are rounded, and an empty part takes one picture of another.
        assert abs(len(part.paths) - fraction * count) <= 3


def test_split_depends_on_paths_and_seed_alone(folder):
    files = list_pictures(folder)
    assert split_pictures(files.paths) == split_pictures(files.paths[::-1])
    by_folder, by_files = split_pictures(folder), split_pictures(files)
    assert [part.paths for part in by_folder] == [part.paths for part in by_files]
    others = {split_pictures(files.paths, seed=seed)[0].paths for seed in range(5)}
    assert len(others) > 1


def test_split_of_a_moved_folder_is_the_same(folder, tmp_path_factory):
    before = split_pictures(folder)[0].paths
    moved = folder.rename(tmp_path_factory.mktemp("other") / "moved")
    after = split_pictures(moved)[0].paths
    assert [Path(path).name for path in before] == [Path(path).name for path in after]


def test_split_keeps_labels_with_their_paths(folder):
    for part in split_pictures(folder, (0.5, 0.3, 0.2)):
        assert part.class_names == ("daisy", "rose")
        names = [part.class_names[label] for label in part.labels]
        assert names == [Path(path).parent.name for path in part.paths]


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (0.9, 0.2, -0.1), (0.5, 0.1, 0.1), (1, 0, np.nan)]
)
def test_invalid_fractions_raise(fractions):
    with pytest.raises(ValueError, match="fractions: wanted three numbers >= 0 with sum 1, got"):
        split_pictures(["a.jpg", "b.jpg", "c.jpg"], fractions)


def test_fewer_pictures_than_parts_raise():
    with pytest.raises(ValueError, match=r"files: wanted at least 3 pictures, .* got 2"):
        split_pictures(["a.jpg", "b.jpg"])


def test_repeated_pictures_raise():
    with pytest.raises(ValueError, match=r"files: wanted each picture once, got 'a\.jpg' twice"):
        split_pictures(["a.jpg", "b.jpg", "a.jpg"])


@pytest.mark.parametrize("seed, error", [(-1, ValueError), (0.5, TypeError), (None, TypeError)])
def test_invalid_seeds_raise(seed, error):
    with pytest.raises(error, match="seed: wanted a whole number"):
        split_pictures(["a.jpg", "b.jpg", "c.jpg"], seed=seed)
