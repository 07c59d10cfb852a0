"""The space of a sweep: the knobs of network, recipe and export, and the values that each may take."""

from __future__ import annotations

import difflib
import itertools
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edgesqz.errors import EdgesqzError
from edgesqz.models.specification import Specification

Value: TypeAlias = int | float | str | bool

MODEL = "network.model"
INPUT_SIZE = "network.input_size"
STAGE_KNOBS = ("fires", "squeeze", "expand")
MOST_STAGES = 6
NETWORK_KNOBS = ("model", "input_size", "stem", "pool_stem")
RECIPE_KNOBS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "label_smoothing",
    "preprocessing",
    "teacher",
    "seed",
)
INTEGERS = ("stem", *STAGE_KNOBS, "epochs", "batch_size", "seed")
EXPORT_DEFAULTS = {"export.format": "tflite", "export.variant": "int8"}
RANGE_KEYS = ("low", "high", "step", "log")

TEMPLATE = """\
# The space of a sweep. A knob is a value, a list of values, or a range:
#   { low = 8, high = 24, step = 4 }             8, 12, 16, 20, 24
#   { low = 0.05, high = 0.4 }                   any number between the two
#   { low = 0.0001, high = 0.01, log = true }    the same, evenly distributed on a logarithmic scale

[network]
# Either networks that have a name:
# model = ["squeezenet", "squeezenet-nano"]
# or the widths of a small SqueezeNet:
stem = [12, 16, 24]     # channels of the first convolution
pool_stem = true        # whether the first stage works at half resolution
input_size = 32         # pixels

# Each stage works at half the resolution of the one before. A stage of 0 fire modules is left out.
[network.stage1]
fires = [1, 2]
squeeze = { low = 8, high = 16, step = 4 }
expand = [32, 48]       # channels of each of the two branches

[network.stage2]
fires = [2, 3]
squeeze = { low = 8, high = 24, step = 4 }
expand = { low = 48, high = 96, step = 16 }

[network.stage3]
fires = [0, 2]
squeeze = [16, 24]
expand = [96, 128]

[recipe]                # what is missing follows the dataset, as in `edgesqz train`
epochs = 3
learning_rate = { low = 0.05, high = 0.4, log = true }
weight_decay = [0.0005, 0.001]
# batch_size, label_smoothing, preprocessing, teacher and seed are knobs too.

[export]                # every trial is exported in each of these variants
format = "tflite"
variant = "int8"
"""


@dataclass(frozen=True)
class Choice:
    """A knob with a list of values."""

    values: tuple[Value, ...]

    def sample(self, generator: np.random.Generator) -> Value:
        """Draw a value."""
        return self.values[int(generator.integers(len(self.values)))]

    @property
    def grid(self) -> tuple[Value, ...]:
        """Every value."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A knob with values from low to high, both included.

    Attributes:
        low: The lowest value.
        high: The highest value.
        step: The distance between two values; None for any number between the two.
        log: Whether values are evenly distributed on a logarithmic scale.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def sample(self, generator: np.random.Generator) -> Value:
        """Draw a value; of a logarithmic range with four significant digits."""
        if self.step is not None:
            return self.grid[int(generator.integers(len(self.grid)))]
        if self.log:
            return _rounded(math.exp(generator.uniform(math.log(self.low), math.log(self.high))))
        return _rounded(float(generator.uniform(self.low, self.high)))

    @property
    def grid(self) -> tuple[Value, ...]:
        """Every value; none of a range without a step."""
        if self.step is None:
            return ()
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(_rounded(self.low + place * self.step) for place in range(count))


Knob: TypeAlias = Choice | Range


def _rounded(value: float) -> int | float:
    if isinstance(value, int):
        return value
    return float(f"{value:.4g}")


@dataclass(frozen=True)
class Candidate:
    """One point of a space.

    Attributes:
        model: The network's name; a specification's name says every width.
        values: The knobs and their values; two candidates that differ only in knobs of the network are the same if
            these lead to the same network.
    """

    model: str
    values: tuple[tuple[str, Value], ...] = field(compare=False)
    settings: tuple[tuple[str, Value], ...] = field(init=False, repr=False)  # what counts beside the network's name

    def __post_init__(self) -> None:
        """Derive what tells candidates of one network apart."""
        apart = [each for each in self.values if each[0] == INPUT_SIZE or each[0].startswith("recipe.")]
        object.__setattr__(self, "settings", tuple(apart))

    @property
    def input_size(self) -> int | str | None:
        """The size of the network's input; None for the size that it was designed for."""
        size = dict(self.values).get(INPUT_SIZE)
        return size if isinstance(size, int | str) else None

    @property
    def recipe(self) -> dict[str, Value]:
        """The options of `edgesqz.train` that the space sets."""
        return {name.removeprefix("recipe."): value for name, value in self.values if name.startswith("recipe.")}


