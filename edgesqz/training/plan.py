"""The options of ``train``."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from edgesqz import plotting
from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError, option
from edgesqz.image_size import ImageSize
from edgesqz.options import ClusterOptions, DataDirOptions, InputSizeOptions, QuotaOptions
from edgesqz.training.recipe import MODELS, Recipe
from edgesqz.training.spec import read_spec
from edgesqz.workspace import OWN, check_writable, disk

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.training.result import TrainResult

FOLLOWS = "depends on the number of images"
NAME_LENGTH = 64  # leaves room in a file name for variants and suffixes
# A dot before a letter would make the name look like NAME.VARIANT.SUFFIX.
NAME_PATTERN = rf"(?=.{{1,{NAME_LENGTH}}}$)\w(?:[\w-]|\.(?=\d))*"


@dataclass(frozen=True)
class NetworkOptions(InputSizeOptions):
    """The network to train."""

    PANEL: ClassVar = "Model"
    model: Annotated[
        str | None,
        Option("Name of the network. `edgesqz models` lists all of them.", metavar="NAME", default=Recipe.model),
    ] = None
    _: KW_ONLY
    init: Annotated[
        str | Path | None,
        Option(
            "Fine-tune this model: train the same network, starting from its weights instead of random ones. It can be "
            "a .keras file, or the name of a model in the workspace or the zoo. If the classes differ, the classifier "
            "is replaced.",
            metavar="MODEL",
        ),
    ] = None
    freeze: Annotated[
        int | None,
        Option(
            "Number of modules of the `--init` model that stay as they are, counted from the input. A module is a "
            "convolution, a fire module or a dense layer.",
            metavar="COUNT",
            default=f"{Recipe.freeze}",
        ),
    ] = None


@dataclass(frozen=True)
class TrainingData(DataDirOptions):
    """The images to train on."""

    PANEL: ClassVar = "Data"
    dataset: Annotated[
        str | Path | None,
        Option(
            "cifar10, cifar100, mnist, synthetic, or a folder with a subfolder of images for each class. The "
            "subfolders can be in train/ and test/. Otherwise, a fixed fifth of each class is the test split.",
            metavar="NAME|DIR",
            default=Recipe.dataset,
        ),
    ] = None
    _: KW_ONLY
    validation_split: Annotated[
        float | None,
        Option(
            "Fraction of the training images to reserve for validation. From 1,000 images on, they select the best "
            "epoch; otherwise, the last one is kept. With 0, training uses all images.",
            metavar="FRACTION",
            default=f"{Recipe.validation_split}",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """The hyperparameters."""

    PANEL: ClassVar = "Training"
    epochs: Annotated[int | None, Option("Number of passes over the training images.", default=FOLLOWS)] = None
    seconds: Annotated[
        float | None,
        Option(
            "Train for about this many seconds instead of a number of epochs. The number of steps is estimated from "
            "the speed of the first ones."
        ),
    ] = None
    batch_size: Annotated[int | None, Option("Number of images per step.", default=FOLLOWS)] = None
    learning_rate: Annotated[float | None, Option("Peak learning rate.", default=FOLLOWS)] = None
    preprocessing: Annotated[
        str | None,
        Option(
            "How to prepare images: scale resizes them to the input size, and course takes random crops of the input "
            "size and standardizes each image separately.",
            metavar="NAME",
            default=Recipe.preprocessing,
        ),
    ] = None
    label_smoothing: Annotated[
        float | None,
        Option(
            "Fraction of each label that is spread evenly over all classes.",
            metavar="FRACTION",
            default=f"{Recipe.label_smoothing}",
        ),
    ] = None
    weight_decay: Annotated[float | None, Option("L2 penalty on kernels.", default=f"{Recipe.weight_decay}")] = None
    teacher: Annotated[
        str | Path | None,
        Option(
            "Distill this model: train on its predictions instead of the labels. It can be a model file of any format "
            "that bench runs, such as .keras or .onnx, or the name of one in the workspace or the zoo.",
            metavar="MODEL",
        ),
    ] = None
    teacher_views: Annotated[
        int | None,
        Option(
            "Number of epochs after which the augmentation repeats. The teacher predicts each image this many times.",
            metavar="COUNT",
            default=f"{Recipe.teacher_views}",
        ),
    ] = None
    quantize_aware: Annotated[
        str | None,
        Option(
            "Variant to fine-tune the network for: int4. During training, the network computes with the weights that "
            "the exported file will store. Requires `--init`.",
            metavar="VARIANT",
        ),
    ] = None
    optimizer: Annotated[
        str | None,
        Option(
            "Optimizer: sgd, or muon, which makes the updates of convolution kernels orthogonal.",
            metavar="NAME",
            default=Recipe.optimizer,
        ),
    ] = None
    average: Annotated[
        float | None,
        Option(
            "Momentum of a moving average of the weights over the steps, for example 0.995. The finished network has "
            "the averaged weights. With 0, it has the weights of the last step.",
            metavar="FRACTION",
            default=f"{Recipe.average:g}",
        ),
    ] = None
    branches: Annotated[
        bool | None,
        Option(
            "Train each 3x3 convolution as a sum of 3x3, 1x3 and 3x1 convolutions, which the finished network folds "
            "into one."
        ),
    ] = None
    precision: Annotated[
        str | None,
        Option(
            "Precision of the convolutions: float32 or bfloat16.",
            metavar="NAME",
            default="the faster one on this processor",
        ),
    ] = None
    seed: Annotated[
        int | None, Option("Seed for initial weights, shuffling and augmentation.", default=f"{Recipe.seed}")
    ] = None


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(ClusterOptions):
    """The processes that train."""

    PANEL: ClassVar = "Cluster"
    workers: Annotated[
        int,
        Option(
            "Number of training processes. Each uses one core and trains on a part of every batch. More than one "
            "process requires Ray."
        ),
    ] = 1


@dataclass(frozen=True, kw_only=True)
class ModelFileOptions:
    """The file that the run writes."""

    PANEL: ClassVar = "Output"
    name: Annotated[
        str | None,
        Option(
            "Name of the model file and of the files exported from it.",
            default="the name of the network or of the `--init` model",
        ),
    ] = None
    force: Annotated[bool, Option("Replace a finished model or an unfinished run of the same name.")] = False
    resume: Annotated[
        bool,
        Option(
            "Continue from the checkpoint of an interrupted run. Repeat `--teacher` and `--init` if it was started "
            "with them."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class CurveOptions:
    """Where the learning curves are shown."""

    PANEL: ClassVar = "Output"
    plot: Annotated[
        str | Path | None,
        Option(
            "When training ends, plot loss, accuracy and learning rate by epoch in this .png or .svg file.",
            metavar="FILE",
        ),
    ] = None
    tensorboard: Annotated[
        str | Path | None,
        Option(
            "After each epoch, write its loss, accuracy, learning rate and speed to this folder for TensorBoard. "
            "Choose one folder per run. It must be outside the workspace, because no quota limits its size.",
            metavar="DIR",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SpecOptions:
    """The network and the recipe from a file."""

    PANEL: ClassVar = "Model"
    spec: Annotated[
        str | Path | None,
        Option(
            "A TOML file with a network and its recipe, such as a sweep writes for its best trial. Other options "
            "override its values.",
            metavar="FILE",
        ),
    ] = None


@dataclass(frozen=True)
class Train(
    QuotaOptions,
    CurveOptions,
    ModelFileOptions,
    WorkerOptions,
    RecipeOptions,
    TrainingData,
    SpecOptions,
    NetworkOptions,
):
    """Train a network and write it to the workspace as NAME.keras.

    A tenth of the training images is the validation split. If it has at least 1,000 images, it selects the best epoch.
    The test split is never read. Ctrl-C leaves a checkpoint.

    Example: `edgesqz train --model squeezenet-nano --dataset cifar10 --epochs 10`
    """

    def __post_init__(self) -> None:
        """Read the specification, and validate the options without reading other files."""
        if self.spec is not None:
            for name, value in read_spec(Path(self.spec)).items():
                if getattr(self, name) is None:
                    object.__setattr__(self, name, value)
        Recipe(**self.chosen)
        if self.freeze and not self.init:
            raise EdgesqzError(f"{option('freeze')} keeps trained weights; set {option('init')} to a trained model")
        name = self.model_name if self.name is None else self.name
        if not (name == self.model or re.fullmatch(NAME_PATTERN, name)):
            raise EdgesqzError(
                f"{option('name')} must be at most {NAME_LENGTH} letters, digits, hyphens and underscores, with dots "
                f"only before digits, such as shapes-1.1; got {name!r}"
            )
        if self.teacher and self.label_smoothing is not None:
            raise EdgesqzError(f"{option('teacher')} replaces the labels; remove {option('label_smoothing')}")
        if self.teacher_views is not None and not self.teacher:
            raise EdgesqzError(f"{option('teacher_views')} needs a teacher; set {option('teacher')}")
        if self.quantize_aware and not self.init:
            raise EdgesqzError(f"{option('quantize_aware')} starts from a trained network; set {option('init')}")
        if self.branches and self.init:
            raise EdgesqzError(f"{option('branches')} start from random weights; remove {option('init')}")
        if self.workers < 1:
            raise EdgesqzError(f"{option('workers')} must be at least 1, got {self.workers}")
        if self.address and self.workers == 1:
            raise EdgesqzError(f"{option('address')} needs more than one worker; set {option('workers')}")
        if self.seconds is not None:
            self._check_seconds(self.seconds)
        if self.plot:
            check_writable(Path(self.plot))
            plotting.check(Path(self.plot))
        if self.tensorboard:
            self._check_tensorboard(Path(self.tensorboard).resolve())

    def _check_seconds(self, seconds: float) -> None:
        if not seconds > 0:
            raise EdgesqzError(f"{option('seconds')} must be above 0, got {seconds}")
        for name in ("epochs", "resume"):
            if getattr(self, name):
                raise EdgesqzError(f"{option('seconds')} decides the number of steps; remove {option(name)}")

    def _check_tensorboard(self, folder: Path) -> None:
        places = (folder, *folder.parents)
        if Path(self.workspace).resolve() in places or any((place / OWN).is_dir() for place in places):
            raise EdgesqzError(f"{option('tensorboard')} must be outside the workspace, got {self.tensorboard}")
        try:
            disk.check_usable(folder)
        except OSError as error:
            raise EdgesqzError(
                f"{option('tensorboard')}: cannot write to {self.tensorboard}; choose a folder with write permission"
            ) from error

    @property
    def model_name(self) -> str:
        """Name of the model that the run writes."""
        return self.name or self.model or (Path(self.init).stem if self.init else Recipe.model)

    @property
    def chosen(self) -> dict[str, Any]:
        """The values given for the recipe, except other models, which the recipe identifies by their SHA-256."""
        values = {field.name: getattr(self, field.name, None) for field in dataclasses.fields(Recipe)}
        values["input_size"] = None if self.input_size is None else ImageSize.parse(self.input_size).plain
        values["dataset"] = None if self.dataset is None else str(self.dataset)
        return {name: value for name, value in values.items() if value is not None and name not in MODELS}

    def run(self, console: Console) -> TrainResult:
        """Train, and write the model.

        Raises:
            EdgesqzError: The input is invalid, a finished model of the same name exists, the data is missing, the loss
                becomes NaN or infinity, or the finished model does not fit the quota.
            KeyboardInterrupt: After Ctrl-C or, on the command line, SIGTERM. A checkpoint was written.
        """
        from edgesqz.training.run import run

        return run(self, console)


train = command(Train)
