"""Shared parts of the examples: options, a quiet start, training, scores and results.

TensorFlow is imported no earlier than in `start`: `--help` and wrong options answer at once.
"""

import argparse
import contextlib
import csv
import importlib.util
import json
import math
import os
import platform
import shlex
import shutil
import sys
import tempfile
import textwrap
import time
from pathlib import Path

# The library's own; to ask it for them would take TensorFlow's import.
POSTERIORS = (
    *("deterministic", "iaf", "independent_normal", "ladder", "low_rank"),
    "multivariate_normal_tril",
)
LIKELIHOODS = (
    *("bernoulli", "beta", "continuous_bernoulli", "coupled_mixture_of_logistics"),
    *("discretized_logistic", "mixture_of_logistics", "normal", "normal_per_pixel"),
)
PRIORS = ("flow", "mixture", "normal", "standard_normal", "vampprior")
OPTIMIZERS = {
    "adafactor": "Adafactor",
    "adam": "Adam",
    "adamax": "Adamax",
    "rmsprop": "RMSprop",
}
SCHEDULES = ("constant", "cosine")
WARM_UP = 150  # steps over which the learning rate of "cosine" rises, at most one epoch

BATCH = 128  # test pictures that are scored at a time
BACKUP = "backup"  # in the folder of the results, until they are whole
TOLERANCE = 1e-5  # between pixels of the live and of the reloaded model

_RUNNING = None  # the options of the training that was begun last


class Formatter(argparse.RawDescriptionHelpFormatter):
    """A formatter whose help names no value of Python's."""

    def _expand_help(self, action):
        return super()._expand_help(action).replace("(default: None)", "(default: never)")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


def parser(description, **defaults):
    """Returns a parser of the options that all examples have, with an example's own defaults."""
    # An example may put an option of its own in the place of one of these.
    parser = Parser(description=description, formatter_class=Formatter, conflict_handler="resolve")

    def add(option, text, **kwargs):
        parser.add_argument(option, help=f"{text} (default: %(default)s)", **kwargs)

    add("--epochs", "passes over the training pictures", type=at_least(1))
    add("--batch-size", "pictures a step of the optimizer", type=at_least(1))
    add("--optimizer", "the method of training", choices=OPTIMIZERS)
    add("--learning-rate", "of the optimizer", type=at_least(0.0))
    add("--schedule", "of the learning rate over the epochs", choices=SCHEDULES)
    add("--latent-dim", "size of z", type=at_least(1))
    add("--posterior", "q(z|x)", choices=POSTERIORS)
    add("--likelihood", "p(x|z)", choices=LIKELIHOODS)
    add("--prior", "p(z)", choices=PRIORS, default="standard_normal")
    add("--kl-weight", "the beta of a beta-VAE", type=at_least(0.0), default=1.0)
    add("--seed", "of the weights and of all draws", type=at_least(0), default=0)
    precisions = ("float32", "bfloat16")
    add("--precision", "of the networks' arithmetic", choices=precisions, default="float32")
    add("--output", "folder for the results, replacing those of an earlier run", type=Path)
    hold = "number of first epochs, at most 3 in 5, in which the decoder trains alone"
    add("--hold-encoder", hold, metavar="EPOCHS", type=at_least(0))
    patience = "stop when so many epochs have brought no better val_loss, and go back to the best"
    add("--patience", patience, metavar="EPOCHS", type=at_least(1))
    source = "train with the optimizer, batch size, epochs and KL weight of the tutorial"
    parser.add_argument("--source-settings", action="store_true", help=source)
    resume = "go on where a run with the same options, and the same --output, was interrupted"
    parser.add_argument("--resume", action="store_true", help=resume)
    smoke = "a run of seconds, to see that all works"
    parser.add_argument("--smoke", action="store_true", help=smoke)
    others = {"optimizer": "adam", "schedule": "constant", "clipnorm": None, "hold_encoder": 0}
    parser.set_defaults(**others | defaults)
    return parser


def parse(parser, settings):
    """Returns the options; what the user did not give is as `settings(options)` says.

    The help comes last, so that its defaults are those of the other options.
    """
    others = [option for option in sys.argv[1:] if option not in ("-h", "--help")]
    parser.set_defaults(**settings(parser.parse_args(others)))
    return parser.parse_args()


