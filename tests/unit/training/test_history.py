"""The history of a training run as a table and as a plot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgesqz import EdgesqzError
from edgesqz.training import history
from edgesqz.training.history import Entry
from edgesqz.workspace import Workspace


def entries(count: int, *names: str) -> list[Entry]:
    """A history in which each figure of epoch ``k`` is ``k / count``."""
    names = names or tuple(figure.name for figure in history.FIGURES)
    return [dict.fromkeys(names, epoch / count) for epoch in range(1, count + 1)]


def texts(path: Path) -> list[str]:
    """Return the texts of an .svg file, which matplotlib repeats as comments."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))


def test_a_short_history_is_shown_completely() -> None:
    table = history.table(entries(4))
    assert [column.head.replace("\n", " ") for column in table.columns] == [
        "epoch",
        "loss",
        "training accuracy",
        "validation accuracy",
        "learning rate",
        "images/s",
    ]
    assert table.rows[0] == ["1", "0.250", "25.00%", "25.00%", "0.25", "0"]
    assert len(table.rows) == 4
    assert not table.caption


@pytest.mark.parametrize("count", [11, 30, 200])
def test_of_a_long_history_ten_epochs_are_shown(count: int) -> None:
    table = history.table(entries(count))
    epochs = [int(row[0]) for row in table.rows if row]
    gaps = [after - before for before, after in zip(epochs, epochs[1:], strict=False)]
    assert (len(epochs), epochs[0], epochs[-1]) == (10, 1, count)
    assert max(gaps) - min(gaps) <= 1
    assert table.caption.startswith(f"{count - 10} more epoch")


def test_the_table_of_an_older_run_has_the_columns_that_are_known() -> None:
    table = history.table(entries(2, "loss", "training_accuracy"))
    assert table.rows == [["1", "0.500", "50.00%"], ["2", "1.000", "100.00%"]]


@pytest.mark.parametrize("count", [1, 200])
def test_the_plot_names_both_accuracies_at_their_ends(count: int, tmp_path: Path) -> None:
    path = tmp_path / "curves.svg"
    found = entries(count)
    found[-1]["validation_accuracy"] = 0.995  # so close that the names would overlap
    history.draw(found, path)
    assert {"training 100.0 %", "validation 99.5 %"} <= set(texts(path))
    assert {"loss", "accuracy, %", "learning rate", "epoch"} <= set(texts(path))


def test_the_plot_of_an_older_run_shows_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "curves.svg"
    history.draw(entries(5, "loss", "training_accuracy"), path)
    assert "training 100.0 %" in texts(path)
    assert "learning rate" not in texts(path)


def test_a_plot_can_be_png(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    history.draw(entries(3), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_plot_in_the_workspace_counts_against_the_quota_of_the_run(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, quota=1000)
    workspace.write({"model.keras": b""})
    with pytest.raises(EdgesqzError, match="curves.svg: .* would not fit the quota of 1.0 kB"):
        history.draw(entries(3), tmp_path / "curves.svg", workspace)
    history.draw(entries(3), tmp_path / "curves.svg")  # without a quota


def test_a_plot_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="cannot write"):
        history.draw(entries(3), tmp_path / "missing" / "curves.png")
