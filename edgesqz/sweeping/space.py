"""The search space of a sweep: the knobs of the network, the recipe and the export, and their values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edgesqz.errors import EdgesqzError, suggestion
from edgesqz.models.specification import Specification
from edgesqz.training.recipe import Recipe
from edgesqz.training.spec import DESCRIPTIONS, NETWORK, RECIPE, Kind, is_of_kind, read_toml

Value: TypeAlias = int | float | str | bool

MODEL = "network.model"
INPUT_SIZE = "network.input_size"
STAGE_KNOBS = ("fires", "squeeze", "expand")
MAX_STAGES = 6
NETWORK_KNOBS: dict[str, Kind] = {**NETWORK, "stem": int, "pool_stem": bool}
KINDS: dict[str, Kind] = {**NETWORK_KNOBS, **dict.fromkeys(STAGE_KNOBS, int), **RECIPE}
EXPORT_DEFAULTS = {"export.format": "tflite", "export.variant": "int8"}
RANGE_KEYS = ("low", "high", "step", "log")

TEMPLATE = """\
# The space of a sweep. A knob is a value, a list of values, or a range:
#   { low = 8, high = 24, step = 4 }             8, 12, 16, 20, 24
#   { low = 0.05, high = 0.4 }                   any number between low and high
#   { low = 0.0001, high = 0.01, log = true }    the same, evenly distributed on a logarithmic scale

[network]
# Choose from named networks:
# model = ["squeezenet", "squeezenet-nano"]
# or set the widths of a small SqueezeNet:
stem = [12, 16, 24]     # channels of the first convolution
pool_stem = true        # whether the first stage works at half resolution
input_size = 32         # pixels

# Each stage works at half the resolution of the previous one. A stage with 0 fire modules is omitted.
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

[recipe]                # the defaults depend on the dataset, as in `edgesqz train`
epochs = 3
learning_rate = { low = 0.05, high = 0.4, log = true }
weight_decay = [0.0005, 0.001]
# batch_size, label_smoothing, preprocessing, optimizer, average, branches, teacher, teacher_views, init, freeze,
# quantize_aware and seed are knobs too.

[export]                # every trial is exported in each of these formats and variants
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
        """All values of the knob."""
        return self.values

    @property
    def representatives(self) -> tuple[Value, ...]:
        """Values to validate instead of every value; in a list, every value."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A knob with values from low to high, inclusive.

    Attributes:
        low: The lowest value.
        high: The highest value.
        step: The distance between neighboring values, or None to allow any number from low to high.
        log: Whether values are evenly distributed on a logarithmic scale.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def sample(self, generator: np.random.Generator) -> Value:
        """Draw a value, rounded to four significant digits unless it is an integer."""
        if self.step is not None:
            return self.grid[int(generator.integers(len(self.grid)))]
        if self.log:
            return _rounded(math.exp(generator.uniform(math.log(self.low), math.log(self.high))))
        return _rounded(float(generator.uniform(self.low, self.high)))

    @property
    def grid(self) -> tuple[Value, ...]:
        """All values of the knob. Empty for a range without a step."""
        if self.step is None:
            return ()
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(_rounded(self.low + place * self.step) for place in range(count))

    @property
    def representatives(self) -> tuple[Value, ...]:
        """Values to validate instead of every value."""
        return self.low, self.high


Knob: TypeAlias = Choice | Range


def _rounded(value: float) -> int | float:
    if isinstance(value, int):
        return value
    return float(f"{value:.4g}")


@dataclass(frozen=True)
class Candidate:
    """One point of a space.

    Attributes:
        model: The network's name. For a network defined by its widths, the name contains every width.
        values: The knobs and their values. Candidates are equal if their networks, input sizes and recipes are equal,
            even if other knobs differ.
    """

    model: str
    values: tuple[tuple[str, Value], ...] = field(compare=False)
    settings: tuple[tuple[str, Value], ...] = field(init=False, repr=False)  # compared in addition to the model

    def __post_init__(self) -> None:
        """Derive the settings that distinguish candidates with the same network."""
        settings = [each for each in self.values if each[0] == INPUT_SIZE or each[0].startswith("recipe.")]
        object.__setattr__(self, "settings", tuple(settings))

    @property
    def input_size(self) -> int | str | None:
        """Size of the network's input, or None for the size that the network was designed for."""
        size = dict(self.values).get(INPUT_SIZE)
        return size if isinstance(size, int | str) else None

    @property
    def recipe(self) -> dict[str, Value]:
        """Options of `edgesqz.train` that the space sets."""
        return {name.removeprefix("recipe."): value for name, value in self.values if name.startswith("recipe.")}


