"""Trains with one process and with two workers on this machine, for `test_workers`.

`python -m tests.training.two_workers FOLDER` forks each of them, so that TensorFlow is imported
once. TF_CONFIG makes a process a worker, as on two machines. Each writes its variables to
FOLDER/PROCESS_WORKER/CASE.npz, and the rest to CASE.json beside it.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from PIL import Image

import tfpvae
from tfpvae.models import objectives

SHAPE = (6, 5, 1)
SECONDS = 100  # that a process may take
DEADLY_STEP = 8  # of 3 an epoch: in the middle of the third

seen: list[list[int]] = []  # the numbers of the images of each step, which are their first pixels
killed_at: list[Path] = []  # where a process that is to be killed notes when


def images(count: int) -> np.ndarray:
    result = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    result[:, 0, 0, 0] = range(count)
    return result


def note(numbers: np.ndarray) -> None:
    seen.append(np.rint(numbers * 255).astype(int).tolist())
    if killed_at and len(seen) == DEADLY_STEP:
        killed_at[0].write_text(str(time.time()))
        os.kill(os.getpid(), signal.SIGKILL)


def watch() -> list[tf.Tensor]:
    """Has every step note its images; returns the list in which the present ones stand."""
    terms, present = tfpvae.VAE._loss_terms, []

    def noted(vae, images, *args, **kwargs):
        present[:] = [images]
        tf.numpy_function(note, [images[:, 0, 0, 0]], [])
        return terms(vae, images, *args, **kwargs)

    tfpvae.VAE._loss_terms = noted
    return present


def share_noise(present: list[tf.Tensor]) -> None:
    """Has z of an image go by its own pixels: two workers draw other noise than one process."""

    def draws(posterior, num_samples, seed):
        codes = tf.reduce_sum(present[0], axis=[1, 2, 3])[:, tf.newaxis]
        noise = 1.5 * tf.sin(codes * tf.range(3.0, 3.0 + posterior.event_shape[0]))
        return (posterior.mean() + posterior.stddev() * noise)[tf.newaxis]

    objectives.draw_latents = draws


def build(optimizer: tf_keras.optimizers.Optimizer, compiled=None, **options) -> tfpvae.VAE:
    """Returns a VAE of the strategy in whose scope this is called, the same in each process."""
    tf_keras.utils.set_random_seed(5)
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, **options)
    vae.compile(optimizer, jit_compile=False, **compiled or {})  # XLA has no place for notes
    return vae


def leave(folder: Path, case: str, vae: tfpvae.VAE, **more) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    variables = [*vae.get_weights(), *(variable.numpy() for variable in vae.optimizer.variables)]
    np.savez(folder / f"{case}.npz", *variables)
    more |= {"kl_weight": float(vae.kl_weight), "seen": list(seen)}
    (folder / f"{case}.json").write_text(json.dumps(more))
    seen.clear()


def plain(folder: Path) -> None:
    """No draws; the last batch is of one image, which one worker has."""
    vae = build(tf_keras.optimizers.SGD(0.1), {"metrics": ["mae"]}, posterior="deterministic")
    inputs = {"batch_size": 4, "epochs": 3, "validation_data": images(7)}
    fitted = vae.fit(images(9), verbose=0, **inputs)
    scores = vae.evaluate(images(7), batch_size=4, verbose=0, return_dict=True)
    leave(folder, "plain", vae, history=fitted.history, scores=scores)


def mixture(folder: Path) -> None:
    """A prior that is learned, a weight that warms up, and noise that is each image's own."""
    warmup = tfpvae.schedules.LinearWarmup(5)
    vae = build(tf_keras.optimizers.Adam(0.01), prior="mixture", kl_weight=warmup)
    before = [variable.numpy().tolist() for variable in vae.prior.variables]
    history = vae.fit(images(8), batch_size=4, epochs=3, shuffle=False, verbose=0).history
    after = [variable.numpy().tolist() for variable in vae.prior.variables]
    leave(folder, "mixture", vae, history=history, prior=[before, after])


