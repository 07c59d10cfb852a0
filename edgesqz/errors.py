"""What a person is meant to read, and what it is often made from."""

import pickle

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

    The command line prints the message without a traceback and exits with 1.
    """


class NoRoomError(EdgesqzError):
    """The quota has no room for something."""


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    if isinstance(error, UnicodeDecodeError):
        return f"the text {error.object[:40]!r} in it is not UTF-8"
    return str(error).strip().split("\n")[0]
