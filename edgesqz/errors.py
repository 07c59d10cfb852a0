"""What a person is meant to read, and what it is often made from."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable

# What unpickling or parsing damaged bytes may raise.
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
AS_KERAS = "load it in Keras and save it as .keras: keras.models.load_model(FILE).save('model.keras')"


class EdgesqzError(Exception):
    """Bad input or a full disk, told in one line: what was expected, what came, what to try.

    The command line prints the message without a traceback and exits with 1. A message names parameters through
    ``option``: as Python calls them, or on the command line as flags.
    """

    def __str__(self) -> str:
        """Return the message with the names that parameters have in Python."""
        return self.with_names(lambda name: name)

    def with_names(self, told: Callable[[str], str]) -> str:
        """Return the message with each parameter named as ``told`` says."""
        return _NAMED.sub(lambda found: told(found[1]), super().__str__())


# Characters of the private use area, which no file name or message has by itself.
_BEFORE, _BEHIND = "\ue000", "\ue001"
_NAMED = re.compile(f"{_BEFORE}(.*?){_BEHIND}")


def option(name: str) -> str:
    """Name a parameter within the message of an ``EdgesqzError``: ``limit``, or ``--limit`` on the command line."""
    return f"{_BEFORE}{name}{_BEHIND}"


class NoRoomError(EdgesqzError):
    """The quota has no room for something."""


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    if isinstance(error, UnicodeDecodeError):
        return f"the text {error.object[:40]!r} in it is not UTF-8"
    return str(error).strip().split("\n")[0]
