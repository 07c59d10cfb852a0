"""The training loop: steps, epochs, checkpoints and the finished model."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgesqz import artifact, backend, data, stopping
from edgesqz.artifact import Artifact, Manifest, PixelRange, Tensor
from edgesqz.errors import EdgesqzError, named, option
from edgesqz.image_size import ImageSize
from edgesqz.machine import machine
from edgesqz.models.architectures import architecture, network_graph
from edgesqz.models.graph import Graph
from edgesqz.models.loading import SourceModel
from edgesqz.stats import share_interval
from edgesqz.tables import counted
from edgesqz.training import checkpoint, fine_tuning, forms
from edgesqz.training.checkpoint import Checkpoint, Detail, Progress
from edgesqz.training.display import has_line, progress_bar
from edgesqz.training.history import FIGURES, Entry
from edgesqz.training.learner import Learner, LocalLearner
from edgesqz.training.recipe import MODELS, Recipe
from edgesqz.training.teacher import Teacher
from edgesqz.workspace import Workspace
from edgesqz.workspace.sizes import format_size

if TYPE_CHECKING:
    import keras
    from rich.console import Console

Learn = Callable[[Graph, data.Split, Recipe], Learner]

MAX_LISTED_CLASSES = 12
CHECKED_IMAGES = 500  # on which the teacher must be better than guessing
STATISTICS_IMAGES = 5000  # from which the statistics of batch normalization are estimated
TIMED_STEPS = 10  # for a run of a given duration
LONGEST_NUMBER = 1.2345678901234567e-05  # no float takes more characters in JSON


@dataclass(frozen=True)
class TrainingImages:
    """The images of a run.

    Attributes:
        dataset: The dataset that the images come from.
        fitted: The images to train on.
        validation: The validation split, or None if there is none.
    """

    dataset: data.Dataset
    fitted: data.Split
    validation: data.Split | None

    @classmethod
    def split(cls, dataset: data.Dataset, images: data.Split, recipe: Recipe) -> TrainingImages:
        """Split the training images of a dataset according to a recipe."""
        channels = architecture(recipe.model).channels
        images = data.Split(data.with_channels(images.images, channels), images.labels)
        if not recipe.validation_split:
            return cls(dataset, images, None)
        return cls(dataset, *data.holdout_split(images, share=recipe.validation_split, seed=recipe.seed))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.dataset.labels


class TrainingRun:
    """One run of one recipe."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        images: TrainingImages,
        init: SourceModel | None,
        teacher: Teacher | None,
        workspace: Workspace,
        console: Console,
        learn: Learn = LocalLearner,
    ) -> None:
        self.name, self.recipe, self.images = name, recipe, images
        self.workspace, self.console = workspace, console
        self.batch_size = min(recipe.batch_size, len(images.fitted))
        self.steps_per_epoch = len(images.fitted) // self.batch_size
        self.steps = self._planned_steps()
        self.best: list[np.ndarray] | None = None  # the weights of the epoch to keep so far
        self.detail = Detail.FULL
        self.after_epoch: list[Callable[[Progress], None]] = []
        self._graph()  # refuses what cannot be built before TensorFlow starts
        graph = self._graph(cropped=True)
        forms.trained_form(graph, recipe)  # refuses a network with nothing to quantize
        if teacher:
            teacher.check(graph.nodes[0].shape, images.labels)
        self.frozen = fine_tuning.frozen_modules(graph, recipe.freeze)
        backend.start_keras()
        self.init, self.teacher_line = init, ""
        given = {"init": init and init.path, "teacher": teacher and teacher.path}
        self.model_files = {name: path.name for name, path in given.items() if path}
        self.initial: list[np.ndarray] | None = None  # the weights to start from, unless these are random
        if init:
            self.initial = fine_tuning.initial_weights(graph, recipe, init, images.labels)
        self.learner: Learner = learn(graph, images.fitted, recipe)
        self._start()
        self.targets = self._targets(graph, teacher)

    def _targets(self, graph: Graph, teacher: Teacher | None) -> Callable[[int], np.ndarray]:
        """Return a function that maps the number of a view to the target probabilities, float32 (images, classes)."""
        images, recipe = self.images.fitted, self.recipe
        if not teacher:
            labels = _smoothed(images.labels, len(self.images.labels), recipe.label_smoothing)
            return lambda view: labels
        from edgesqz.training import step

        views = step.Views(images, ImageSize(*graph.nodes[0].shape[:2]), recipe)
        sample = np.random.default_rng(recipe.seed).permutation(len(images))[:CHECKED_IMAGES]
        accuracy = teacher.check_accuracy(views.pixels(sample, 0), images.labels[sample])
        self.teacher_line = f"teacher: {teacher.path}, which classifies {accuracy} correctly"
        return functools.cache(step.soft_targets(teacher, views, recipe.temperature))

    def _start(self) -> None:
        """Return to the state before the first step."""
        self.progress = Progress()
        if self.initial:
            self.learner.restore(self.initial, ())

    def _graph(self, *, cropped: bool = False) -> Graph:
        """Return the network or, with ``cropped``, the network for images that were cropped to its input size."""
        recipe = self.recipe
        is_cropped = cropped and recipe.preprocessing == "course"
        return network_graph(
            recipe.model,
            classes=len(self.images.labels),
            input_size=recipe.size,
            image_size=recipe.size if is_cropped else self.images.fitted.size,
            preprocessing=recipe.preprocessing,
        )

    def _planned_steps(self) -> int:
        all_epochs = self.recipe.epochs * self.steps_per_epoch
        return all_epochs if self.recipe.steps is None else min(all_epochs, self.recipe.steps)

    def plan_steps(self, seconds: float, min_steps: int) -> None:
        """Plan as many steps as fit into a duration, based on the speed of the first steps, which are undone.

        Args:
            seconds: The duration.
            min_steps: Number of steps to plan even if they do not fit.
        """
        weights, state = self.learner.weights(), self.learner.optimizer_state()
        indices = np.arange(self.batch_size)
        targets, times = self.targets(0)[indices], list[float]()
        for _ in range(1 + TIMED_STEPS):  # the first one compiles
            started = time.perf_counter()
            self.learner.step(indices, 0, targets, self.recipe.learning_rate)
            times.append(time.perf_counter() - started)
        self.learner.restore(weights, state)
        steps = max(min_steps, int(seconds / float(np.median(times[1:]))))
        epochs = math.ceil(steps / self.steps_per_epoch)
        self.recipe = dataclasses.replace(self.recipe, epochs=epochs, steps=steps)
        self.steps = self._planned_steps()

    def describe(self) -> None:
        """Print the network, the number of images and the length of the run."""
        recipe, images, labels = self.recipe, self.images, self.images.labels
        listed = f" ({', '.join(labels)})" if len(labels) <= MAX_LISTED_CLASSES else ""
        counts = f"{len(images.fitted):,} images for training, {len(images.validation or ()):,} for validation"
        if images.dataset.test_images is not None:
            counts += f", {images.dataset.test_images:,} for testing"
        lines = [f"{self.name}: {recipe.model} on {recipe.dataset}, {len(labels)} classes{listed}; {counts}"]
        if images.dataset.division:
            lines.append(f"{recipe.dataset}: {images.dataset.division}")
        lines.append(
            f"{counted(self.steps, 'step')} in {counted(recipe.epochs, 'epoch')}, "
            f"{counted(self.batch_size, 'image')} per step, "
            f"peak learning rate {recipe.learning_rate:g}, {recipe.precision}"
        )
        if self.init:
            lines.append(self._initialization(self.init))
        if self.teacher_line:
            lines.append(self.teacher_line)
        self.console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)

    def _initialization(self, init: SourceModel) -> str:
        """Describe the weights that the run starts from."""
        classifier = "" if fine_tuning.keeps_classifier(init, self.images.labels) else " with a new classifier"
        frozen = f"; frozen: {', '.join(self.frozen)}" if self.frozen else ""
        return f"initial weights: {init.name} ({init.source}){classifier}{frozen}"

    def restart(self) -> None:
        """Continue from the last checkpoint, or from the start, after ``learner`` was restarted."""
        has_checkpoint = bool(self.progress.history) and self.detail is not Detail.NOTHING
        self._start()
        if has_checkpoint:
            self.resume(Checkpoint.read(self.workspace, self.name))

    def resume(self, saved: Checkpoint) -> None:
        """Continue from a checkpoint."""
        self.progress = saved.progress
        with checkpoint.damage_named(f"of {self.name}"):
            if self.progress.history:
                self.best = checkpoint.read_best(self.workspace, self.name)
            self.learner.restore(saved.weights, saved.optimizer)
        self.console.print(f"training continues after step {self.progress.step} of {self.steps}", highlight=False)
        if not saved.optimizer:
            self.console.print("the checkpoint has no optimizer state; the optimizer starts over", soft_wrap=True)

    @functools.cached_property
    def model_bytes(self) -> int:
        """Size of the finished model's file."""
        return len(keras_bytes(self._graph().to_keras()))

    @contextlib.contextmanager
    def claimed_room(self) -> Iterator[None]:
        """Choose the most detailed checkpoints that fit the quota, and reserve space for them.

        Raises:
            NoRoomError: The finished model alone does not fit the quota.
        """
        file_name = self._file_name
        names = (*checkpoint.names(self.name), file_name, file_name + artifact.MANIFEST_SUFFIX)
        room = self.workspace.room_for(names)
        if room is None:
            yield
            return
        present = {name: size for name, size in self.workspace.sizes().items() if name in names}
        needs = {detail: checkpoint.peak_bytes(present, self._planned_writes(detail)) for detail in Detail}
        self.detail = next((detail for detail, need in needs.items() if need <= room), Detail.NOTHING)
        need = needs[self.detail]
        if need > room:
            raise self.workspace.refusal(f"the finished {file_name}", need - sum(present.values()))
        with self.workspace.claim(names, need):
            self.console.print(
                f"{format_size(need)} of the workspace reserved: {self.detail.value}", soft_wrap=True, highlight=False
            )
            yield

    def _planned_writes(self, detail: Detail) -> list[dict[str, int]]:
        """Return the maximum sizes of the files that the rest of the run writes, in the order of the writes."""
        weights = self.learner.weights()
        entry = dict.fromkeys((figure.name for figure in FIGURES), LONGEST_NUMBER)
        longest = Progress(
            step=self.steps,
            seconds=1e7,
            epoch_loss=LONGEST_NUMBER,
            epoch_correct=len(self.images.fitted),
            epoch_seconds=LONGEST_NUMBER,
            best_accuracy=LONGEST_NUMBER,
            history=[entry] * self.recipe.epochs,
        )
        manifest = artifact.stored_form(b"", self._manifest(b"", longest), self._file_name)
        model = {**_sizes(manifest), self._file_name: self.model_bytes}
        if detail is Detail.NOTHING:
            return [model]
        best = _sizes(checkpoint.best_files(self.name, weights))
        last = _sizes(Checkpoint(self.name, self.recipe, longest, weights, self._optimizer_state(detail)).files())
        return [best, last, best, last, model]

    def run(self) -> Artifact:
        """Train to the last step, then write the network of the best epoch or, if the recipe says so, of the last.

        Raises:
            KeyboardInterrupt: The run was interrupted. A checkpoint was written if it fit the quota.
        """
        bar = progress_bar(self.console, self.steps, self.progress.step)
        with stopping.noted() as stop, bar as show:
            while self.progress.step < self.steps:
                if self._meets_new_view:
                    show(self.progress.step, self._epoch_of(self.progress.step), "the teacher predicts the images")
                self._step()
                show(self.progress.step, *self._figures())
                if self.progress.step % self.steps_per_epoch == 0 or self.progress.step == self.steps:
                    self._finish_epoch()
                if stop():
                    break
        if (stopped := stop()) and self.progress.step < self.steps:
            raise self._interrupt(stopped)
        return self._write_model()

    def _interrupt(self, stopped: type[KeyboardInterrupt]) -> KeyboardInterrupt:
        """Write a checkpoint, and return the exception to raise, which says what was kept."""
        self._write_checkpoint()
        same = " and ".join(option(name) for name in MODELS if getattr(self.recipe, name))
        kept = f"continue with {option('resume')}" + (f" and the same {same}" if same else "")
        if self.detail is Detail.NOTHING:
            kept = "nothing was kept, because checkpoints did not fit the quota"
        return stopped(named(f"stopped after step {self.progress.step} of {self.steps}; {kept}"))

    def _step(self) -> None:
        progress, started = self.progress, time.perf_counter()
        epoch, position = divmod(progress.step, self.steps_per_epoch)
        if position == 0:
            progress.epoch_loss, progress.epoch_correct, progress.epoch_seconds = 0.0, 0, 0.0
        indices = self._batches(epoch)[position]
        view, rate = self.recipe.view_of(epoch), self.recipe.rate_at(progress.step, self.steps)
        loss, correct = self.learner.step(indices, view, self.targets(view)[indices], rate)
        if not math.isfinite(loss):
            raise self._diverged(f"the loss became {loss}", progress.step)
        progress.step += 1
        progress.epoch_loss += loss
        progress.epoch_correct += correct
        elapsed = time.perf_counter() - started
        progress.seconds += elapsed
        progress.epoch_seconds += elapsed

    def _figures(self) -> tuple[str, str]:
        """Return the current epoch and its figures, for the progress bar."""
        last = self.progress.step - 1
        loss, accuracy = self._epoch_averages(last % self.steps_per_epoch + 1)
        return self._epoch_of(last), f"loss {loss:.3f}  accuracy {accuracy:.1%}  {self._speed}"

    def _epoch_of(self, step: int) -> str:
        return f"epoch {step // self.steps_per_epoch + 1}/{self.recipe.epochs}"

    @property
    def _meets_new_view(self) -> bool:
        """Whether the next step is the first of a view that the teacher has not predicted yet."""
        epoch, position = divmod(self.progress.step, self.steps_per_epoch)
        return self.recipe.teacher is not None and position == 0 and epoch < self.recipe.teacher_views

    def _epoch_averages(self, steps: int) -> tuple[float, float]:
        """Return the mean loss and accuracy of the first ``steps`` steps of the current epoch."""
        return self.progress.epoch_loss / steps, self.progress.epoch_correct / (steps * self.batch_size)

    @property
    def _speed(self) -> str:
        return f"{self.progress.step * self.batch_size / self.progress.seconds:.0f} images/s"

    def _diverged(self, what: str, step: int) -> EdgesqzError:
        epoch, position = divmod(step, self.steps_per_epoch)
        kept = "the last good checkpoint is kept; " if self.progress.history else ""
        advice = f"try a {option('learning_rate')} below {self.recipe.learning_rate:g}"
        return EdgesqzError(f"{what} in epoch {epoch + 1}, step {position + 1}; {kept}{advice}")

    def _weights(self) -> list[np.ndarray]:
        """Return the network's weights.

        Raises:
            EdgesqzError: Some are NaN or infinity.
        """
        weights = self.learner.weights()
        if not all(np.isfinite(weight).all() for weight in weights):
            raise self._diverged("weights became NaN or infinity", self.progress.step - 1)
        return weights

    def _validation_accuracy(self) -> float | None:
        """Return the top-1 accuracy on the validation split, 0..1, or None if there is none."""
        validation = self.images.validation
        if validation is None:
            return None
        started = time.perf_counter()
        accuracy = self.learner.count_correct(validation) / len(validation)
        self.progress.seconds += time.perf_counter() - started
        if not math.isfinite(accuracy):
            raise self._diverged("predictions became NaN or infinity", self.progress.step - 1)
        return accuracy

    def _finish_epoch(self) -> None:
        """Validate, write checkpoints, and print a line after some of the epochs."""
        self._prepare_validation()
        progress, weights, accuracy = self.progress, self._weights(), self._validation_accuracy()
        entry = self._entry(accuracy)
        progress.history.append(entry)
        self._keep_if_best(weights, accuracy)
        self._keep_last()
        if has_line(len(progress.history), self.recipe.epochs):
            validated = "" if accuracy is None else f"validation {accuracy:.2%}, "
            self.console.print(
                f"epoch {len(progress.history)}/{self.recipe.epochs}: loss {entry['loss']:.3f}, "
                f"accuracy {entry['training_accuracy']:.2%}, {validated}{self._speed}",
                highlight=False,
                soft_wrap=True,
            )
        for notify in self.after_epoch:
            notify(progress)

    def _prepare_validation(self) -> None:
        """After the last step, use the average of the weights. Make the statistics of batch normalization match them.

        The moving averages of batch normalization lag behind the weights while the learning rate is high. Without new
        estimates, validation would underestimate the accuracy, by more than ten percentage points in the first epochs.
        """
        started = time.perf_counter()
        is_averaged = self.recipe.average > 0 and self.progress.step == self.steps
        if is_averaged:
            self.learner.use_average()
        if is_averaged or (self.images.validation and self.recipe.kept_epoch == "best"):
            next_epoch = len(self.progress.history) + 1
            batches = self._batches(next_epoch)[: -(-STATISTICS_IMAGES // self.batch_size)]
            self.learner.estimate_statistics(batches, self.recipe.view_of(next_epoch))
        self.progress.seconds += time.perf_counter() - started

    def _batches(self, epoch: int) -> np.ndarray:
        """Return the indices of the images in each batch of an epoch, int64 (steps, images)."""
        order = _order(self.recipe.seed, epoch, len(self.images.fitted))
        return order[: self.steps_per_epoch * self.batch_size].reshape(self.steps_per_epoch, self.batch_size)

    def _entry(self, validation_accuracy: float | None) -> Entry:
        """Return the history entry of the epoch that just ended."""
        progress = self.progress
        steps = progress.step - len(progress.history) * self.steps_per_epoch
        loss, training_accuracy = self._epoch_averages(steps)
        validated = {} if validation_accuracy is None else {"validation_accuracy": validation_accuracy}
        return {
            "loss": loss,
            "training_accuracy": training_accuracy,
            **validated,
            # Rounded, because every digit counts against the quota.
            "learning_rate": float(f"{self.recipe.rate_at(progress.step - 1, self.steps):.6g}"),
            "images_per_second": round(steps * self.batch_size / progress.epoch_seconds, 1),
        }

    def _keep_if_best(self, weights: list[np.ndarray], accuracy: float | None) -> None:
        """Keep the weights of an epoch unless the recipe keeps the best one, and an earlier one was better."""
        if self.recipe.kept_epoch == "last" or accuracy is None or accuracy >= (self.progress.best_accuracy or 0):
            self.progress.best_accuracy, self.best = accuracy, weights
            if self.detail is not Detail.NOTHING:
                self.workspace.write(checkpoint.best_files(self.name, weights))

    def _keep_last(self) -> None:
        try:
            self._write_checkpoint()
        except EdgesqzError:
            if not checkpoint.exists(self.workspace, self.name):  # the best weights are useless without it
                self.workspace.remove(*checkpoint.names(self.name))
            raise

    def _write_checkpoint(self) -> None:
        if self.detail is not Detail.NOTHING:
            state = self._optimizer_state(self.detail)
            Checkpoint(self.name, self.recipe, self.progress, self._weights(), state).write(self.workspace)

    def _optimizer_state(self, detail: Detail) -> list[np.ndarray]:
        return self.learner.optimizer_state() if detail is Detail.FULL else []

    def _write_model(self) -> Artifact:
        """Write the kept epoch's weights as a model of standard Keras layers, replacing the checkpoints."""
        assert self.best is not None  # the last epoch has ended
        with checkpoint.damage_named(f"of {self.name}"):
            content = keras_bytes(forms.finished(self._graph(), self.recipe, self.best))
        manifest = self._manifest(content, self.progress)
        files = artifact.stored_form(content, manifest, self._file_name)
        self.workspace.write(files, removing=checkpoint.names(self.name))
        return Artifact(self.workspace.folder / self._file_name, manifest)

    @property
    def _file_name(self) -> str:
        return self.name + artifact.KERAS_SUFFIX

    def _manifest(self, content: bytes, progress: Progress) -> Manifest:
        shape = (None, *self.images.fitted.size, architecture(self.recipe.model).channels)
        return Manifest(
            name=self.name,
            variant="fp32",
            format="keras",
            size_bytes=len(content),
            sha256=artifact.sha256(content),
            input=Tensor(shape=shape, dtype="float32"),
            output=Tensor(shape=(None, len(self.images.labels)), dtype="float32"),
            pixels=PixelRange(),
            labels=self.images.labels,
            dataset=self.recipe.dataset,
            training={
                "recipe": dataclasses.asdict(self.recipe),
                "models": self.model_files,
                "validation_accuracy": progress.best_accuracy,
                "validation_images": len(self.images.validation or ()),
                "warning": self._warning(progress),
                "machine": dataclasses.asdict(machine()),
                "minutes": round(progress.seconds / 60, 1),
                "history": progress.history,
            },
            versions=artifact.package_versions("keras", "tensorflow", "numpy"),
        )

    def _warning(self, progress: Progress) -> str | None:
        """Return a warning if the accuracy is not significantly better than guessing the most common class.

        The accuracy is that on the validation split or, without one, on the training images of the last epoch.
        """
        split, seen, accuracy = "validation", self.images.validation, progress.best_accuracy
        if seen is None:
            split, seen, accuracy = "training", self.images.fitted, progress.history[-1]["training_accuracy"]
        if accuracy is None:  # before the first epoch
            return None
        guessing = np.bincount(seen.labels).max() / len(seen)
        if share_interval(round(accuracy * len(seen)), len(seen))[0] > guessing:
            return None
        return (
            f"the {split} accuracy, {accuracy:.1%} of {len(seen)} images, is not significantly better than guessing, "
            f"{guessing:.1%}; try more images, more epochs or a lower learning rate, and check the labels"
        )


def _sizes(files: dict[str, bytes]) -> dict[str, int]:
    return {name: len(content) for name, content in files.items()}


def _smoothed(labels: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """Return labels (N,) as probabilities, float32 (N, classes), with ``smoothing`` spread evenly over all classes."""
    probabilities = np.full((len(labels), classes), smoothing / classes, np.float32)
    probabilities[np.arange(len(labels)), labels] += 1 - smoothing
    return probabilities


@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the order of the images in an epoch, int64 (count,)."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def keras_bytes(model: keras.Model) -> bytes:
    """Return the content of a model's .keras file."""
    with tempfile.TemporaryDirectory() as scratch, backend.hush():
        path = Path(scratch) / f"model{artifact.KERAS_SUFFIX}"
        model.save(path)
        return path.read_bytes()