@dataclass(frozen=True)
class Space:
    """The knobs of a sweep.

    Attributes:
        knobs: Those of network and recipe, by section and name, such as ``recipe.epochs``.
        formats: The formats to export each candidate to.
        variants: The variants to export each candidate in.
    """

    knobs: Mapping[str, Knob]
    formats: tuple[str, ...] = ("tflite",)
    variants: tuple[str, ...] = ("int8",)

    @classmethod
    def parse(cls, sections: Mapping[str, Any]) -> Space:
        """Read a space from nested dicts.

        Raises:
            EdgesqzError: An unknown knob, a knob without values, or no network.
        """
        given = dict(_flat(sections))
        _check_names(given)
        formats, variants = (_words(name, given.pop(name, default)) for name, default in EXPORT_DEFAULTS.items())
        space = cls({name: _knob(name, value) for name, value in given.items()}, formats, variants)
        space._check_network()
        return space

    def values_of(self, name: str) -> tuple[Value, ...]:
        """Return the values of a knob; none if the space does not have it, or if they are without end."""
        return self.knobs[name].grid if name in self.knobs else ()

    @property
    def most_epochs(self) -> int | None:
        """The most epochs of any candidate; None where they follow the dataset."""
        epochs = self.values_of("recipe.epochs")
        return max(map(int, epochs)) if epochs else None

    def _check_network(self) -> None:
        names = [name for name in self.knobs if name.startswith("network.") and name != INPUT_SIZE]
        if not names:
            raise EdgesqzError("the space has no network; name one with network.model, or give the widths of one")
        if MODEL in names:
            if len(names) > 1:
                raise EdgesqzError(f"network.model leaves no choice of {', '.join(n for n in names if n != MODEL)}")
            return
        stages = [number for number in range(1, MOST_STAGES + 1) if any(f"stage{number}." in name for name in names)]
        needed = ["network.stem", *(f"network.stage{number}.{knob}" for number in stages for knob in STAGE_KNOBS)]
        if missing := [name for name in needed if name not in names]:
            raise EdgesqzError(f"the widths of a network are incomplete; add {', '.join(missing)}")
        if stages != list(range(1, len(stages) + 1)) or not stages:
            raise EdgesqzError("the stages of a network are numbered from network.stage1 without a gap")

    def sample(self, generator: np.random.Generator) -> Candidate:
        """Draw a candidate, each knob independently and evenly over its values."""
        return self.candidate({name: knob.sample(generator) for name, knob in self.knobs.items()})

    def grid(self) -> Iterator[Candidate]:
        """Every candidate, in the order of the knobs; those that differ only in unused knobs once.

        Raises:
            EdgesqzError: A knob is a range without a step.
        """
        endless = [name for name, knob in self.knobs.items() if not knob.grid]
        if endless:
            raise EdgesqzError(f"a grid needs every value; give {', '.join(endless)} a step, or a list of values")
        seen = set[Candidate]()
        for values in itertools.product(*(knob.grid for knob in self.knobs.values())):
            candidate = self.candidate(dict(zip(self.knobs, values, strict=True)))
            if candidate not in seen:
                seen.add(candidate)
                yield candidate

    def candidate(self, values: Mapping[str, Value]) -> Candidate:
        """Turn a value for each knob into a candidate."""
        model = str(values[MODEL]) if MODEL in values else _specification(values).name
        return Candidate(model, tuple(values.items()))


