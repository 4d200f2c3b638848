"""Times the training of the same networks by tfpvae and by other libraries.

    python benchmarks/throughput.py                                  # all networks, drawn pictures
    python benchmarks/throughput.py --networks dense --data MNIST    # a folder of MNIST's IDX files

Each contestant is a process that waits while another trains; in each round all train one epoch in
turn, and the first round is not counted. Ratios are taken within a round, and their median and
range are printed. Losses are printed too, since a contestant could be fast by computing less.
Libraries that are not installed are named.

The limit is the rate at which this machine multiplies two matrices of 2,048 columns, measured in
the same rounds, over the operations of the matrix products and convolutions of the network.
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
# Batch size, number of images, draws per image.
NETWORKS = {
    "dense": (128, 60000, 1),
    "deep": (128, 60000, 1),
    "iwae": (20, 6000, 50),
    "conv": (128, 15360, 1),
    "cnn": (128, 3840, 1),
    "kmnist": (128, 7680, 1),
    "flowers": (20, 800, 1),
    "residual": (16, 2400, 1),
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


def can_train(peer: str, variant: str, network: str) -> bool:
    """Returns whether a contestant trains a network."""
    if network == "residual":  # written by hand for PyTorch alone
        return peer in ("tfpvae", "torch")
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


def describe(network: str, folder: Path, data: Path | None) -> dict:
    """Returns the task and the operations of a network; writes its images to the folder."""
    import tf_keras
    from networks import layers_of, operations

    import tfpvae
    from tfpvae import datasets

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
    if network in ("flowers", "residual"):
        images = datasets.draw_flowers(count, seed=0).images
    elif data:
        images = datasets.load_mnist("mnist", source=data)[0].images[:count]
    else:
        images = np.resize(datasets.draw_digits(2000, seed=0).images, (count, 28, 28, 1))
    path = folder / f"{network}.npy"
    np.save(path, images)
    encoder, decoder = list(layers_of(vae.encoder)), list(layers_of(vae.decoder))
    tril = any("TriL" in type(layer).__name__ for layer in encoder)
    forward = operations(vae.encoder) + num_samples * operations(vae.decoder)
    return {
        "operations": 3 * forward,
        "task": {
            "network": network,
            "encoder": _plain(encoder)[:-1],  # without the Dense of the head, which contestants add
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
    """Describes the layers of a network that Keras has too, up to the Flatten before its head."""
    import tf_keras

    own = [x for x in layers if hasattr(tf_keras.layers, type(x).__name__)]
    own = [x for x in own if not isinstance(x, tf_keras.layers.InputLayer)]
    described = [(type(x).__name__, _config(x), list(x.output_shape[1:])) for x in own]
    while described and described[-1][0] == "Flatten":
        described.pop()
    return described


def _config(layer) -> dict:
    """Returns the config of a layer without name and precision, with activations by name."""
    config = {k: v for k, v in layer.get_config().items() if k not in ("name", "dtype")}
    return config | ({"activation": layer.activation.__name__} if "activation" in config else {})


class Contestant:
    """Process that trains one epoch per request."""

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
        """Trains one epoch; returns its seconds and loss."""
        try:
            self.process.stdin.write("epoch\n")
            self.process.stdin.flush()
            line = next(line for line in self.process.stdout if line.startswith("{"))
        except (StopIteration, BrokenPipeError):
            raise RuntimeError(self.process.stderr.read()[-2000:]) from None
        reply = json.loads(line)
        return reply["seconds"], reply["loss"]

    def stop(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()


def work(peer: str, path: str) -> None:
    """Trains one epoch for each line of standard input."""
    from peers.task import Task

    trainer = importlib.import_module(f"peers.by_{peer}").Trainer(Task.read(path))
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = trainer.epoch()
        print(json.dumps({"seconds": time.perf_counter() - start, "loss": loss}), flush=True)


def product_rate() -> float:
    """Returns the operations per second of a matrix product on this machine."""
    import tensorflow as tf

    square = tf.random.normal([SIDE, SIDE])
    start = time.perf_counter()
    for _ in range(8):
        product = tf.matmul(square, square)
    product.numpy()
    return 8 * 2 * SIDE**3 / (time.perf_counter() - start)


def run(network: str, contestants: list[str], rounds: int, data: Path | None) -> dict:
    """Returns rates and losses of all contestants in all rounds, and the limits."""
    results: dict = {"missing": [], "failed": {}, "rates": {}, "losses": {}, "limits": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        description = describe(network, folder, data)
        task, operations = description["task"], description["operations"]
        count = len(np.load(task["images"], mmap_mode="r"))
        results |= {"images": count, "batch_size": task["batch_size"], "operations": operations}
        processes = {}
        for contestant in contestants:
            peer, variant = CONTESTANTS[contestant]
            if not can_train(peer, variant, network):
                continue
            if importlib.util.find_spec(LIBRARY.get(peer, peer)) is None:
                results["missing"].append(contestant)
                continue
            path = folder / f"{contestant}.json"
            path.write_text(json.dumps(task | {"variant": variant}, default=int))
            processes[contestant] = Contestant(peer, path)
            try:
                processes[contestant].epoch()  # traces and compiles
            except RuntimeError as error:
                results["failed"][contestant] = str(error)
                processes.pop(contestant).stop()
        for _ in range(rounds):
            results["limits"].append(product_rate() / operations)
            for contestant, process in processes.items():
                seconds, loss = process.epoch()
                results["rates"].setdefault(contestant, []).append(count / seconds)
                results["losses"].setdefault(contestant, []).append(loss)
        for process in processes.values():
            process.stop()
    return results


def table(network: str, results: dict) -> str:
    """Returns the results of a network as text."""
    lines = [
        f"{network}: {results['images']} images, {results['batch_size']} per step, "
        f"{results['operations'] / 1e6:.1f} Mflop per image",
        f"  {'':28}{'images/s':>10}{'tfpvae is':>11}{'range':>15}{'of limit':>10}{'loss':>10}",
    ]
    rates = {name: np.array(values) for name, values in results["rates"].items()}
    for name, values in rates.items():
        low = "tfpvae bfloat16" if "bfloat16" in name else "tfpvae"
        ratio = rates[low] / values
        share = np.median(values / np.array(results["limits"]))
        lines.append(
            f"  {name:28}{np.median(values):10.0f}{np.median(ratio):10.2f}x"
            f"{ratio.min():8.2f}-{ratio.max():.2f}{share:10.0%}{results['losses'][name][-1]:10.1f}"
        )
    lines += [f"  {name}: not installed" for name in results["missing"]]
    lines += [f"  {name}: failed\n{text}" for name, text in results["failed"].items()]
    return "\n".join(lines)


def main() -> None:
    """Prints a table per network, and writes all numbers if --output is set."""
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
