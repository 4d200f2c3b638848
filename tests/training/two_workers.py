"""Trains with one process and with two workers on this machine, for `test_workers`.

`python -m tests.training.two_workers FOLDER` forks the processes, so that TensorFlow is imported
once. TF_CONFIG makes a process a worker, as on two machines. Each process writes its variables to
FOLDER/PROCESS_WORKER/CASE.npz, and its other results to CASE.json.
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
from tests.pairs import EVERY
from tfpvae.models import objectives

SHAPE = (6, 5, 1)
SECONDS = 100  # limit per process
KILL_STEP = 8  # in the middle of the third epoch, at 3 steps per epoch
# Of the cases after the first: a graph takes each of seven processes seconds to make.
EAGER = {"run_eagerly": not EVERY}

seen: list[list[int]] = []  # for each step the numbers of its images, which are their first pixels
kill_files: list[Path] = []  # gets the time when this process kills itself


def images(count: int) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    pixels[:, 0, 0, 0] = range(count)
    return pixels


def record(numbers: np.ndarray) -> None:
    seen.append(np.rint(numbers * 255).astype(int).tolist())
    if kill_files and len(seen) == KILL_STEP:
        kill_files[0].write_text(str(time.time()))
        os.kill(os.getpid(), signal.SIGKILL)


def record_steps() -> list[tf.Tensor]:
    """Makes every step record its images; returns a list that holds those of the current step."""
    own_terms, current = tfpvae.VAE._loss_terms, []

    def recording(vae, images, *args, **kwargs):
        current[:] = [images]
        tf.numpy_function(record, [images[:, 0, 0, 0]], [])
        return own_terms(vae, images, *args, **kwargs)

    tfpvae.VAE._loss_terms = recording
    return current


def use_deterministic_noise(current: list[tf.Tensor]) -> None:
    """Computes the noise of z from the pixels: two workers draw other noise than one process."""

    def draws(posterior, num_samples, seed):
        codes = tf.reduce_sum(current[0], axis=[1, 2, 3])[:, tf.newaxis]
        noise = 1.5 * tf.sin(codes * tf.range(3.0, 3.0 + posterior.event_shape[0]))
        return (posterior.mean() + posterior.stddev() * noise)[tf.newaxis]

    objectives.draw_latents = draws


def build(optimizer: tf_keras.optimizers.Optimizer, compiled=None, **options) -> tfpvae.VAE:
    """Returns a VAE in the current strategy, the same in every process."""
    tf_keras.utils.set_random_seed(5)
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, **options)
    vae.compile(optimizer, jit_compile=False, **compiled or {})  # XLA cannot call Python
    return vae


def write(folder: Path, case: str, vae: tfpvae.VAE, **results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    variables = [*vae.get_weights(), *(variable.numpy() for variable in vae.optimizer.variables)]
    np.savez(folder / f"{case}.npz", *variables)
    results |= {"kl_weight": float(vae.kl_weight), "seen": list(seen)}
    (folder / f"{case}.json").write_text(json.dumps(results))
    seen.clear()


def plain(folder: Path) -> None:
    """Trains without draws; one worker has the last batch of one image alone."""
    vae = build(tf_keras.optimizers.SGD(0.1), {"metrics": ["mae"]}, posterior="deterministic")
    options = {"batch_size": 4, "epochs": 3, "validation_data": images(7)}
    fitted = vae.fit(images(9), verbose=0, **options)
    scores = vae.evaluate(images(7), batch_size=4, verbose=0, return_dict=True)
    write(folder, "plain", vae, history=fitted.history, scores=scores)


def mixture(folder: Path) -> None:
    """Trains a learned prior with a KL warm-up and deterministic noise."""
    warmup = tfpvae.schedules.LinearWarmup(5)
    vae = build(tf_keras.optimizers.Adam(0.01), EAGER, prior="mixture", kl_weight=warmup)
    before = [variable.numpy().tolist() for variable in vae.prior.variables]
    history = vae.fit(images(8), batch_size=4, epochs=3, shuffle=False, verbose=0).history
    after = [variable.numpy().tolist() for variable in vae.prior.variables]
    write(folder, "mixture", vae, history=history, prior=[before, after])


def sharded(folder: Path, worker: int) -> None:
    """Trains on arrays, on a dataset, and on files of which each worker reads its share."""
    vae = build(tf_keras.optimizers.SGD(0.01), {"run_eagerly": True}, posterior="deterministic")
    tf_keras.utils.set_random_seed(worker)  # differs; the order has to be that of the first worker
    vae.fit(images(11), batch_size=4, epochs=2, verbose=0)
    write(folder, "arrays", vae)
    tf_keras.utils.set_random_seed(5)  # seeds the order of the dataset
    batches = tf.data.Dataset.from_tensor_slices(images(11)).shuffle(11, seed=1).batch(4)
    vae.fit(batches, epochs=2, verbose=0)
    write(folder, "elements", vae)
    paths = sorted((folder.parent / "pictures").iterdir())[worker::2]
    options = {"image_shape": SHAPE, "batch_size": 4, "on_error": "skip"}
    stream = tfpvae.datasets.stream_pictures(paths, **options)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    vae.fit(stream.with_options(options), epochs=2, verbose=0)
    write(folder, "files", vae)


def backed_up(folder: Path, backup: Path) -> None:
    """Resumes from a backup, if there is one; each worker draws its own noise."""
    warmup = tfpvae.schedules.LinearWarmup(10)
    vae = build(tf_keras.optimizers.Adam(0.01), EAGER, prior="mixture", kl_weight=warmup)
    keep = tf_keras.callbacks.BackupAndRestore(str(backup), delete_checkpoint=False)
    options = {"batch_size": 4, "epochs": 4, "callbacks": [keep]}
    fitted = vae.fit(images(11), verbose=0, **options)
    write(folder, "backed_up", vae, history=fitted.history, epochs=fitted.epoch)


def work(folder: Path, process: str, worker: int | None) -> None:
    """Runs the cases of a process; `worker` is None for a process without other workers."""
    current, place = record_steps(), folder / f"{process}_{worker or 0}"
    several = tf.distribute.MultiWorkerMirroredStrategy
    strategy = tf.distribute.get_strategy() if worker is None else several()
    with strategy.scope():
        if process in ("one", "two"):
            plain(place)
        if process == "two":
            sharded(place, worker)
            backed_up(place, folder / "backup_of_two")
        if process in ("killed", "resumed"):
            if process == "killed" and worker == 1:
                kill_files.append(folder / "killed_at.txt")
            backed_up(place, folder / "backup")
        if process in ("one", "two"):  # last, since no noise is drawn from now on
            use_deterministic_noise(current)
            mixture(place)


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
    workers = [f"localhost:{listener.getsockname()[1]}" for listener in sockets]
    for listener in sockets:
        listener.close()
    children = []
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        os.environ["TF_CONFIG"] = json.dumps(config)
        children.append(fork(folder, process, index))
    return children


def exit_codes(children: list[int]) -> list[int]:
    """Waits for processes; returns their exit codes, negative for a signal."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main(folder: Path) -> None:
    (folder / "pictures").mkdir()
    for number, image in enumerate(images(11)):
        Image.fromarray(image[..., 0]).save(folder / "pictures" / f"{number:02}.png")
    one = fork(folder, "one")
    # Concurrently, since the surviving worker waits for some seconds.
    codes = {"killed": exit_codes(fork_two(folder, "killed")), "one": exit_codes([one])}
    codes |= {process: exit_codes(fork_two(folder, process)) for process in ("resumed", "two")}
    (folder / "exit_codes.json").write_text(json.dumps(codes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