@dataclass(frozen=True)
class Space:
    """The knobs of a sweep.

    Attributes:
        knobs: Knobs of the network and the recipe, by section and name, such as ``recipe.epochs``.
        formats: Formats to export each candidate to.
        variants: Variants to export each candidate in.
    """

    knobs: Mapping[str, Knob]
    formats: tuple[str, ...] = ("tflite",)
    variants: tuple[str, ...] = ("int8",)

    @classmethod
    def parse(cls, sections: Mapping[str, Any]) -> Space:
        """Read a space from nested dicts.

        Raises:
            EdgesqzError: A knob is unknown or has no values, or the space has no network.
        """
        given = dict(_flat(sections))
        _check_names(given)
        formats, variants = (_words(name, given.pop(name, default)) for name, default in EXPORT_DEFAULTS.items())
        space = cls({name: _knob(name, value) for name, value in given.items()}, formats, variants)
        space._check_network()
        space._check_recipe()
        return space

    def values_of(self, name: str) -> tuple[Value, ...]:
        """Return all values of a knob, or none if the space does not have it or it is a range without a step."""
        return self.knobs[name].grid if name in self.knobs else ()

    @property
    def most_epochs(self) -> int | None:
        """The largest number of epochs of any candidate, or None if the dataset determines it."""
        epochs = self.values_of("recipe.epochs")
        return max(map(int, epochs)) if epochs else None

    def _check_network(self) -> None:
        names = [name for name in self.knobs if name.startswith("network.") and name != INPUT_SIZE]
        if not names:
            raise EdgesqzError("the space has no network; set network.model, or network.stem and network.stage1")
        if MODEL in names:
            if len(names) > 1:
                extra = ", ".join(name for name in names if name != MODEL)
                raise EdgesqzError(f"network.model cannot be combined with {extra}; remove one or the other")
            return
        stages = [number for number in range(1, MAX_STAGES + 1) if any(f"stage{number}." in name for name in names)]
        needed = ["network.stem", *(f"network.stage{number}.{knob}" for number in stages for knob in STAGE_KNOBS)]
        if missing := [name for name in needed if name not in names]:
            raise EdgesqzError(f"the widths of the network are incomplete; add {', '.join(missing)}")
        if stages != list(range(1, len(stages) + 1)) or not stages:
            raise EdgesqzError("number the stages of the network consecutively, starting from network.stage1")

    def _check_recipe(self) -> None:
        for name, knob in self.knobs.items():
            section, _, option_name = name.rpartition(".")
            if section == "recipe":
                for value in knob.representatives:
                    try:
                        Recipe(**{option_name: value})  # type: ignore[arg-type]
                    except EdgesqzError as error:
                        raise EdgesqzError(f"{name}: {error}") from error

    def sample(self, generator: np.random.Generator) -> Candidate:
        """Draw a candidate. Each knob is drawn independently and uniformly from its values."""
        return self.candidate({name: knob.sample(generator) for name, knob in self.knobs.items()})

    def grid(self) -> Iterator[Candidate]:
        """Yield every candidate, in the order of the knobs. Candidates that differ only in unused knobs appear once.

        Raises:
            EdgesqzError: A knob is a range without a step.
        """
        endless = [name for name, knob in self.knobs.items() if not knob.grid]
        if endless:
            raise EdgesqzError(f"a grid needs a finite space; give {', '.join(endless)} a step, or a list of values")
        seen = set[Candidate]()
        for values in itertools.product(*(knob.grid for knob in self.knobs.values())):
            candidate = self.candidate(dict(zip(self.knobs, values, strict=True)))
            if candidate not in seen:
                seen.add(candidate)
                yield candidate

    def candidate(self, values: Mapping[str, Value]) -> Candidate:
        """Return the candidate with the given value for each knob."""
        model = str(values[MODEL]) if MODEL in values else _specification(values).name
        return Candidate(model, tuple(values.items()))


