"""When a disk fills up during `fit`, the last backup stays and training resumes."""

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
    """Mounts a disk of one megabyte."""
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
    """Calls a function at the end of the second epoch, before later callbacks."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            self.action()


def fill(disk, num_bytes):
    """Fills a disk except for a number of bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(bytes(free - num_bytes))


@contextlib.contextmanager
def limited():
    """Yields a function that limits the size of each file until the end of the context."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def train(folder, *callbacks):
    """Trains as a new process does; returns all variables and the epochs that were run."""
    tf_keras.utils.set_random_seed(1)
    vae = tfpvae.build_vae("deep", image_shape=SHAPE, posterior="independent_normal")
    vae.compile(tf_keras.optimizers.Adam(0.01), run_eagerly=True)
    backup = tf_keras.callbacks.BackupAndRestore(str(folder / "backup"), delete_checkpoint=False)
    history = vae.fit(IMAGES, epochs=3, batch_size=4, callbacks=[*callbacks, backup], verbose=0)
    return [*vae.get_weights(), *(v.numpy() for v in vae.optimizer.variables)], history.epoch


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Returns the variables after an uninterrupted training, and the size of its backup."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    values, _ = train(folder)
    backup = next((folder / "backup" / "chief").glob("*.data-*"))
    return values, -(-backup.stat().st_size // PAGE) * PAGE


def check_resumed(folder, values, *callbacks):
    """Trains again; checks that it resumes after the first epoch and ends with the values."""
    actual, epochs = train(folder, *callbacks)
    assert epochs == [1, 2]
    assert all(map(np.array_equal, actual, values))
    assert len([*(folder / "backup" / "chief").iterdir()]) == 3  # no part of the failed backup


# Free pages beyond those of the values: too few for the values, their index, and the merged index.
@pytest.mark.spread(2)
@pytest.mark.parametrize("pages", [None, 0, 1])
def test_training_resumes_after_a_backup_to_a_full_disk(disk, uninterrupted, pages):
    values, size = uninterrupted
    free = 0 if pages is None else size + pages * PAGE
    full = pytest.raises(tf.errors.ResourceExhaustedError, match="ckpt-2.*No space left on device")
    with full:
        train(disk, AtEpoch(lambda: fill(disk, free)))
    (disk / "filler").unlink()
    check_resumed(disk, values)


def test_training_resumes_after_a_backup_beyond_the_file_size_limit(tmp_path, uninterrupted):
    with pytest.raises(tf.errors.OpError, match="ckpt-2.*File too large"), limited() as limit:
        train(tmp_path, AtEpoch(limit))
    check_resumed(tmp_path, uninterrupted[0])


@pytest.mark.spread(1)
@pytest.mark.parametrize("name", ["last.keras", "last.weights.h5"])
def test_a_model_checkpoint_to_a_full_disk_keeps_the_last_one(disk, uninterrupted, name):
    def checkpoint():
        weights_only = name.endswith("h5")
        return tf_keras.callbacks.ModelCheckpoint(str(disk / name), save_weights_only=weights_only)

    saved = []

    def read_and_fill():
        saved.append((disk / name).read_bytes())
        fill(disk, 2 * PAGE)

    with pytest.raises(OSError, match=f"to '.*{name}', got .*No space.*before is whole"):
        train(disk, AtEpoch(read_and_fill), checkpoint())
    (disk / "filler").unlink()
    assert saved == [(disk / name).read_bytes()]
    assert {path.name for path in disk.iterdir()} == {name, "backup"}
    check_resumed(disk, uninterrupted[0], checkpoint())
    assert saved != [(disk / name).read_bytes()]
