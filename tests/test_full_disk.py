"""Disks that are full in the middle of `fit`: what was backed up stays, and training goes on."""

import contextlib
import os
import resource
import subprocess

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae

SHAPE = (6, 5, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (10, *SHAPE), dtype=np.uint8)
PAGE = 4096


@pytest.fixture
def disk(tmp_path):
    """A disk of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted here: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


class AtEpoch(tf_keras.callbacks.Callback):
    """Does something at the end of the second epoch, before the callbacks that come after it."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            self.action()


def fill(disk, left):
    """Leaves so many bytes of a disk free."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(bytes(free - left))


@contextlib.contextmanager
def limited():
    """Yields what limits the size of every file, until the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def train(folder, *callbacks):
    """Trains as a new process would; returns all that has changed, and the epochs run."""
    tf_keras.utils.set_random_seed(1)
    vae = tfpvae.build_vae("deep", image_shape=SHAPE, posterior="independent_normal")
    vae.compile(tf_keras.optimizers.Adam(0.01), run_eagerly=True)
    keep = tf_keras.callbacks.BackupAndRestore(str(folder / "backup"), delete_checkpoint=False)
    fitted = vae.fit(IMAGES, epochs=3, batch_size=4, callbacks=[*callbacks, keep], verbose=0)
    return [*vae.get_weights(), *(v.numpy() for v in vae.optimizer.variables)], fitted.epoch


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """What a training ends with that nothing interrupts, and the size of its backup."""
    folder = tmp_path_factory.mktemp("whole")
    values, _ = train(folder)
    backup = next((folder / "backup" / "chief").glob("*.data-*"))
    return values, -(-backup.stat().st_size // PAGE) * PAGE


def goes_on(folder, values, *callbacks):
    """Trains on; asserts that it does so after the one whole epoch and ends as it should."""
    found, run = train(folder, *callbacks)
    assert run == [1, 2]
    assert all(map(np.array_equal, found, values))
    assert len([*(folder / "backup" / "chief").iterdir()]) == 3  # nothing half is left over


# Pages left beside those that the values take, if any: too few for them, for their index, and for
# the index of the whole that is made of its parts.
@pytest.mark.parametrize("pages", [None, 0, 1])
def test_a_backup_that_finds_the_disk_full(disk, wanted, pages):
    values, size = wanted
    left = 0 if pages is None else size + pages * PAGE
    full = pytest.raises(tf.errors.ResourceExhaustedError, match="ckpt-2.*No space left on device")
    with full:
        train(disk, AtEpoch(lambda: fill(disk, left)))
    (disk / "filler").unlink()
    goes_on(disk, values)


def test_a_backup_that_reaches_a_limit_of_size(tmp_path, wanted):
    with pytest.raises(tf.errors.OpError, match="ckpt-2.*File too large"), limited() as limit:
        train(tmp_path, AtEpoch(limit))
    goes_on(tmp_path, wanted[0])


@pytest.mark.parametrize("name", ["last.keras", "last.weights.h5"])
def test_a_model_checkpoint_that_finds_the_disk_full(disk, wanted, name):
    def keep():
        weights_only = name.endswith("h5")
        return tf_keras.callbacks.ModelCheckpoint(str(disk / name), save_weights_only=weights_only)

    held = []

    def look_and_fill():
        held.append((disk / name).read_bytes())
        fill(disk, 2 * PAGE)

    with pytest.raises(OSError, match=f"to '.*{name}', got .*No space.*before is whole"):
        train(disk, AtEpoch(look_and_fill), keep())
    (disk / "filler").unlink()
    assert held == [(disk / name).read_bytes()]
    assert {path.name for path in disk.iterdir()} == {name, "backup"}
    goes_on(disk, wanted[0], keep())
    assert held != [(disk / name).read_bytes()]