def read_sections(source: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the sections of a space from a TOML file. A dict of the same structure is validated and returned.

    Raises:
        EdgesqzError: The file does not exist, is not valid TOML, or is rejected by `Space.parse`.
    """
    if isinstance(source, Mapping):
        Space.parse(source)
        return source
    path = Path(source)
    sections = read_toml(path, "space", "; edgesqz sweep --template prints one to start from")
    try:
        Space.parse(sections)
    except EdgesqzError as error:
        raise EdgesqzError(f"{path}: {error}") from error
    return sections


def _flat(sections: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every knob with its full name and its value. A dict with the keys of a range is a value."""
    for name, value in sections.items():
        if isinstance(value, Mapping) and not set(value) & set(RANGE_KEYS):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def known_knobs() -> tuple[str, ...]:
    """Return the names of all knobs."""
    stages = [f"stage{number}.{knob}" for number in range(1, MAX_STAGES + 1) for knob in STAGE_KNOBS]
    network = [f"network.{name}" for name in (*NETWORK_KNOBS, *stages)]
    return (*network, *(f"recipe.{name}" for name in RECIPE), *EXPORT_DEFAULTS)


def _check_names(given: Mapping[str, Any]) -> None:
    known = known_knobs()
    if not given:
        raise EdgesqzError("the space is empty; edgesqz sweep --template prints one to start from")
    for name in given:
        if name not in known:
            hint = suggestion(name, known)
            listed = [
                name for name in known if not name.startswith("network.stage") or name.startswith("network.stage1")
            ]
            raise EdgesqzError(f"unknown knob {name}; {hint}choose from {', '.join(listed)}, and further stages")


def _knob(name: str, value: Any) -> Knob:
    if isinstance(value, Mapping):
        return _range(name, value)
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if not values:
        raise EdgesqzError(f"expected a value, a list of values or a range for {name}, got {value!r}")
    for each in values:
        _check_kind(name, each)
    return Choice(tuple(values))


def _check_kind(name: str, value: Any) -> None:
    kind = _kind(name)
    if not is_of_kind(value, kind):
        raise EdgesqzError(f"expected {DESCRIPTIONS[kind]} for {name}, got {value!r}")


def _kind(name: str) -> Kind:
    return KINDS[name.rpartition(".")[2]]


def _range(name: str, value: Mapping[str, Any]) -> Range:
    example = "{ low = 8, high = 24, step = 4 }"
    numbers = {key: each for key, each in value.items() if key != "log"}
    if set(value) - set(RANGE_KEYS) or not {"low", "high"} <= set(value):
        raise EdgesqzError(f"expected a range such as {example} for {name}, got {value!r}")
    if not all(is_of_kind(each, int | float) for each in numbers.values()):
        raise EdgesqzError(f"expected numbers in the range of {name}, got {value!r}")
    for each in numbers.values():
        _check_kind(name, each)
    found = Range(**value)
    if _kind(name) is int:
        found = replace(found, step=1 if found.step is None else found.step, log=False)
    if not found.low <= found.high or (found.step is not None and found.step <= 0):
        raise EdgesqzError(f"expected low <= high and a step above 0 for {name}, got {value!r}")
    if found.log and (found.low <= 0 or found.step is not None):
        raise EdgesqzError(f"expected a logarithmic range with low > 0 and without a step for {name}, got {value!r}")
    return found


def _words(name: str, value: Any) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
    if not values or not all(isinstance(each, str) for each in values):
        raise EdgesqzError(f"expected a name or a list of names for {name}, got {value!r}")
    return values


def _specification(values: Mapping[str, Value]) -> Specification:
    stages = []
    for number in range(1, MAX_STAGES + 1):
        fires, squeeze, expand = (values.get(f"network.stage{number}.{knob}", 0) for knob in STAGE_KNOBS)
        if fires:
            stages.append(((int(squeeze), int(expand)),) * int(fires))
    if not stages:
        raise EdgesqzError("a network needs at least one fire module; increase the fires of a stage")
    return Specification(int(values["network.stem"]), bool(values.get("network.pool_stem", True)), tuple(stages))
