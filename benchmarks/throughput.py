"""Times the training of the same networks by tfpvae and by others, side by side.

    python benchmarks/throughput.py                                  # all networks, drawn pictures
    python benchmarks/throughput.py --networks dense --data MNIST    # a folder of MNIST's IDX files

Every contestant is a process of its own that waits while another trains; in each round all train
one epoch in turn, the first of which is not counted. Ratios are those of one round, and what is
printed is their median and range. Losses stand beside the rates, so that nobody wins by computing
less. What is not installed is named.

The limit is the rate at which this machine multiplies two matrices of 2,048 columns, measured in
the same rounds, over the operations of the network's matrix products and convolutions, counted.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SIDE = 2048
# Images a step, images in all (drawn ones, or as many of the real), draws an image.
NETWORKS = {
    "dense": (128, 60000, 1),
    "deep": (128, 60000, 1),
    "iwae": (20, 6000, 50),
    "conv": (128, 15360, 1),
    "cnn": (128, 3840, 1),
    "kmnist": (128, 7680, 1),
    "flowers": (20, 800, 1),
}
CONTESTANTS = {
    "tfpvae": ("tfpvae", ""),
    "tfpvae bfloat16": ("tfpvae", "bfloat16"),
    "TFP's tutorial": ("tfp", "tutorial"),
    "plain TFP, arrays": ("tfp", "arrays"),
    "plain TFP, cached": ("tfp", ""),
    "tf_keras by hand": ("keras", ""),
    "tf_keras by hand, bfloat16": ("keras", "bfloat16"),
    "torch": ("torch", ""),
    "torch channels last": ("torch", "channels_last"),
    "torch compiled": ("torch", "compiled channels_last"),
    "torch bfloat16": ("torch", "bfloat16 channels_last"),
    "torch bfloat16 compiled": ("torch", "bfloat16 compiled channels_last"),
    "JAX scan": ("jax", ""),
    "pythae": ("pythae", ""),
}
LIBRARY = {"tfp": "tensorflow_probability", "keras": "tf_keras"}


def takes_part(peer: str, variant: str, network: str) -> bool:
    """Returns whether a contestant trains a network."""
    is_dense = network in ("dense", "deep", "iwae")
    if is_dense and ("bfloat16" in variant or variant == "channels_last"):
        return False
    if peer == "jax":
        return is_dense
    if peer == "pythae":
        return network == "dense"
    if peer == "tfp":
        return network != "iwae" and (is_dense or not variant)
    return True


def described(network: str, folder: Path, data: Path | None) -> dict:
    """Returns the task of a network, its images written to the folder."""
    import tf_keras

    import tfpvae
    from tfpvae import datasets
    from tfpvae.networks import structure
    from tfpvae.training import execution

    batch_size, count, num_samples = NETWORKS[network]
    options: dict = {}
    if network == "iwae":
        tanh = [tf_keras.layers.Dense(200, "tanh") for _ in range(4)]
        pixels = tf_keras.layers.Dense(784)
        options = {
            "encoder_backbone": tf_keras.Sequential([tf_keras.layers.Flatten(), *tanh[:2]]),
            "decoder_backbone": tf_keras.Sequential([*tanh[2:], pixels]),
            "latent_dim": 50,
        }
    if network == "deep":
        options = {"posterior": "independent_normal"}
    vae = tfpvae.build_vae("dense" if network == "iwae" else network, **options)
    if network == "flowers":
        images = datasets.draw_flowers(count, seed=0).images
    elif data:
        images = datasets.load_mnist("mnist", source=data)[0].images[:count]
    else:
        images = np.resize(datasets.draw_digits(2000, seed=0).images, (count, 28, 28, 1))
    path = folder / f"{network}.npy"
    np.save(path, images)
    encoder, decoder = structure.layers_of(vae.encoder), structure.layers_of(vae.decoder)
    tril = any("TriL" in type(layer).__name__ for layer in encoder)
    both = execution.operations(vae.encoder) + num_samples * execution.operations(vae.decoder)
    return {
        "operations": 3 * both,
        "task": {
            "network": network,
            "encoder": _plain(encoder)[:-1],  # the head's own Dense is the contestants' affair
            "decoder": _plain(decoder),
            "posterior": "multivariate_normal_tril" if tril else "independent_normal",
            "latent_dim": vae.decoder.input_shape[-1],
            "batch_size": batch_size,
            "num_samples": num_samples,
            "image_shape": list(vae.image_shape),
            "images": str(path),
        },
    }


def _plain(layers) -> list:
    """Returns what Keras' own layers of a network are, up to the flattening before its head."""
    import tf_keras

    own = [x for x in layers if not isinstance(x, tf_keras.layers.InputLayer)]
    own = [x for x in own if type(x).__module__.startswith(("tf_keras", "tfpvae.amended"))]
    result = [(type(x).__name__, _config(x), list(x.output_shape[1:])) for x in own]
    while result and result[-1][0] == "Flatten":
        result.pop()
    return result


