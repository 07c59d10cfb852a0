"""Errors with messages for users, and exceptions that often cause them."""

from __future__ import annotations

import contextlib
import difflib
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Exceptions that unpickling or parsing damaged bytes can raise.
DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


HDF5_SUFFIXES = (".h5", ".hdf5")
SAVED_MODEL_SUFFIX = ".savedmodel"  # stands for a TensorFlow SavedModel folder, which has no suffix
PICKLE_SUFFIXES = (".pt", ".pth")
AS_PT2 = "load your model and run torch.export.save(torch.export.export(model.eval(), (images,)), 'model.pt2')"
AS_KERAS = "load it in Keras and save it as .keras: keras.models.load_model(FILE).save('model.keras')"


class EdgesqzError(Exception):
    """Invalid input or a full disk, in one line: what was expected, what was given, and what to try.

    The command line prints the message without a traceback and exits with 1. Messages name parameters through
    ``option``, which shows the name in Python or the flag on the command line.
    """

    def __str__(self) -> str:
        """Return the message, with parameters under their names in Python or, within ``naming``, under other names."""
        return named(super().__str__())


# Private-use characters, which occur in no file name or message.
_BEFORE, _BEHIND = "\ue000", "\ue001"
_NAMED = re.compile(f"{_BEFORE}(.*?){_BEHIND}")
_display: ContextVar[Callable[[str], str]] = ContextVar("display", default=lambda name: name)


@contextlib.contextmanager
def naming(display: Callable[[str], str]) -> Iterator[None]:
    """Within this context, messages show each parameter under the name that ``display`` returns, such as a flag."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


def option(name: str) -> str:
    """Name a parameter in the message of an ``EdgesqzError``: ``limit``, or ``--limit`` on the command line."""
    return f"{_BEFORE}{name}{_BEHIND}"


def named(message: str) -> str:
    """Return the message of another exception with the names from ``option`` as ``EdgesqzError`` shows them."""
    display = _display.get()
    return _NAMED.sub(lambda found: display(found[1]), message)


def parsed(name: str, parse: Callable[[T], R], value: T) -> R:
    """Return the parsed value of a parameter. An error message starts with the parameter's name."""
    try:
        return parse(value)
    except EdgesqzError as error:
        raise EdgesqzError(f"{option(name)}: {error.args[0]}") from error


def formats(suffixes: Iterable[str]) -> str:
    """Name the formats of model files by their suffixes."""
    return ", ".join("SavedModel folder" if suffix == SAVED_MODEL_SUFFIX else suffix for suffix in suffixes)


def wrong_format(path: Path, suffixes: Iterable[str]) -> EdgesqzError:
    """Return the error for a model file whose suffix is not one of these."""
    given = f"the folder {path} without a saved_model.pb" if path.is_dir() else str(path)
    advice = f"; {AS_PT2}" if path.suffix in PICKLE_SUFFIXES else ""
    return EdgesqzError(f"expected a model in one of the formats {formats(suffixes)}, got {given}{advice}")


class NoRoomError(EdgesqzError):
    """Something does not fit the quota."""


def suggestion(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``did you mean X?`` with the most similar of the known names, or an empty string if none is similar."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"did you mean {nearest[0]}? " if nearest else ""


def first_line(error: BaseException) -> str:
    """Return the message of an exception as one line."""
    if isinstance(error, UnicodeDecodeError):
        return f"the text {error.object[:40]!r} in it is not UTF-8"
    return str(error).strip().split("\n")[0]
