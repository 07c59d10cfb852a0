"""Training: a recipe, a step that is fast on a CPU, checkpoints that resume exactly."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import math
import signal
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesqz import artifact, backend, data, models
from edgesqz.artifact import Artifact, Manifest, PixelRange, Tensor
from edgesqz.errors import EdgesqzError
from edgesqz.workspace import DEFAULT_FOLDER, Workspace, parse_quota

if TYPE_CHECKING:
    import keras
    from rich.console import Console
    from rich.progress import Progress, TaskID

VALIDATION_BATCH = 500


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on: the same recipe on the same machine gives the same network.

    The rate rises linearly from a fifth of its peak, then falls linearly to 0 at the last step.
    """

    model: str = "squeezenet"
    dataset: str = "cifar10"
    epochs: int = 30
    batch_size: int = 128  # pictures a step
    learning_rate: float = 0.2  # at its peak
    seed: int = 0  # of the first weights, the order of the pictures, and their augmentation
    warmup: float = 0.2  # share of the steps in which the rate rises
    momentum: float = 0.9  # Nesterov's
    weight_decay: float = 5e-4  # L2 penalty on kernels only, in the loss
    label_smoothing: float = 0.1
    shift: int = 4  # most pixels a picture is moved by, reflected at its border

    def __post_init__(self) -> None:
        """Check the values before any work is done with them."""
        models.architecture(self.model)
        for name in ("epochs", "batch_size", "learning_rate"):
            if not (value := getattr(self, name)) > 0 or not math.isfinite(value):
                raise EdgesqzError(f"--{name.replace('_', '-')} must be above 0, got {value}")
        if self.seed < 0:
            raise EdgesqzError(f"--seed must not be negative, got {self.seed}")

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of step number ``step`` (from 0) of ``steps``."""
        rising = self.warmup * steps
        if step < rising:
            return self.learning_rate * (0.2 + 0.8 * step / rising)
        return self.learning_rate * (steps - step) / (steps - rising)


def train(
    model: str | None = None,
    dataset: str | None = None,
    *,
    data_dir: Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    resume: bool = False,
    workspace: Path = DEFAULT_FOLDER,
    quota: str | int | None = None,
    console: Console | None = None,
) -> Artifact:
    """Train a network and put it into the workspace as ``MODEL.keras``.

    What is left None is taken from ``Recipe``'s defaults, or with ``resume`` from the checkpoint. A tenth of the
    training pictures is held back and chooses the best epoch; the test split is never read.

    Args:
        model: a name in ``edgesqz.models.ARCHITECTURES``.
        dataset: a name in ``edgesqz.data.DATASETS``, or the path of a folder of pictures.
        data_dir: where the dataset lies, if not in the cache.
        epochs: passes over the training pictures.
        batch_size: pictures a step.
        learning_rate: at its peak.
        seed: of the weights, the order and the augmentation.
        resume: go on from the workspace's checkpoint of this model.
        workspace: the folder to write to.
        quota: the most bytes the workspace may hold, as a number or as text such as ``2MB``.
        console: where to show progress; None shows nothing.

    Raises:
        EdgesqzError: bad input, no data, a loss that is no number, or no room.
        KeyboardInterrupt: after Ctrl-C, when a checkpoint has been written.
    """
    home = Workspace(workspace, parse_quota(quota))
    asked = {
        name: value
        for name, value in {
            "model": model,
            "dataset": dataset,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
        }.items()
        if value is not None
    }
    checkpoint = None
    if resume:
        checkpoint = _Checkpoint.read(home, asked.get("model", Recipe.model))
        recipe = _same_recipe(checkpoint.recipe, asked)
    else:
        recipe = Recipe(**asked)
    source = data.load(recipe.dataset, data_dir)
    return _Run(recipe, source, home, console).train(checkpoint)


def _same_recipe(recipe: Recipe, asked: dict[str, Any]) -> Recipe:
    """The checkpoint's recipe, if nothing else was asked for: a run cannot change its recipe half-way."""
    for name, value in asked.items():
        if (kept := getattr(recipe, name)) != value:
            flag = f"--{name.replace('_', '-')}"
            raise EdgesqzError(f"the checkpoint was made with {flag} {kept}, not {value}; leave {flag} or --resume out")
    return recipe


