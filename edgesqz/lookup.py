"""Find model files by path or name, in the same order in every command and in ``edgesqz.load``.

1. The path of an existing file or SavedModel folder.
2. The name of a file in the workspace.
3. The name of a file in the workspace without its suffix: NAME.keras if it exists, otherwise the only model file of
   that name. If a Keras model is expected, only NAME.keras matches.
4. The name of a file in the zoo, in the same two forms.

Lookup never writes. Commands first call ``edgesqz.workspace.settle``, which completes a change that a killed process
left unfinished.
"""

from __future__ import annotations

from pathlib import Path

from edgesqz import plugins
from edgesqz.artifact import KERAS_SUFFIX, ZOO, is_saved_model, model_suffix
from edgesqz.errors import AS_KERAS, HDF5_SUFFIXES, PICKLE_SUFFIXES, EdgesqzError, suggestion

ALIKE = 0.8  # least similarity of a suggested file name; names of files have at least their suffix in common


def model_files(folder: Path) -> list[Path]:
    """Return the model files in a folder, each source model before its exports."""
    suffixes = {suffix for runtime in plugins.runtimes().values() for suffix in runtime.SUFFIXES}
    return sorted(
        (path for path in folder.glob("*") if model_suffix(path) in suffixes),
        key=lambda path: (path.name.split(".")[0], path.suffix != KERAS_SUFFIX, path.suffix, path.name),
    )


def find_model_file(name: str | Path, folder: Path) -> Path:
    """Find a model file of any format by its path or its name, with or without its suffix.

    Raises:
        EdgesqzError: No file or several files match. For a name without a suffix, the message lists the available
            files.
    """
    return _find(str(name), folder, model_files(folder), model_files(ZOO), "model file")


def find_keras_file(name: str | Path, folder: Path) -> Path:
    """Find a Keras model by its path or its name, with or without its suffix.

    Raises:
        EdgesqzError: No file matches, or the file has another format. For a name without a suffix, the message lists
            the available files.
    """
    at_hand, shipped = ([path for path in model_files(place) if path.suffix == KERAS_SUFFIX] for place in (folder, ZOO))
    found = _find(str(name), folder, at_hand, shipped, "Keras model")
    if found.suffix != KERAS_SUFFIX:
        advice = f"; {AS_KERAS}" if found.suffix in HDF5_SUFFIXES else ""
        raise EdgesqzError(f"expected a {KERAS_SUFFIX} file, got {found}{advice}")
    return found


def is_name(name: str | Path, folder: Path) -> bool:
    """Return whether a Keras model in the workspace or in the zoo has this name."""
    return any(_is_model(place / f"{name}{KERAS_SUFFIX}") for place in (folder, ZOO))


def newest_keras_file(folder: Path) -> Path:
    """Find the newest Keras model.

    Raises:
        EdgesqzError: The folder contains no Keras model.
    """
    at_hand = [path for path in model_files(folder) if path.suffix == KERAS_SUFFIX]
    if not at_hand:
        raise EdgesqzError(f"no {KERAS_SUFFIX} file in {folder}; run edgesqz train, or name one")
    return max(at_hand, key=lambda path: path.stat().st_mtime)


def _find(name: str, folder: Path, at_hand: list[Path], shipped: list[Path], what: str) -> Path:
    if _is_model(Path(name)):
        return Path(name)
    for place, files in ((folder, at_hand), (ZOO, shipped)):
        if _is_model(place / name):
            return place / name
        named = [path for path in files if path.stem == name]
        if len(named) == 1 or (named and named[0].suffix == KERAS_SUFFIX):
            return named[0]
        if named:
            several = " and ".join(path.name for path in named)
            where = "the zoo" if place == ZOO else place
            raise EdgesqzError(f"{name!r} matches {several} in {where}; specify one with its suffix")
    if Path(name).suffix in (*plugins.readable_suffixes(), *PICKLE_SUFFIXES):
        nearest = suggestion(name, [path.name for path in (*at_hand, *shipped)], ALIKE).rstrip()
        raise EdgesqzError(f"{name} does not exist" + (f"; {nearest}" if nearest else ""))
    raise EdgesqzError(f"no {what} {name!r}; {_nearest(name, [*at_hand, *shipped])}{_listed(folder, at_hand, shipped)}")


def _is_model(path: Path) -> bool:
    return path.is_file() or is_saved_model(path)


def _nearest(name: str, files: list[Path]) -> str:
    names = dict.fromkeys(path.name for path in files) | dict.fromkeys(path.stem for path in files)
    return suggestion(name, names)


def _listed(folder: Path, at_hand: list[Path], shipped: list[Path]) -> str:
    lists = (", ".join(path.name for path in files) or "none" for files in (at_hand, shipped))
    return "in {}: {}; in the zoo: {}".format(folder, *lists)