def read_sections(source: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the sections of a space from a TOML file; a dict of the same form is returned as it is.

    Raises:
        EdgesqzError: No such file, no TOML, or what `Space.parse` refuses.
    """
    if isinstance(source, Mapping):
        Space.parse(source)
        return source
    path = Path(source)
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
        Space.parse(sections)
    except OSError as error:
        raise EdgesqzError(
            f"cannot read the space {path}: {error.strerror}; edgesqz sweep --template prints one to start from"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgesqzError(f"expected TOML in {path}: {error}") from error
    except EdgesqzError as error:
        raise EdgesqzError(f"{path}: {error}") from error
    return sections


def _flat(sections: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name every knob by its sections; a dict with the keys of a range is one."""
    for name, value in sections.items():
        if isinstance(value, Mapping) and not set(value) & set(RANGE_KEYS):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def known_knobs() -> tuple[str, ...]:
    """The names of all knobs."""
    stages = [f"stage{number}.{knob}" for number in range(1, MOST_STAGES + 1) for knob in STAGE_KNOBS]
    network = [f"network.{name}" for name in (*NETWORK_KNOBS, *stages)]
    return (*network, *(f"recipe.{name}" for name in RECIPE_KNOBS), *EXPORT_DEFAULTS)


def _check_names(given: Mapping[str, Any]) -> None:
    known = known_knobs()
    if not given:
        raise EdgesqzError("the space is empty; edgesqz sweep --template prints one to start from")
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {nearest[0]}? " if nearest else ""
            listed = [
                name for name in known if not name.startswith("network.stage") or name.startswith("network.stage1")
            ]
            raise EdgesqzError(f"unknown knob {name}; {hint}The knobs are {', '.join(listed)} (and further stages)")


def _knob(name: str, value: Any) -> Knob:
    if isinstance(value, Mapping):
        return _range(name, value)
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if not values or not all(isinstance(each, Value) for each in values):
        raise EdgesqzError(f"expected a value, a list of values or a range for {name}, got {value!r}")
    return Choice(tuple(values))


def _range(name: str, value: Mapping[str, Any]) -> Range:
    example = "{ low = 8, high = 24, step = 4 }"
    numbers = {key: each for key, each in value.items() if key != "log"}
    if set(value) - set(RANGE_KEYS) or not {"low", "high"} <= set(value):
        raise EdgesqzError(f"expected a range such as {example} for {name}, got {value!r}")
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers.values()):
        raise EdgesqzError(f"expected numbers in the range of {name}, got {value!r}")
    found = Range(**value)
    if name.rpartition(".")[2] in INTEGERS:
        found = replace(found, step=1 if found.step is None else found.step, log=False)
    if not found.low <= found.high or (found.step is not None and found.step <= 0):
        raise EdgesqzError(f"expected low <= high and a step above 0 for {name}, got {value!r}")
    if found.log and (found.low <= 0 or found.step is not None):
        raise EdgesqzError(f"a logarithmic range begins above 0 and has no step; {name} is {value!r}")
    return found


def _words(name: str, value: Any) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
    if not values or not all(isinstance(each, str) for each in values):
        raise EdgesqzError(f"expected a name or a list of names for {name}, got {value!r}")
    return values


def _specification(values: Mapping[str, Value]) -> Specification:
    stages = []
    for number in range(1, MOST_STAGES + 1):
        fires, squeeze, expand = (values.get(f"network.stage{number}.{knob}", 0) for knob in STAGE_KNOBS)
        if fires:
            stages.append(((int(squeeze), int(expand)),) * int(fires))
    if not stages:
        raise EdgesqzError("a network needs at least one stage with a fire module; raise the fires of a stage")
    return Specification(int(values["network.stem"]), bool(values.get("network.pool_stem", True)), tuple(stages))