def sharded(folder: Path, worker: int) -> None:
    """Arrays, elements of a dataset, and files of which each worker reads its own."""
    eager = {"run_eagerly": True}
    vae = build(tf_keras.optimizers.SGD(0.01), eager, posterior="deterministic")
    tf_keras.utils.set_random_seed(worker)  # one's own; the order has to be the first's
    vae.fit(images(11), batch_size=4, epochs=2, verbose=0)
    leave(folder, "arrays", vae)
    tf_keras.utils.set_random_seed(5)  # which the order of a dataset goes by
    batches = tf.data.Dataset.from_tensor_slices(images(11)).shuffle(11, seed=1).batch(4)
    vae.fit(batches, epochs=2, verbose=0)
    leave(folder, "elements", vae)
    paths = sorted((folder.parent / "pictures").iterdir())[worker::2]
    options = {"image_shape": SHAPE, "batch_size": 4, "on_error": "skip"}
    stream = tfpvae.datasets.stream_pictures(paths, **options)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    vae.fit(stream.with_options(options), epochs=2, verbose=0)
    leave(folder, "files", vae)


def backed_up(folder: Path, backup: Path) -> None:
    """Goes on from a backup, if there is one; workers draw noise of their own."""
    warmup = tfpvae.schedules.LinearWarmup(10)
    vae = build(tf_keras.optimizers.Adam(0.01), prior="mixture", kl_weight=warmup)
    keep = tf_keras.callbacks.BackupAndRestore(str(backup), delete_checkpoint=False)
    inputs = {"batch_size": 4, "epochs": 4, "callbacks": [keep]}
    fitted = vae.fit(images(11), verbose=0, **inputs)
    leave(folder, "backed_up", vae, history=fitted.history, epochs=fitted.epoch)


def work(folder: Path, process: str, worker: int | None) -> None:
    """Does what a process has to do; `worker` is None for the one that is alone."""
    present, here = watch(), folder / f"{process}_{worker or 0}"
    several = tf.distribute.MultiWorkerMirroredStrategy
    strategy = tf.distribute.get_strategy() if worker is None else several()
    with strategy.scope():
        if process in ("one", "two"):
            plain(here)
        if process == "two":
            sharded(here, worker)
            backed_up(here, folder / "backup_of_two")
        if process in ("killed", "again"):
            if process == "killed" and worker == 1:
                killed_at.append(folder / "killed_at.txt")
            backed_up(here, folder / "backup")
        if process in ("one", "two"):  # the last, since from now on no noise is drawn
            share_noise(present)
            mixture(here)


def fork(folder: Path, process: str, worker: int | None = None) -> int:
    child = os.fork()
    if child:
        return child
    signal.alarm(SECONDS)
    status = 1
    try:
        work(folder, process, worker)
        status = 0
    except tf.errors.UnavailableError as error:
        (folder / f"{process}_{worker}.txt").write_text(f"{time.time()} {error}")
        status = 3
    finally:
        sys.stderr.flush()
        os._exit(status)


def fork_two(folder: Path, process: str) -> list[int]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
    workers = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    children = []
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        os.environ["TF_CONFIG"] = json.dumps(config)
        children.append(fork(folder, process, index))
    return children


def ends(children: list[int]) -> list[int]:
    """Returns how processes ended: the status, or the signal below nought."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main(folder: Path) -> None:
    (folder / "pictures").mkdir()
    for number, image in enumerate(images(11)):
        Image.fromarray(image[..., 0]).save(folder / "pictures" / f"{number:02}.png")
    one = fork(folder, "one")
    # At the same time, since the one that is left waits for some seconds.
    result = {"killed": ends(fork_two(folder, "killed")), "one": ends([one])}
    result |= {process: ends(fork_two(folder, process)) for process in ("again", "two")}
    (folder / "ends.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