def run(main):
    """Runs an example; a keyboard interrupt ends it with one line: how far it is, how to go on."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(f"\n{_interrupted(_RUNNING)}")


def _interrupted(args):
    """Returns the line that an interrupted run ends with.

    Args:
      args: the options of the training that was begun; None before the first.
    """
    done = 0 if args is None else len(_noted(args.output / BACKUP / "losses.jsonl"))
    if not done:
        return "Interrupted before the end of the first epoch: there is nothing to go on from."
    options = [option for option in sys.argv if option != "--resume"]
    command = shlex.join(["python", *options, "--resume"])
    return f"Interrupted after epoch {done} of {args.epochs}. To go on: {command}"


def at_least(least):
    """Returns a function from an option's text to a finite number of the type of `least`."""
    kind = "a whole number" if isinstance(least, int) else "a number"

    def convert(text):
        with contextlib.suppress(ValueError):
            value = type(least)(text)
            if least <= value < math.inf:
                return value
        raise argparse.ArgumentTypeError(f"wanted {kind}, at least {least}, got {text!r}.")

    return convert


def start(parser, args):
    """Checks what can be checked without TensorFlow, then imports and seeds it."""
    figures = '"tfpvae[figures]"'
    needed = {"tfpvae": '".[figures]"', "matplotlib": figures, "sklearn": figures}
    for module, install in needed.items():
        if importlib.util.find_spec(module) is None:
            parser.error(f"wanted {module}, got none installed; pip install {install}")
    if _worker():  # the first one's results are where they always are
        args.output /= f"worker_{_worker()}"
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"argument --output: wanted a folder, got '{args.output}', {error.strerror}.")
    if args.smoke:
        args.epochs = 1
        print("A smoke run has one epoch on few pictures: its network has hardly learned to draw.")
    if (args.output / "summary.json").exists():
        print(f"The results in {args.output} will be overwritten.")
    print("Starting TensorFlow ...", flush=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow would import Keras 3 as well, which takes a second or two.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    with _held_stderr():
        import tensorflow as tf
        import tf_keras

        import tfpvae  # noqa: F401

        if "TF_CONFIG" in os.environ:  # before all else that TensorFlow does
            strategy = tf.distribute.MultiWorkerMirroredStrategy()  # waits for the other workers
            tf.distribute.experimental_set_strategy(strategy)
        tf.zeros([])  # looks for devices, which also has much to say
    tf.get_logger().setLevel("ERROR")
    tf_keras.utils.set_random_seed(args.seed)


def _worker():
    """Returns which of the workers in TF_CONFIG this is: 0, the first, also where it is alone."""
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {})
    return task.get("index", 0)