@dataclass
class _Progress:
    """How far a run has come; with the weights, all that a checkpoint needs."""

    step: int = 0
    seconds: float = 0.0
    epoch_loss: float = 0.0  # summed over the steps of the current epoch
    epoch_correct: int = 0  # pictures of the current epoch that were classified right as they passed
    best_accuracy: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)  # an entry an epoch


@dataclass
class _Checkpoint:
    """A run at rest: everything that going on exactly needs."""

    recipe: Recipe
    progress: _Progress
    weights: list[np.ndarray]
    optimizer: list[np.ndarray]

    @staticmethod
    def names(model: str) -> tuple[str, str]:
        """File names of the last checkpoint, and of the weights of the best epoch."""
        return f"{model}.last.npz", f"{model}.best.npz"

    def write(self, workspace: Workspace) -> None:
        facts = {"recipe": dataclasses.asdict(self.recipe), "progress": dataclasses.asdict(self.progress)}
        arrays = {f"weight{k}": w for k, w in enumerate(self.weights)}
        arrays |= {f"optimizer{k}": w for k, w in enumerate(self.optimizer)}
        name, _ = self.names(self.recipe.model)
        workspace.write({name: _npz_bytes(arrays | {"facts": np.array(json.dumps(facts))})})

    @classmethod
    def read(cls, workspace: Workspace, model: str) -> _Checkpoint:
        name, _ = cls.names(model)
        path = workspace.folder / name
        if not path.is_file():
            raise EdgesqzError(f"no checkpoint {path} to resume from; leave --resume out to start anew")
        with _damage_named(path), np.load(path, allow_pickle=False) as arrays:
            facts = json.loads(str(arrays["facts"]))
            return cls(
                Recipe(**facts["recipe"]),
                _Progress(**facts["progress"]),
                _numbered(arrays, "weight"),
                _numbered(arrays, "optimizer"),
            )


def _npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _numbered(arrays: Any, prefix: str) -> list[np.ndarray]:
    """``prefix0``, ``prefix1``, … of an .npz file."""
    return [arrays[f"{prefix}{k}"] for k in range(sum(name.startswith(prefix) for name in arrays.files))]


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise EdgesqzError(f"the checkpoint {path} is damaged; remove it and train anew ({error})") from error


