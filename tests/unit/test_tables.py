"""Tables: headings, words and file names are never broken at any width."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from edgesqz.tables import Column, Table, stacked, wrapped

LONG = "a-very-long-file-name-of-someone-who-likes-them-long.int8.tflite"
COLUMNS = [
    Column("file", is_name=True),
    Column("size\nkB", "right"),
    Column("top-1\n%", "right", notes=("±: 95 % intervals",)),
    Column("memory\nMB", "right", rank=2, notes=("memory: of the engine",)),
    Column("outcome", is_prose=True),
]
ROWS = [
    ["squeezenet-nano.int8.tflite", "73.5", "87.65±.64", "11", "kept"],
    None,
    [LONG, "1,073.5", "87.15±.64", "9", "accuracy 87.15 %, squeezenet-nano.int8.tflite has 87.65 %"],
]
TABLE = Table(COLUMNS, ROWS, "the files", f"compared with {LONG}")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_heading_word_or_name_is_broken(width: int) -> None:
    words = " ".join(TABLE.lines(width)).split()
    for row in ROWS:
        for column, cell in zip(COLUMNS, row or [""] * len(COLUMNS), strict=True):
            shown = column.rank == 0 or "hidden:" not in words
            assert not shown or set(cell.split()) <= set(words)
    assert {"file", "size", "kB", "top-1", "%", "outcome"} <= set(words)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal_except_for_a_wider_name(width: int) -> None:
    assert all(len(line) <= width for line in TABLE.lines(width) if LONG not in line)


def test_columns_dropped_from_a_narrow_table_are_not_explained() -> None:
    narrow, wide = (" ".join(TABLE.lines(width)) for width in (40, 200))
    assert "memory: of the engine" not in narrow and "memory: of the engine" in wide
    assert "±: 95 % intervals" in narrow


def test_a_line_below_a_narrow_table_names_the_hidden_columns_and_a_way_to_see_them() -> None:
    table = Table([Column("file"), Column("size\nkB", rank=1), Column("gzip\nkB", rank=2)], [["a.tflite", "73", "60"]])
    assert "1 column hidden: gzip; widen the terminal" in " ".join(table.lines(14))
    other = dataclasses.replace(table, elsewhere="use --csv")
    assert "2 columns hidden: size, gzip; widen the terminal, or use --csv" in " ".join(other.lines(10))
    assert not any("hidden" in line for line in table.lines(80))
    headless = dataclasses.replace(table, columns=[dataclasses.replace(column, head="") for column in table.columns])
    assert "2 columns hidden; widen the terminal" in " ".join(headless.lines(10))


def test_a_name_is_above_its_figures_if_it_takes_half_of_the_width() -> None:
    assert LONG in TABLE.lines(80)
    assert LONG not in TABLE.lines(200)


def test_columns_that_are_too_many_for_a_line_come_in_blocks() -> None:
    files = [f"file-number-{number}.tflite" for number in range(8)]
    table = Table([Column("class"), *(Column(name, "right") for name in files)], [["cat", *"01234567"]])
    lines = table.lines(80)
    assert max(map(len, lines)) <= 80
    heads = [line for line in lines if line.startswith("class")]
    assert " ".join(heads).replace("class", "").split() == files
    assert sum(line.startswith("cat") for line in lines) == len(heads) > 1


def test_double_width_characters_count_as_two() -> None:
    lines = Table([Column(), Column(justify="right")], [["猫", "1"], ["cat", "2"]]).lines(80)
    assert lines[:2] == ["猫   1", "cat  2"]


def test_a_table_without_heads_has_no_line_for_them() -> None:
    assert Table([Column(), Column()], [["size", "1 kB"]], "facts").lines(80) == ["facts", "", "size  1 kB"]


def test_a_blank_line_separates_tables_and_none_follows_the_last() -> None:
    terminal = io.StringIO()
    tables = [Table([Column("file")], [[name]], caption=caption) for name, caption in (("a", ""), ("b", "two"))]
    Console(file=terminal, color_system=None).print(stacked(tables), soft_wrap=True)
    assert terminal.getvalue().splitlines() == ["file", "────", "a", "", "file", "────", "b", "", "two"]


def test_a_console_prints_the_lines_as_they_are() -> None:
    terminal = io.StringIO()
    table = Table([Column("file")], [["net[bold].tflite"], [LONG]])
    Console(file=terminal, width=30, color_system=None).print(table, soft_wrap=True)
    assert terminal.getvalue().splitlines() == table.lines(30)
    assert LONG in terminal.getvalue().splitlines()


def test_text_is_wrapped_between_words_only() -> None:
    assert wrapped("well-known file-name-without-end.tflite\nand more", 10) == [
        "well-known",
        "file-name-without-end.tflite",
        "and more",
    ]


def test_a_table_without_heads_and_rows_is_its_caption() -> None:
    assert Table([Column(), Column()], [], caption="no problems").lines(80) == ["no problems"]