@contextlib.contextmanager
def _held_stderr():
    """Keeps off the screen what C++ writes to file descriptor 2, unless there is an error."""
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as lines:
        os.dup2(lines.fileno(), 2)
        try:
            yield
        except Exception:
            lines.seek(0)
            os.write(screen, lines.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


def build(args, **more):
    """Returns the VAE of the options; `more` are further arguments of `tfpvae.build_vae`."""
    import tfpvae

    return tfpvae.build_vae(
        args.architecture,
        latent_dim=args.latent_dim,
        posterior=args.posterior,
        likelihood=args.likelihood,
        prior=args.prior,
        kl_weight=args.kl_weight,
        precision=None if args.precision == "float32" else args.precision,  # Keras' own
        **more,
    )


def train(vae, training, validation, args, callbacks=()):
    """Trains on an array or a dataset of batches; returns each epoch's losses, and the speed.

    For a conditional model the arrays come in pairs, (images, labels). After each epoch all that
    training consists of is backed up, and a run that was interrupted goes on from there.
    """
    import numpy as np
    import tf_keras

    global _RUNNING
    training = training if isinstance(training, tuple) else (training,)
    is_array = isinstance(training[0], np.ndarray)
    backup, _RUNNING = _begin(args), args
    losses = backup / "losses.jsonl"
    done = len(_noted(losses))
    epochs = f"{args.epochs} epoch{'s' if args.epochs > 1 else ''}"
    begun = f", of which {done} are done" if done else ""
    print(f"Training {epochs} in batches of {args.batch_size}{begun} ...", flush=True)
    optimizer = getattr(tf_keras.optimizers, OPTIMIZERS[args.optimizer])
    run, steps, seconds = 0, 0, 0.0
    for first, last in _phases(args):
        vae.encoder.trainable = last == args.epochs
        # XLA would compile for longer than a smoke run takes.
        vae.compile(
            optimizer(args.learning_rate, global_clipnorm=args.clipnorm),
            jit_compile=False if args.smoke else None,
        )
        begin = time.perf_counter()
        try:
            fitted = vae.fit(
                *training,
                batch_size=args.batch_size if is_array else None,
                initial_epoch=first,
                epochs=last,
                validation_data=validation,
                callbacks=[*_watching(args, losses, backup / f"from_{first}"), *callbacks],
                verbose=0,  # `_progress` has a line for each epoch
            )
        except FloatingPointError as error:
            sys.exit(f"error: {error} Try a lower --learning-rate.")
        seconds += time.perf_counter() - begin
        run += len(fitted.epoch)
        if fitted.epoch:  # the optimizer has also counted the steps before an interruption
            share = len(fitted.epoch) / (fitted.epoch[-1] + 1 - first)
            steps += round(share * int(vae.optimizer.iterations.numpy()))
    noted = _noted(losses)
    if len(noted) < args.epochs:
        print(f"Stopped after epoch {len(noted)}: val_loss did not fall any more.")
    seen = run * len(training[0]) if is_array else steps * args.batch_size
    history = {name: [epoch[name] for epoch in noted] for name in noted[0]}
    return history, {"epochs": run, "seconds": seconds, "images_per_second": seen / seconds}


def _begin(args):
    """Makes the folder of the backup, or, to go on from it, compares its options."""
    backup = args.output / BACKUP
    begun = backup / "options.json"
    if args.resume and not begun.exists():
        print(f"There is nothing in {args.output} to go on from: a new run begins.")
    elif args.resume:
        before = json.loads(begun.read_text())
        for name, value in _options(args).items():
            if value != before.get(name):
                option = "--" + name.replace("_", "-")
                sys.exit(
                    f"error: argument --resume: wanted the options that the run in {args.output} "
                    f"was begun with, {option} {before.get(name)}, got {value}."
                )
        return backup
    shutil.rmtree(backup, ignore_errors=True)
    backup.mkdir(parents=True)
    partial = backup / "options.json.partial"
    partial.write_text(json.dumps(_options(args), indent=2) + "\n")
    partial.replace(begun)
    return backup


def _options(args):
    """Returns what a run that goes on has to have in common with the one that was begun."""
    plain = {name: value for name, value in vars(args).items() if name not in ("resume", "output")}
    return json.loads(json.dumps(plain, default=str))


def _watching(args, losses, backup):
    """Returns the callbacks of every training, in the order in which they have to be called."""
    import tf_keras

    from tfpvae import callbacks

    def note(epoch, logs):
        numbers = {name: float(value) for name, value in logs.items()}
        with open(losses, "a") as file:  # the line before may have been torn
            file.write("\n" + json.dumps({"epoch": epoch} | numbers))

    watching = [callbacks.StopOnNonFinite()]
    if args.schedule == "cosine":
        watching.append(_schedule(args))
    watching += [tf_keras.callbacks.LambdaCallback(on_epoch_end=note), _progress(args)]
    if args.patience:
        best = {"patience": args.patience, "restore_best_weights": True}
        watching.append(callbacks.EarlyStopping("val_loss", **best))
    if _worker():  # all go on from the first one's
        first, _, own = str(backup).rpartition(f"worker_{_worker()}{os.sep}")
        backup = Path(first, own)
    keep = tf_keras.callbacks.BackupAndRestore(str(backup), delete_checkpoint=False)
    return [*watching, keep]


def _schedule(args):
    """Returns the callback that sets the learning rate of each step: a warm-up, then a cosine.

    Without the warm-up the first steps of Adam throw a network without normalization off.
    """
    import tf_keras

    class Schedule(tf_keras.callbacks.Callback):
        epoch = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_begin(self, batch, logs=None):
            steps = self.params["steps"] or math.inf  # of a dataset nobody knows at first
            rate = _cosine(args)(self.epoch + batch / steps)
            if self.epoch == 0:
                rate *= min(1, (batch + 1) / min(WARM_UP, steps))
            self.model.optimizer.learning_rate.assign(rate)

        def on_epoch_end(self, epoch, logs=None):
            logs["lr"] = float(self.model.optimizer.learning_rate.numpy())

    return Schedule()


def _progress(args):
    """Returns the callback that prints a line for each epoch and, on a screen, how far it is."""
    import tf_keras

    class Progress(tf_keras.callbacks.Callback):
        begin, is_compiled = 0.0, False

        def title(self, epoch):
            return f"epoch {epoch + 1:{len(str(args.epochs))}}/{args.epochs}"

        def on_epoch_begin(self, epoch, logs=None):
            self.begin = time.perf_counter()
            if sys.stdout.isatty():
                doing = "training" if self.is_compiled else "compiling, then training"
                print(f"{self.title(epoch)}  {doing} ...", end="\r", flush=True)
            self.is_compiled = True

        def on_epoch_end(self, epoch, logs=None):
            names = ("loss", "nll", "kl", "val_loss", "val_kl")
            names = names if self.model.prior is not None else ("loss", "val_loss")
            names = [name for name in names if name in logs]
            losses = "  ".join(f"{name} {logs[name]:.1f}" for name in names)
            seconds = time.perf_counter() - self.begin
            print(f"{self.title(epoch)}  {losses}  {seconds:.0f} s", flush=True)

    return Progress()


def _noted(path):
    """Returns the losses of each epoch that a file of them has; the last of an epoch counts."""
    epochs = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            numbers = json.loads(line)
            epochs[numbers.pop("epoch")] = numbers
    return [epochs[number] for number in sorted(epochs)]


def _phases(args):
    """Returns the first and last epochs of the decoder alone, if any, and of both networks."""
    epochs = min(args.hold_encoder, 3 * args.epochs // 5)
    return [(0, epochs), (epochs, args.epochs)] if epochs else [(0, args.epochs)]


def _cosine(args):
    """Returns a function from the epoch to half a cosine's fall of the learning rate."""
    return lambda epoch: args.learning_rate * (1 + math.cos(math.pi * epoch / args.epochs)) / 2


def score(vae, test, args, *, labels=None, num_images=50, num_samples=50):
    """Returns the means over the test pictures, nats a picture, and their standard errors.

    The importance-weighted log likelihood is that of the first few, with the ELBO of the same ones
    and the same draws beside it. A plain autoencoder has neither. A conditional model wants the
    labels.
    """
    import numpy as np

    print(f"Scoring {len(test)} test pictures ...", flush=True)
    parts = [slice(i, i + BATCH) for i in range(0, len(test), BATCH)]
    seeds = [(args.seed, i) for i in range(len(parts))]
    of = [None] * len(parts) if labels is None else [labels[part] for part in parts]
    terms = [
        vae.loss_terms(test[part], classes, seed=seed, training=False)
        for part, classes, seed in zip(parts, of, seeds, strict=True)
    ]
    values = {
        name: np.concatenate([getattr(term, name) for term in terms])
        for name in ("loss", "nll", "kl")
    }
    copies = vae.reconstruct(test, batch_size=args.batch_size, labels=labels).numpy()
    values["squared_error"] = ((test / np.float32(255) - copies) ** 2).mean(axis=(1, 2, 3))
    if vae.prior is None:
        del values["kl"]
        return _means(values)
    scores = _means(values | {"elbo": -values["nll"] - values["kl"]})
    first = slice(2 if args.smoke else num_images)
    few, labels = test[first], None if labels is None else labels[first]
    draws = {"num_samples": 4 if args.smoke else num_samples, "seed": args.seed}
    bounds = {
        name: getattr(vae, name)(few, **draws, labels=labels).numpy()
        for name in ("elbo", "log_likelihood")
    }
    bounds["gain"] = bounds["log_likelihood"] - bounds["elbo"]
    scores["importance_weighted"] = {**_means(bounds), "num_images": len(few), **draws}
    return scores


def _means(values):
    """Returns the mean of each array, and its standard error under the name with `_error`."""
    import numpy as np

    scores = {name: float(np.mean(numbers, dtype=float)) for name, numbers in values.items()}
    for name, numbers in values.items():
        spread = np.std(numbers, ddof=1) if len(numbers) > 1 else 0.0
        scores[f"{name}_error"] = float(spread / math.sqrt(len(numbers)))
    return scores


def drawing():
    print("Drawing the figures ...", flush=True)


def posterior_samples(vae, images, args, *, num_samples=4):
    """Returns the figure of images over what is decoded from draws of their posteriors."""
    import numpy as np

    from tfpvae import figures

    draws = vae.encoder(images / np.float32(255)).sample(num_samples, seed=args.seed)
    rows = {f"draw {1 + i}": vae.decoder(draw).mean().numpy() for i, draw in enumerate(draws)}
    return figures.reconstructions(images, rows)


def _card(args, scores, count):
    """Returns the model card: the test scores with their errors, and the data in words."""
    from tfpvae.saving import ModelCard

    drawn = "pictures drawn by tfpvae.datasets"
    data = drawn if args.data is None else f"pictures of {Path(args.data).name}"
    names = [name for name in scores if f"{name}_error" in scores]
    rows = {
        name: {"mean": scores[name], "standard_error": scores[f"{name}_error"], "images": count}
        for name in names
    }
    return ModelCard(data=data, scores=rows)


def save(vae, test, args, scores, labels=None):
    """Writes the SavedModel, and exits unless it reloads and answers as the live model does."""
    import numpy as np
    import tf_keras

    # The summary comes last: where there is one, the results are whole and of one run.
    (args.output / "summary.json").unlink(missing_ok=True)
    print("Saving the model ...", flush=True)
    vae.save(args.output / "model", card=_card(args, scores, len(test)))
    reloaded = tf_keras.models.load_model(args.output / "model")
    options = {} if labels is None else {"labels": labels[:8]}
    copies = [model.reconstruct(test[:8], **options) for model in (reloaded, vae)]
    difference = np.abs(copies[0] - copies[1]).max()
    if not difference <= TOLERANCE:
        sys.exit(f"error: model: the reloaded model disagrees, by {difference:.2g} in a pixel")
    print(f"The saved model reloads and agrees (pixels within {difference:.1g}).", flush=True)


def write(args, history, figures, scores, speed, count):
    """Writes the history, the figures (one that is None is removed), and last the summary."""
    with open(args.output / "history.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", *history])
        epochs = zip(*history.values(), strict=True)
        rows.writerows([number, *losses] for number, losses in enumerate(epochs, start=1))
    for name, figure in figures.items():
        path = args.output / f"{name}.png"
        path.unlink(missing_ok=True) if figure is None else figure.savefig(path)
    parts = {"settings": vars(args), "test": scores, "training": speed, "versions": _versions()}
    partial = args.output / "summary.json.partial"
    partial.write_text(json.dumps(parts, indent=2, default=str) + "\n")
    partial.replace(args.output / "summary.json")
    _show(args, scores, speed, count)


def _show(args, scores, speed, count):
    nats = "nats a picture"
    rows = [
        (title, scores, name, unit)
        for title, name, unit in (
            ("negative log likelihood", "nll", nats),
            ("KL divergence", "kl", nats),
            ("evidence lower bound", "elbo", nats),
            ("squared error", "squared_error", "a pixel"),
        )
        if name in scores
    ]
    print(f"\n  mean \N{PLUS-MINUS SIGN} standard error of {count} test pictures")
    _print_rows(rows)
    if few := scores.get("importance_weighted"):
        print(f"\n  of the first {few['num_images']} of them, by {few['num_samples']} draws each")
        titles = {"elbo": "evidence lower bound", "log_likelihood": "log likelihood at least"}
        titles["gain"] = "difference of the two"
        _print_rows([(title, few, name, nats) for name, title in titles.items()])
    if speed["epochs"]:  # none where a run goes on after its last
        seconds, rate = speed["seconds"], speed["images_per_second"]
        print(
            f"\n  trained {speed['epochs']} epochs in {seconds:.0f} s, {rate:.0f} pictures a second"
        )
    names = sorted({*os.listdir(args.output)} - {BACKUP})
    results = f"Results in {args.output}: {', '.join(names)}"
    print("\n" + textwrap.fill(results, 100, subsequent_indent="  ", break_on_hyphens=False))


def _print_rows(rows):
    for title, scores, name, unit in rows:
        mean, error = scores[name], scores[f"{name}_error"]
        digits = 4 if abs(mean) < 1 else 1
        error = f"\N{PLUS-MINUS SIGN} {error:.{4 if abs(mean) < 1 else 2}f}"
        print(f"  {title:24}{mean:10.{digits}f} {error:10} {unit}")


def tidy(args):
    """Removes the backup of a run whose results are whole."""
    shutil.rmtree(args.output / BACKUP, ignore_errors=True)


def _versions():
    modules = ("tfpvae", "tensorflow", "tensorflow_probability", "tf_keras", "numpy")
    versions = {name: importlib.import_module(name).__version__ for name in modules}
    return {"python": platform.python_version(), **versions}
