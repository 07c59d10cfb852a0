"""Training: one run of a recipe, with checkpoints that resume exactly."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesqz import artifact, backend, data, defaults, models, stopping
from edgesqz.artifact import Artifact, Manifest, PixelRange, Tensor
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize, ImageSizeLike
from edgesqz.machine import machine
from edgesqz.models import loading
from edgesqz.models.loading import SourceModel
from edgesqz.stats import share_interval
from edgesqz.training import checkpoint
from edgesqz.training.checkpoint import Checkpoint, Keeping, Progress
from edgesqz.training.recipe import Recipe, fastest_precision, scaled_to
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import scratch
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    import keras
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

MOST_NAMED = 12  # classes, before training
PACE_STEPS = 10  # that are timed where a run has a time to keep
NAME_LENGTH = 64  # what is added to it for variants, manifests and temporary files leaves it a file name
NAME_PATTERN = rf"(?=.{{1,{NAME_LENGTH}}}$)\w(?:[\w-]|\.(?=\d))*"


def train(
    model: str | None = None,
    dataset: str | None = None,
    *,
    data_dir: Path | None = None,
    epochs: int | None = None,
    seconds: float | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    input_size: ImageSizeLike | None = None,
    preprocessing: str | None = None,
    label_smoothing: float | None = None,
    weight_decay: float | None = None,
    validation_split: float | None = None,
    teacher: str | Path | None = None,
    precision: str | None = None,
    seed: int | None = None,
    name: str | None = None,
    force: bool = False,
    resume: bool = False,
    workspace: Path = defaults.WORKSPACE,
    quota: str | int | None = None,
    scratch_dir: Path | None = None,
    console: Console | None = None,
) -> Artifact:
    """Train a network and put it into the workspace as ``NAME.keras``.

    What is left None follows the number of images (``recipe.scaled_to``), else is ``Recipe``'s default, or with
    ``resume`` the checkpoint's. A tenth of the
    training images is the validation split, which chooses the best epoch; without one the
    last epoch is kept. The test split is never read.

    Args:
        model: a name in ``edgesqz.models.ARCHITECTURES``.
        dataset: a name in ``edgesqz.data.DATASETS``, or the path of an image folder.
        data_dir: where the dataset lies, if not in the cache.
        epochs: passes over the training images.
        seconds: how long to train, in place of epochs: the pace of the first steps tells how many to take.
        batch_size: images a step.
        learning_rate: at its peak.
        input_size: that the network works at: pixels, or ``WIDTHxHEIGHT``; images of a folder are cropped to its aspect
            ratio, those of another size are resized by the graph.
        preprocessing: a name in ``edgesqz.models.PREPROCESSING``.
        label_smoothing: share of what is learned that goes to all classes alike.
        weight_decay: L2 penalty on kernels.
        validation_split: share of the training images in the validation split.
        teacher: a .keras file, or the name of a model in the workspace or the zoo, whose answers are learned instead
            of the labels.
        precision: ``float32`` or ``bfloat16``; None for the faster one on this processor.
        seed: of the weights, the order and the augmentation.
        name: of the model, and of what is made from it; None for the network's.
        force: replace a finished model of that name.
        resume: go on from the workspace's checkpoint of that name.
        workspace: the folder to write to.
        quota: the most bytes the workspace may hold; see ``Workspace``. What the run needs is set aside before its
            first step: checkpoints as complete as there is room for, and the finished model in any case.
        scratch_dir: for Keras's temporary files; None for the system's folder.
        console: where to show progress; None shows nothing.

    Raises:
        EdgesqzError: bad input, a finished model of that name, no data, a loss that is NaN or infinity, or no room for
            the finished model.
        KeyboardInterrupt: after Ctrl-C, or SIGTERM in a command, when a checkpoint has been written.
    """
    if teacher and label_smoothing is not None:
        raise EdgesqzError("--teacher takes the place of the labels; leave out --label-smoothing")
    home = Workspace(workspace, quota)
    name = model or Recipe.model if name is None else _checked_name(name)
    finished = home.folder / (name + artifact.KERAS_SUFFIX)
    if finished.exists() and not force:
        raise EdgesqzError(f"{finished} is there already; --force replaces it, --name gives the new model another name")
    teacher_model = loading.find(teacher, home) if teacher else None
    asked: dict[str, Any] = {
        option: value
        for option, value in {
            "model": model,
            "dataset": dataset,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "input_size": None if input_size is None else ImageSize.parse(input_size).plain,
            "preprocessing": preprocessing,
            "label_smoothing": label_smoothing,
            "weight_decay": weight_decay,
            "validation_split": validation_split,
            "teacher": teacher_model.sha256 if teacher_model else None,
            "precision": precision,
            "seed": seed,
        }.items()
        if value is not None
    }
    at_rest = Checkpoint.read(home, name) if resume else None
    recipe = _same_recipe(at_rest.recipe, asked) if at_rest else Recipe(**{"precision": fastest_precision()} | asked)
    if recipe.teacher and not teacher_model:
        raise EdgesqzError("the checkpoint was made with a --teacher; name it again")
    if not resume and checkpoint.is_at_rest(home, name) and console:
        console.print(
            f"starting anew: the checkpoint of an unfinished {name} will be replaced (--resume goes on)",
            soft_wrap=True,
        )
    # The images of a folder are read at the size that the network works at; others have a size of their own.
    size = None if recipe.dataset in data.DATASETS else recipe.size
    source = data.load(recipe.dataset, data_dir, size=size)
    split = source.train()
    if not at_rest:
        scaled = {option: value for option, value in scaled_to(len(split)).items() if option not in asked}
        recipe = dataclasses.replace(recipe, **scaled)
    run = _Run(name, recipe, source, split, teacher_model, home, console)
    if at_rest:
        run.go_on_from(at_rest)
    elif seconds:
        run.fit_into(seconds)
    run.describe()
    for_keras = 0 if home.quota_bytes is None else run.model_bytes
    with run.room_set_aside(), scratch(scratch_dir, home, for_keras):
        return run.train()


def _checked_name(name: str) -> str:
    """A name that begins file names; one with a dot before a letter would look like NAME.VARIANT.SUFFIX.

    Raises:
        EdgesqzError: it cannot be one.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise EdgesqzError(
            f"--name must be at most {NAME_LENGTH} letters, digits, - and _, with dots before digits only, such as "
            f"shapes-1.1; got {name!r}"
        )
    return name


