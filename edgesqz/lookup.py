"""Find model files by path or name, in the same order in every command and in ``edgesqz.load``.

1. A path to a file that exists.
2. A file of that name in the workspace.
3. A file in the workspace that has that name without its suffix: NAME.keras if there is one, else the only model file
   of that name. Where a Keras model is expected, only NAME.keras counts.
4. The zoo, in the same two ways.

Looking a file up only reads. Commands first call ``edgesqz.workspace.settle``, which completes a change that a killed
process left half done.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from edgesqz import plugins
from edgesqz.artifact import KERAS_SUFFIX, ZOO
from edgesqz.errors import AS_KERAS, HDF5_SUFFIXES, EdgesqzError


def model_files(folder: Path) -> list[Path]:
    """Return the model files in a folder, each source model before its exports."""
    suffixes = {suffix for runtime in plugins.runtimes().values() for suffix in runtime.SUFFIXES}
    return sorted(
        (path for path in folder.glob("*") if path.suffix in suffixes),
        key=lambda path: (path.name.split(".")[0], path.suffix != KERAS_SUFFIX, path.suffix, path.name),
    )


def find_model_file(name: str | Path, folder: Path) -> Path:
    """Find a model file of any format by its path or its name, with or without its suffix.

    Raises:
        EdgesqzError: There is none, or several have that name; the message lists the files there are.
    """
    return _find(str(name), folder, model_files(folder), model_files(ZOO), "model file")


def find_keras_file(name: str | Path, folder: Path) -> Path:
    """Find a Keras model by its path or its name, with or without its suffix.

    Raises:
        EdgesqzError: There is none, or the file has another format; the message lists the files there are.
    """
    at_hand, shipped = ([path for path in model_files(place) if path.suffix == KERAS_SUFFIX] for place in (folder, ZOO))
    found = _find(str(name), folder, at_hand, shipped, "Keras model")
    if found.suffix != KERAS_SUFFIX:
        advice = f"; {AS_KERAS}" if found.suffix in HDF5_SUFFIXES else ""
        raise EdgesqzError(f"expected a {KERAS_SUFFIX} file, got {found}{advice}")
    return found


def newest_keras_file(folder: Path) -> Path:
    """Find the newest Keras model.

    Raises:
        EdgesqzError: There is none.
    """
    at_hand = [path for path in model_files(folder) if path.suffix == KERAS_SUFFIX]
    if not at_hand:
        raise EdgesqzError(f"no {KERAS_SUFFIX} file in {folder}; run edgesqz train, or name one")
    return max(at_hand, key=lambda path: path.stat().st_mtime)


def _find(name: str, folder: Path, at_hand: list[Path], shipped: list[Path], what: str) -> Path:
    if Path(name).is_file():
        return Path(name)
    for place, files in ((folder, at_hand), (ZOO, shipped)):
        if (place / name).is_file():
            return place / name
        named = [path for path in files if path.stem == name]
        if len(named) == 1 or (named and named[0].suffix == KERAS_SUFFIX):
            return named[0]
        if named:
            several = " and ".join(path.name for path in named)
            where = "the zoo" if place == ZOO else place
            raise EdgesqzError(f"{name!r} may be {several} in {where}; name one with its suffix")
    raise EdgesqzError(f"no {what} {name!r}; {_nearest(name, [*at_hand, *shipped])}{_listed(folder, at_hand, shipped)}")


def _nearest(name: str, files: list[Path]) -> str:
    names = dict.fromkeys(path.name for path in files) | dict.fromkeys(path.stem for path in files)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}? " if near else ""


def _listed(folder: Path, at_hand: list[Path], shipped: list[Path]) -> str:
    lists = (", ".join(path.name for path in files) or "none" for files in (at_hand, shipped))
    return "in {}: {}; in the zoo: {}".format(folder, *lists)