def _config(layer) -> dict:
    """Returns the config without what is another in another model: its name and precision.

    Nor is tfpvae's leaky rectifier in it, but Keras' of that name.
    """
    config = {k: v for k, v in layer.get_config().items() if k not in ("name", "dtype")}
    return config | ({"activation": layer.activation.__name__} if "activation" in config else {})


class Contestant:
    """A process that trains an epoch when it is told to."""

    def __init__(self, peer: str, task: Path):
        environment = os.environ | {
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")]),
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", peer, str(task)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def epoch(self) -> tuple[float, float]:
        """Returns seconds and loss."""
        try:
            self.process.stdin.write("epoch\n")
            self.process.stdin.flush()
            line = next(line for line in self.process.stdout if line.startswith("{"))
        except (StopIteration, BrokenPipeError):
            raise RuntimeError(self.process.stderr.read()[-2000:]) from None
        result = json.loads(line)
        return result["seconds"], result["loss"]

    def stop(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()


def work(peer: str, path: str) -> None:
    """Is a contestant: trains an epoch for each line that comes in."""
    from peers.task import Task

    trainer = importlib.import_module(f"peers.by_{peer}").Trainer(Task.read(path))
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = trainer.epoch()
        print(json.dumps({"seconds": time.perf_counter() - start, "loss": loss}), flush=True)


def product_rate() -> float:
    """Returns the operations a second of a matrix product here."""
    import tensorflow as tf

    square = tf.random.normal([SIDE, SIDE])
    start = time.perf_counter()
    for _ in range(8):
        result = tf.matmul(square, square)
    result.numpy()
    return 8 * 2 * SIDE**3 / (time.perf_counter() - start)


def run(network: str, expected: list[str], rounds: int, data: Path | None) -> dict:
    """Returns the rates of all contestants in all rounds, and what stands beside them."""
    result: dict = {"missing": [], "failed": {}, "rates": {}, "losses": {}, "limits": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        described_ = described(network, folder, data)
        task, operations = described_["task"], described_["operations"]
        count = len(np.load(task["images"], mmap_mode="r"))
        result |= {"images": count, "batch_size": task["batch_size"], "operations": operations}
        processes = {}
        for contestant in expected:
            peer, variant = CONTESTANTS[contestant]
            if not takes_part(peer, variant, network):
                continue
            if importlib.util.find_spec(LIBRARY.get(peer, peer)) is None:
                result["missing"].append(contestant)
                continue
            path = folder / f"{contestant}.json"
            path.write_text(json.dumps(task | {"variant": variant}, default=int))
            processes[contestant] = Contestant(peer, path)
            try:
                processes[contestant].epoch()  # traces and compiles
            except RuntimeError as error:
                result["failed"][contestant] = str(error)
                processes.pop(contestant).stop()
        for _ in range(rounds):
            result["limits"].append(product_rate() / operations)
            for contestant, process in processes.items():
                seconds, loss = process.epoch()
                result["rates"].setdefault(contestant, []).append(count / seconds)
                result["losses"].setdefault(contestant, []).append(loss)
        for process in processes.values():
            process.stop()
    return result


def table(network: str, result: dict) -> str:
    """Returns what was found, for people."""
    lines = [
        f"{network}: {result['images']} images, {result['batch_size']} a step, "
        f"{result['operations'] / 1e6:.1f} Mflop an image",
        f"  {'':28}{'images/s':>10}{'tfpvae is':>11}{'range':>15}{'of limit':>10}{'loss':>10}",
    ]
    rates = {name: np.array(values) for name, values in result["rates"].items()}
    for name, values in rates.items():
        low = "tfpvae bfloat16" if "bfloat16" in name else "tfpvae"
        ratio = rates[low] / values
        share = np.median(values / np.array(result["limits"]))
        lines.append(
            f"  {name:28}{np.median(values):10.0f}{np.median(ratio):10.2f}x"
            f"{ratio.min():8.2f}-{ratio.max():.2f}{share:10.0%}{result['losses'][name][-1]:10.1f}"
        )
    lines += [f"  {name}: not installed" for name in result["missing"]]
    lines += [f"  {name}: failed\n{text}" for name, text in result["failed"].items()]
    return "\n".join(lines)


def main() -> None:
    """Prints a table a network, and writes all numbers."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, help="folder of MNIST's IDX files")
    parser.add_argument("--output", type=Path, help="JSON")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(*args.worker)
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    only = args.only if "tfpvae" in args.only else ["tfpvae", *args.only]
    results = {}
    for network in args.networks:
        results[network] = run(network, only, args.rounds, args.data)
        print(table(network, results[network]), flush=True)
        if args.output:
            args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
    main()