def _same_recipe(recipe: Recipe, asked: dict[str, Any]) -> Recipe:
    """The checkpoint's recipe, if nothing else was asked for: a run cannot change its recipe half-way."""
    for name, value in asked.items():
        if (kept := getattr(recipe, name)) != value:
            flag = f"--{name.replace('_', '-')}"
            raise EdgesqzError(f"the checkpoint was made with {flag} {kept}, not {value}; leave {flag} or --resume out")
    return recipe


class _Run:
    """One training run of one recipe."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        source: data.Dataset,
        split: data.Split,
        teacher: SourceModel | None,
        workspace: Workspace,
        console: Console | None,
    ) -> None:
        from rich.console import Console

        self.name, self.recipe, self.source, self.workspace = name, recipe, source, workspace
        self.console = console or Console(quiet=True)
        channels = models.architecture(recipe.model).channels
        split = data.Split(data.with_channels(split.images, channels), split.labels)
        self.fitted, self.holdout = split, None
        if recipe.validation_split:
            self.fitted, self.holdout = data.holdout_split(split, share=recipe.validation_split, seed=recipe.seed)
        self.batch_size = min(recipe.batch_size, len(self.fitted))
        self.steps_per_epoch = len(self.fitted) // self.batch_size
        self.steps = self._planned_steps()
        self.progress = Progress()
        self.best: list[np.ndarray] | None = None  # the weights of the best epoch so far
        self.keeping = Keeping.EXACTLY
        self._builder().graph()  # what cannot be built is told before TensorFlow is started

        backend.start_keras()
        from keras import utils

        from edgesqz.training import step

        utils.set_random_seed(recipe.seed)
        self.network = self._builder(cropped=True).build(step.FusedBatchNormalization)
        views = step.Views(self.fitted, ImageSize(*self.network.input_shape[1:3]), recipe)
        self.optimizer, self.take_step = step.training_step(self.network, views, recipe)
        self.count_correct = step.evaluation(self.network)
        self.targets: Callable[[int], np.ndarray]  # the number of a view to probabilities, (images, classes)
        if teacher:
            self._check_teacher(teacher)
            self.targets = functools.cache(step.taught(teacher.model, views, recipe))
        else:
            labels = _smoothed(self.fitted.labels, len(source.labels), recipe.label_smoothing)
            self.targets = lambda view: labels

    def _check_teacher(self, teacher: SourceModel) -> None:
        takes, gives = teacher.model.input_shape[1:], teacher.model.output_shape[1:]
        asked, classes = self.network.input_shape[1:], self.network.output_shape[1:]
        if (takes, gives) != (asked, classes):
            raise EdgesqzError(
                f"--teacher {teacher.source} takes images of {takes} and tells {gives[0]} classes; "
                f"expected {asked} and {classes[0]}"
            )

    def _builder(self, *, cropped: bool = False) -> models.SqueezeNetModel:
        """The network; ``cropped`` for images that are cut to its size already, as training does it at random."""
        recipe = self.recipe
        size = recipe.size if cropped and recipe.preprocessing == "course" else self.fitted.size
        classes = len(self.source.labels)
        return models.SqueezeNetModel(size, recipe.size, classes, recipe.model, recipe.preprocessing)

    def _planned_steps(self) -> int:
        whole = self.recipe.epochs * self.steps_per_epoch
        return whole if self.recipe.steps is None else min(whole, self.recipe.steps)

    def fit_into(self, seconds: float) -> None:
        """Plan as many steps as the pace of the first ones promises for a time; those are undone."""
        weights, state = self.network.get_weights(), self._optimizer_state(Keeping.EXACTLY)
        indices = np.arange(self.batch_size)
        wanted, paces = self.targets(0)[indices], list[float]()
        for _ in range(1 + PACE_STEPS):  # the first one compiles
            started = time.perf_counter()
            float(self.take_step(indices, 0, wanted)[0])
            paces.append(time.perf_counter() - started)
        self._restore(weights, state)
        steps = max(1, int(seconds / float(np.median(paces[1:]))))
        epochs = math.ceil(steps / self.steps_per_epoch)
        self.recipe = dataclasses.replace(self.recipe, epochs=epochs, steps=steps)
        self.steps = self._planned_steps()

    def _restore(self, weights: Sequence[np.ndarray], optimizer: Sequence[np.ndarray]) -> None:
        self.network.set_weights(weights)
        for variable, value in zip(self.optimizer.variables, optimizer, strict=True):
            variable.assign(value)

    def describe(self) -> None:
        """Say what is about to be done, with how much of what."""
        recipe, labels = self.recipe, self.source.labels
        named = f" ({', '.join(labels)})" if len(labels) <= MOST_NAMED else ""
        images = f"{len(self.fitted):,} images for training, {len(self.holdout or ()):,} for validation"
        if self.source.test_images is not None:
            images += f", {self.source.test_images:,} for testing"
        lines = [
            f"{self.name}: {recipe.model} on {recipe.dataset}, {len(labels)} classes{named}; {images}",
            f"{self.steps:,} steps in {recipe.epochs} epochs, {self.batch_size} images a step, "
            f"learning rate up to {recipe.learning_rate:g}, {recipe.precision}",
        ]
        if self.source.division:
            lines.append(f"{recipe.dataset}: {self.source.division}")
        self.console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)

    def go_on_from(self, at_rest: Checkpoint) -> None:
        """Take a checkpoint's place in its run."""
        self.progress = at_rest.progress
        with checkpoint.damage_named(f"of {self.name}"):
            if self.progress.history:
                self.best = checkpoint.read_best(self.workspace, self.name)
            self._restore(at_rest.weights, at_rest.optimizer or self._optimizer_state(Keeping.EXACTLY))
            if not at_rest.optimizer:
                self.console.print(
                    "the checkpoint was kept without the optimizer's state, which begins anew", soft_wrap=True
                )

    @functools.cached_property
    def model_bytes(self) -> int:
        """The size of the finished model's file."""
        return len(keras_bytes(self._builder().build()))

    @contextlib.contextmanager
    def room_set_aside(self) -> Iterator[None]:
        """Take the most complete checkpoints that the quota has room for, and keep that room for this run.

        Raises:
            EdgesqzError: there is none for the finished model alone.
        """
        file_name = self._file_name
        names = (*checkpoint.names(self.name), file_name, file_name + artifact.MANIFEST_SUFFIX)
        room = self.workspace.room_for(names)
        if room is None:
            yield
            return
        present = {name: size for name, size in self.workspace.sizes().items() if name in names}
        needs = {keeping: checkpoint.peak_bytes(present, self._planned_writes(keeping)) for keeping in Keeping}
        self.keeping = next((keeping for keeping, need in needs.items() if need <= room), Keeping.NOTHING)
        need = needs[self.keeping]
        if need > room:
            raise self.workspace.refusal(f"the finished {file_name}", need - sum(present.values()))
        with self.workspace.claim(names, need):
            told = f"{format_size(need)} of the workspace set aside; kept: {self.keeping.value}"
            self.console.print(told, soft_wrap=True, highlight=False)
            yield

    def _planned_writes(self, keeping: Keeping) -> list[dict[str, int]]:
        """The sizes of the files that the rest of a run writes, one after the other, at their longest."""
        weights = self.network.get_weights()
        entry = dict.fromkeys(("loss", "training_accuracy", "validation_accuracy"), 1.2345678901234567e-05)
        longest = Progress(self.steps, 1e7, 1e7, len(self.fitted), 1.2345678901234567e-05, [entry] * self.recipe.epochs)
        manifest = artifact.stored_form(b"", self._manifest(b"", longest), self._file_name)
        model = {**_sizes(manifest), self._file_name: self.model_bytes}
        if keeping is Keeping.NOTHING:
            return [model]
        best = _sizes(checkpoint.best_files(self.name, weights))
        last = _sizes(Checkpoint(self.name, self.recipe, longest, weights, self._optimizer_state(keeping)).files())
        return [best, last, best, last, model]

    def train(self) -> Artifact:
        """Run to the end, or until Ctrl-C or SIGTERM; then write the best epoch's network."""
        with stopping.noted() as stop, self._bar() as (bar, task):
            while self.progress.step < self.steps:
                self._step(bar, task)
                if self.progress.step % self.steps_per_epoch == 0 or self.progress.step == self.steps:
                    self._finish_epoch(bar)
                if stop():
                    break
        if (stopped := stop()) and self.progress.step < self.steps:
            self._write_checkpoint()
            kept = "the same command with --resume goes on"
            if self.keeping is Keeping.NOTHING:
                kept = "nothing was kept, for the quota had no room for checkpoints"
            raise stopped(f"stopped after step {self.progress.step} of {self.steps}; {kept}")
        return self._write_model()

    def _step(self, bar: Bar, task: TaskID) -> None:
        progress, started = self.progress, time.perf_counter()
        epoch, position = divmod(progress.step, self.steps_per_epoch)
        if position == 0:
            progress.epoch_loss, progress.epoch_correct = 0.0, 0
        order = _order(self.recipe.seed, epoch, len(self.fitted))
        indices = order[position * self.batch_size :][: self.batch_size]
        self.optimizer.learning_rate = self.recipe.rate_at(progress.step, self.steps)
        view = self.recipe.view_of(epoch)
        wanted = self.targets(view)[indices]
        loss, correct = (float(value) for value in self.take_step(indices, view, wanted))
        if not math.isfinite(loss):
            raise self._diverged(f"the loss became {loss}", progress.step)
        progress.step += 1
        progress.epoch_loss += loss
        progress.epoch_correct += int(correct)
        progress.seconds += time.perf_counter() - started
        loss, accuracy = progress.epoch_loss / (position + 1), progress.epoch_correct / (position + 1) / self.batch_size
        speed = progress.step * self.batch_size / progress.seconds
        bar.update(
            task,
            completed=progress.step,
            description=f"epoch {epoch + 1}/{self.recipe.epochs}",
            figures=f"loss {loss:.3f}  accuracy {accuracy:.1%}  {speed:.0f} images/s",
        )

    def _diverged(self, what: str, step: int) -> EdgesqzError:
        epoch, position = divmod(step, self.steps_per_epoch)
        kept = "the last good checkpoint is kept; " if self.progress.history else ""
        rate = f"try a --learning-rate below {self.recipe.learning_rate:g}"
        return EdgesqzError(f"{what} in epoch {epoch + 1}, step {position + 1}; {kept}{rate}")

    def _weights(self) -> list[np.ndarray]:
        """The network's weights, if they are fit to be kept."""
        weights: list[np.ndarray] = self.network.get_weights()
        if not all(np.isfinite(weight).all() for weight in weights):
            raise self._diverged("the weights became no numbers", self.progress.step - 1)
        return weights

    def _validation_accuracy(self) -> float | None:
        """Top-1 on the validation split, 0..1; None without one."""
        if self.holdout is None:
            return None
        started = time.perf_counter()
        accuracy = self.count_correct(self.holdout) / len(self.holdout)
        self.progress.seconds += time.perf_counter() - started
        if not math.isfinite(accuracy):
            raise self._diverged("the answers became no numbers", self.progress.step - 1)
        return accuracy

    def _finish_epoch(self, bar: Bar) -> None:
        progress, weights, accuracy = self.progress, self._weights(), self._validation_accuracy()
        steps = progress.step - len(progress.history) * self.steps_per_epoch
        entry = {
            "loss": progress.epoch_loss / steps,
            "training_accuracy": progress.epoch_correct / (steps * self.batch_size),
        }
        shown = f"epoch {len(progress.history) + 1}/{self.recipe.epochs}: loss {entry['loss']:.3f}, "
        shown += f"accuracy {entry['training_accuracy']:.2%}, "
        if accuracy is not None:
            entry["validation_accuracy"] = accuracy
            shown += f"validation {accuracy:.2%}, "
        progress.history.append(entry)
        # Of equals the later one, for a few images soon are all right by chance, at a rate that is still high.
        if accuracy is None or accuracy >= (progress.best_accuracy or 0):
            progress.best_accuracy, self.best = accuracy, weights
            if self.keeping is not Keeping.NOTHING:
                self.workspace.write(checkpoint.best_files(self.name, weights))
        try:
            self._write_checkpoint()
        except EdgesqzError:
            if not checkpoint.is_at_rest(self.workspace, self.name):  # of no use without the other
                self.workspace.remove(*checkpoint.names(self.name))
            raise
        speed = progress.step * self.batch_size / progress.seconds
        bar.console.print(f"{shown}{speed:.0f} images/s", highlight=False, soft_wrap=True)

    def _write_checkpoint(self) -> None:
        if self.keeping is not Keeping.NOTHING:
            state = self._optimizer_state(self.keeping)
            Checkpoint(self.name, self.recipe, self.progress, self._weights(), state).write(self.workspace)

    def _optimizer_state(self, keeping: Keeping) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.optimizer.variables] if keeping is Keeping.EXACTLY else []

    def _write_model(self) -> Artifact:
        """Move the best epoch's weights into stock layers, and write them in place of the checkpoints."""
        stock = self._builder().build()
        with checkpoint.damage_named(f"of {self.name}"):
            stock.set_weights(self.best)
        content = keras_bytes(stock)
        manifest = self._manifest(content, self.progress)
        self.workspace.write(
            artifact.stored_form(content, manifest, self._file_name), removing=checkpoint.names(self.name)
        )
        return Artifact(self.workspace.folder / self._file_name, manifest)

    @property
    def _file_name(self) -> str:
        return self.name + artifact.KERAS_SUFFIX

    def _manifest(self, content: bytes, progress: Progress) -> Manifest:
        size, channels = self.fitted.size, models.architecture(self.recipe.model).channels
        return Manifest(
            name=self.name,
            variant="fp32",
            format="keras",
            size_bytes=len(content),
            sha256=artifact.sha256(content),
            input=Tensor(shape=(None, *size, channels), dtype="float32"),
            output=Tensor(shape=(None, len(self.source.labels)), dtype="float32"),
            pixels=PixelRange(),
            labels=self.source.labels,
            dataset=self.recipe.dataset,
            training={
                "recipe": dataclasses.asdict(self.recipe),
                "validation_accuracy": progress.best_accuracy,
                "validation_images": len(self.holdout or ()),
                "warning": self._warning(progress),
                "machine": dataclasses.asdict(machine()),
                "minutes": round(progress.seconds / 60, 1),
                "history": progress.history,
            },
            versions=artifact.package_versions("keras", "tensorflow", "numpy"),
        )

    def _warning(self, progress: Progress) -> str | None:
        """What to say of a run that cannot be told from guessing the most common class; None of one that can.

        Judged by the validation images or, where there are none, by how the training images of the last epoch did.
        """
        split, seen, accuracy = "validation", self.holdout, progress.best_accuracy
        if seen is None:
            split, seen, accuracy = "training", self.fitted, progress.history[-1]["training_accuracy"]
        if accuracy is None:  # nothing is known yet
            return None
        guessing = np.bincount(seen.labels).max() / len(seen)
        if share_interval(round(accuracy * len(seen)), len(seen))[0] > guessing:
            return None
        return (
            f"the {split} accuracy, {accuracy:.1%} of {len(seen)} images, cannot be told from guessing, "
            f"{guessing:.1%}; try more images or --epochs, a lower --learning-rate, and check the labels"
        )

    @contextlib.contextmanager
    def _bar(self) -> Iterator[tuple[Bar, TaskID]]:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        # Where there is no terminal, the line after each epoch has to do.
        hidden = not self.console.is_terminal
        with Bar(*columns, console=self.console, transient=True, speed_estimate_period=60, disable=hidden) as bar:
            yield bar, bar.add_task("starting", total=self.steps, completed=self.progress.step, figures="")


def _sizes(files: dict[str, bytes]) -> dict[str, int]:
    return {name: len(content) for name, content in files.items()}


def _smoothed(labels: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """Labels (N,) as probabilities, float32 (N, classes); a share of ``smoothing`` goes to all classes alike."""
    probabilities = np.full((len(labels), classes), smoothing / classes, np.float32)
    probabilities[np.arange(len(labels)), labels] += 1 - smoothing
    return probabilities


@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of the images in an epoch, int64 (count,)."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def keras_bytes(model: keras.Model) -> bytes:
    """The .keras file of a model."""
    with tempfile.TemporaryDirectory() as scratch, backend.hush():
        path = Path(scratch) / f"model{artifact.KERAS_SUFFIX}"
        model.save(path)
        return path.read_bytes()