class _Run:
    """One training run of one recipe."""

    def __init__(self, recipe: Recipe, source: data.Dataset, workspace: Workspace, console: Console | None) -> None:
        from rich.console import Console

        self.recipe, self.source, self.workspace = recipe, source, workspace
        self.console = console or Console(quiet=True)
        self.fitted, self.held_back = data.hold_back(source.train(), seed=recipe.seed)
        self.batch_size = min(recipe.batch_size, len(self.fitted))
        self.steps_per_epoch = len(self.fitted) // self.batch_size
        self.steps = recipe.epochs * self.steps_per_epoch
        self.progress = _Progress()

        backend.start_keras()
        from keras import utils

        from edgesqz.layers import FusedBatchNormalization

        utils.set_random_seed(recipe.seed)
        self.network = self._builder().build(FusedBatchNormalization)
        self.optimizer, self.take_step = _training_step(self.network, self.fitted, recipe)
        self.count_correct = _evaluation(self.network)

    def _builder(self) -> models.SqueezeNetModel:
        side = self.fitted.pictures.shape[1]
        return models.SqueezeNetModel(side, side, len(self.source.labels), self.recipe.model)

    def train(self, checkpoint: _Checkpoint | None) -> Artifact:
        """Run to the end, or until Ctrl-C; then write the best epoch's network."""
        if checkpoint:
            self._go_on_from(checkpoint)
        with _interrupt_between_steps() as interrupted, self._bar() as (bar, task):
            while self.progress.step < self.steps:
                self._step(bar, task)
                if self.progress.step % self.steps_per_epoch == 0:
                    self._finish_epoch(bar)
                if interrupted():
                    break
        if self.progress.step < self.steps:
            self._write_checkpoint()
            done, total = self.progress.step, self.steps
            raise KeyboardInterrupt(f"stopped after step {done} of {total}; the same command with --resume goes on")
        return self._write_model()

    def _step(self, bar: Progress, task: TaskID) -> None:
        progress, started = self.progress, time.perf_counter()
        epoch, position = divmod(progress.step, self.steps_per_epoch)
        if position == 0:
            progress.epoch_loss, progress.epoch_correct = 0.0, 0
        order = _order(self.recipe.seed, epoch, len(self.fitted))
        indices = order[position * self.batch_size :][: self.batch_size]
        self.optimizer.learning_rate = self.recipe.rate_at(progress.step, self.steps)
        loss, correct = (float(value) for value in self.take_step(indices, progress.step))
        if not math.isfinite(loss):
            raise EdgesqzError(
                f"the loss became {loss} in epoch {epoch + 1}, step {position + 1}; "
                + ("the checkpoint of the epoch before is kept; " if progress.history else "")
                + f"try a --learning-rate below {self.recipe.learning_rate:g}"
            )
        progress.step += 1
        progress.epoch_loss += loss
        progress.epoch_correct += int(correct)
        progress.seconds += time.perf_counter() - started
        seen = (position + 1) * self.batch_size
        bar.update(
            task,
            completed=progress.step,
            description=f"epoch {epoch + 1}/{self.recipe.epochs}",
            loss=progress.epoch_loss / (position + 1),
            accuracy=progress.epoch_correct / seen,
            speed=progress.step * self.batch_size / progress.seconds,
        )

    def _finish_epoch(self, bar: Progress) -> None:
        progress, started = self.progress, time.perf_counter()
        accuracy = self.count_correct(self.held_back) / len(self.held_back)
        progress.seconds += time.perf_counter() - started
        entry = {
            "loss": progress.epoch_loss / self.steps_per_epoch,
            "training_accuracy": progress.epoch_correct / (self.steps_per_epoch * self.batch_size),
            "held_back_accuracy": accuracy,
        }
        progress.history.append(entry)
        if accuracy > progress.best_accuracy:
            progress.best_accuracy = accuracy
            weights = {f"weight{k}": w for k, w in enumerate(self.network.get_weights())}
            self.workspace.write({_Checkpoint.names(self.recipe.model)[1]: _npz_bytes(weights)})
        self._write_checkpoint()
        bar.console.print(
            f"epoch {len(progress.history)}/{self.recipe.epochs}: loss {entry['loss']:.3f}, "
            f"accuracy {entry['training_accuracy']:.2%}, held-back accuracy {accuracy:.2%}, "
            f"{progress.step * self.batch_size / progress.seconds:.0f} pictures/s",
            highlight=False,
        )

    def _write_checkpoint(self) -> None:
        optimizer = [variable.numpy() for variable in self.optimizer.variables]
        _Checkpoint(self.recipe, self.progress, self.network.get_weights(), optimizer).write(self.workspace)

    def _go_on_from(self, checkpoint: _Checkpoint) -> None:
        self.progress = checkpoint.progress
        with _damage_named(self.workspace.folder / _Checkpoint.names(self.recipe.model)[0]):
            self.network.set_weights(checkpoint.weights)
            for variable, value in zip(self.optimizer.variables, checkpoint.optimizer, strict=True):
                variable.assign(value)

    def _write_model(self) -> Artifact:
        """Move the best epoch's weights into stock layers, write them, and drop the checkpoints."""
        names = _Checkpoint.names(self.recipe.model)
        path = self.workspace.folder / names[1]
        stock = self._builder().build()
        with _damage_named(path), np.load(path, allow_pickle=False) as arrays:
            stock.set_weights(_numbered(arrays, "weight"))
        content = keras_bytes(stock)
        file_name = self.recipe.model + artifact.KERAS_SUFFIX
        side = stock.input_shape[1]
        manifest = Manifest(
            name=self.recipe.model,
            variant="fp32",
            format="keras",
            size_bytes=len(content),
            sha256=artifact.sha256(content),
            input=Tensor(shape=(None, side, side, 3), dtype="float32"),
            output=Tensor(shape=(None, len(self.source.labels)), dtype="float32"),
            pixels=PixelRange(),
            labels=self.source.labels,
            dataset=self.recipe.dataset,
            training={
                "recipe": dataclasses.asdict(self.recipe),
                "held_back_accuracy": self.progress.best_accuracy,
                "held_back_pictures": len(self.held_back),
                "minutes": round(self.progress.seconds / 60, 1),
                "history": self.progress.history,
            },
            versions=artifact.package_versions("keras", "tensorflow", "numpy"),
        )
        self.workspace.write(artifact.stored_form(content, manifest, file_name))
        self.workspace.remove(*names)
        return Artifact(self.workspace.folder / file_name, manifest)

    @contextlib.contextmanager
    def _bar(self) -> Iterator[tuple[Progress, TaskID]]:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("loss {task.fields[loss]:.3f}  accuracy {task.fields[accuracy]:.1%}"),
            TextColumn("{task.fields[speed]:.0f} pictures/s"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        figures = {"loss": math.nan, "accuracy": math.nan, "speed": math.nan}
        with Progress(*columns, console=self.console, transient=True, speed_estimate_period=60) as bar:
            yield bar, bar.add_task("starting", total=self.steps, completed=self.progress.step, **figures)


@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of the pictures in an epoch, int64 (count,)."""
    return np.random.default_rng([seed, epoch]).permutation(count)


@contextlib.contextmanager
def _interrupt_between_steps() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C instead of raising, so that a step is whole when the checkpoint is written.

    A second Ctrl-C raises at once. Outside the main thread, where Python delivers no signals, nothing is changed.
    """
    pressed = False

    def note(signum: int, frame: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, previous)


def _training_step(
    network: keras.Model, split: data.Split, recipe: Recipe
) -> tuple[keras.optimizers.Optimizer, Callable[[np.ndarray, int], Any]]:
    """Build the optimizer and the step: indices of pictures and the step's number to loss and number correct."""
    import keras
    import tensorflow as tf

    pictures, labels = tf.constant(split.pictures), tf.constant(split.labels)
    scores = keras.Model(network.inputs, network.get_layer(models.LOGITS).output)
    variables = network.trainable_variables
    kernels = [variable for variable in variables if variable.name == "kernel"]
    optimizer = keras.optimizers.SGD(recipe.learning_rate, momentum=recipe.momentum, nesterov=True)
    optimizer.build(variables)
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int32)])
    def take_step(indices: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = augment(tf.gather(pictures, indices), recipe.shift, seed=(recipe.seed, number))
        truth = tf.gather(labels, indices)
        with tf.GradientTape() as tape:
            logits = scores(tf.cast(batch, tf.float32), training=True)
            loss = loss_of(tf.one_hot(truth, logits.shape[-1]), logits)
            penalty = recipe.weight_decay * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
            objective = loss + penalty
        optimizer.apply(tape.gradient(objective, variables), variables)
        return loss, tf.math.count_nonzero(tf.argmax(logits, axis=1) == truth)

    return optimizer, take_step


def augment(pictures: Any, shift: int, seed: Any) -> Any:
    """Move each picture by up to ``shift`` pixels, reflected at its border, and mirror half of them.

    The same seed gives the same pictures. Both are one choice of rows and columns, so no padded copy is made.

    Args:
        pictures: (N, H, W, 3) of any dtype.
        shift: in pixels, less than H and W.
        seed: two integers.
    """
    import tensorflow as tf

    count, height, width = tf.shape(pictures)[0], pictures.shape[1], pictures.shape[2]
    moved = tf.random.stateless_uniform([2, count, 1], seed, -shift, shift + 1, tf.int32)
    mirrored = tf.random.stateless_uniform([count, 1], (seed[1], seed[0]), 0, 2, tf.int32) == 1
    rows = _reflected(tf.range(height) + moved[0], height)
    columns = _reflected(tf.range(width) + moved[1], width)
    columns = tf.where(mirrored, columns[:, ::-1], columns)
    return tf.gather(tf.gather(pictures, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)


def _reflected(index: Any, size: int) -> Any:
    """Indices beyond 0..size-1, folded back at the border."""
    import tensorflow as tf

    return size - 1 - tf.abs(size - 1 - tf.abs(index))


def _evaluation(network: keras.Model) -> Callable[[data.Split], int]:
    """Build the count of pictures whose top-1 is right."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def correct_in(pictures: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        probabilities = network(tf.cast(pictures, tf.float32), training=False)
        return tf.math.count_nonzero(tf.argmax(probabilities, axis=1) == labels)

    def correct_in_all(split: data.Split) -> int:
        starts = range(0, len(split), VALIDATION_BATCH)
        batches = (split.take(np.arange(at, min(at + VALIDATION_BATCH, len(split)))) for at in starts)
        return sum(int(correct_in(batch.pictures, batch.labels)) for batch in batches)

    return correct_in_all


def keras_bytes(model: keras.Model) -> bytes:
    """The .keras file of a model."""
    with tempfile.TemporaryDirectory() as scratch, backend.hush():
        path = Path(scratch) / f"model{artifact.KERAS_SUFFIX}"
        model.save(path)
        return path.read_bytes()
