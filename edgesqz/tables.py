"""Tables for terminals of any width that never break words, file names or headings."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderableType
    from rich.text import Text

NARROW, WIDE = " ", "  "  # gap between two columns, in narrow and wide tables
INDENT = "    "  # for the figures below a name
PROSE_WIDTH = 24  # minimum width of a column of sentences
WIDEST_TEXT = 120  # maximum line length of a title or caption, for legibility


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        head: The heading, with one line for the name and one for the unit.
        rank: Order in which a narrow table drops columns. The highest rank goes first; 0 is never dropped.
        is_prose: Whether cells may be wrapped between words.
        is_name: Whether the cell moves above the rest of its row in a narrow table.
        notes: Notes for the caption, if the column is shown.
    """

    head: str = ""
    justify: Literal["left", "right"] = "left"
    rank: int = 0
    is_prose: bool = False
    is_name: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table that Rich's console prints as wide as the terminal allows.

    Attributes:
        rows: One cell per column, or None for a line between two groups of rows.
        elsewhere: Another way to see columns that a narrow table hides, such as ``use --csv``.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str] | None]
    title: str = ""
    caption: str = ""
    elsewhere: str = ""

    def lines(self, width: int) -> list[str]:
        """Return the table as text. A line exceeds ``width`` only if a single word or name does."""
        return [line for line, _ in self._styled(width)]

    def markdown(self) -> list[str]:
        """Return the columns and rows as the lines of a Markdown table."""
        bars = ["--:" if column.justify == "right" else "---" for column in self.columns]
        heads = [column.head.replace("\n", " ") for column in self.columns]
        cells = [[cell.replace("|", "\\|") for cell in row] for row in self.rows if row is not None]
        return [f"| {' | '.join(line)} |" for line in (heads, bars, *cells)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines for Rich to print."""
        from rich.text import Text

        for line, style in self._styled(options.max_width):
            yield Text(line, style, no_wrap=True, overflow="ignore")

    def _styled(self, width: int) -> Iterator[tuple[str, str]]:
        """Yield each line with its style."""
        for line in wrapped(self.title, min(width, WIDEST_TEXT)):
            yield line, "bold"
        if self.title:
            yield "", ""
        shown, stacked = self._fitting(width)
        name = next((number for number in shown if self.columns[number].is_name), None) if stacked else None
        rest = [number for number in shown if number != name]
        blocks = [rest] if stacked else self._blocks(rest, width)
        if not (self.rows or any(column.head for column in self.columns)):
            blocks = []
        for number, block in enumerate(blocks):
            if number:
                yield "", ""
            yield from self._block(block, name, width)
        notes = dict.fromkeys(note for number in shown for note in self.columns[number].notes)
        below = f"{self._hidden(shown)}\n{self.caption}\n{'; '.join(notes)}".strip()
        if blocks and below:
            yield "", ""
        for line in wrapped(below, min(width, WIDEST_TEXT)):
            yield line, "dim"

    def _hidden(self, shown: Sequence[int]) -> str:
        """Name the columns that are not shown, and how to see them. Empty if all are shown."""
        hidden = [column for number, column in enumerate(self.columns) if number not in shown]
        if not hidden:
            return ""
        names = ", ".join(column.head.split("\n")[0] for column in hidden if column.head)
        ways = "widen the terminal" + (f", or {self.elsewhere}" if self.elsewhere else "")
        return f"{counted(len(hidden), 'column')} hidden{f': {names}' if names else ''}; {ways}"

    def _fitting(self, width: int) -> tuple[list[int], bool]:
        """Return the columns to show, and whether names go above the figures, as names wider than half the table do."""
        names = [number for number, column in enumerate(self.columns) if column.is_name]
        beside = self._without_ranked(range(len(self.columns)), width)
        roomy = self._least_width(beside) <= width and 2 * sum(map(self._most, names)) <= width
        if roomy or not names:
            return beside, False
        others = [number for number, column in enumerate(self.columns) if not column.is_name]
        return [*names, *self._without_ranked(others, width - len(INDENT))], True

    def _without_ranked(self, numbers: Sequence[int], width: int) -> list[int]:
        """Drop columns, least important first, until the rest fits or only essential ones remain."""
        shown = list(numbers)
        while self._least_width(shown) > width and any(self.columns[number].rank for number in shown):
            shown.remove(max(reversed(shown), key=lambda number: self.columns[number].rank))
        return shown

    def _blocks(self, numbers: Sequence[int], width: int) -> list[list[int]]:
        """Split columns that do not fit one line into several blocks, each with the first column."""
        blocks = [list(numbers[:1])]
        for number in numbers[1:]:
            if len(blocks[-1]) > 1 and self._least_width([*blocks[-1], number]) > width:
                blocks.append(list(numbers[:1]))
            blocks[-1].append(number)
        return blocks

    def _block(self, numbers: Sequence[int], name: int | None, width: int) -> Iterator[tuple[str, str]]:
        indent = "" if name is None else INDENT
        gap = WIDE if self._least_width(numbers, WIDE) <= width - len(indent) else NARROW
        widths = self._widths(numbers, width - len(indent), gap)
        ruler = "─" * min(width, len(indent) + sum(widths) + len(gap) * (len(widths) - 1))
        heads = [column.head for column in self.columns]
        if any(heads):
            for line in self._row(heads, numbers, name, widths, gap, at_bottom=True):
                yield line, "bold"
            yield ruler, ""
        for row in self.rows:
            if row is None:
                yield ruler, ""
            else:
                yield from ((line, "") for line in self._row(row, numbers, name, widths, gap))

    def _row(
        self,
        row: Sequence[str],
        numbers: Sequence[int],
        name: int | None,
        widths: Sequence[int],
        gap: str,
        *,
        at_bottom: bool = False,
    ) -> Iterator[str]:
        if name is not None and row[name]:
            yield row[name].replace("\n", " ")
        cells = [self._cell(number, row[number], space) for number, space in zip(numbers, widths, strict=True)]
        if at_bottom:
            most = max(map(len, cells), default=0)
            cells = [[""] * (most - len(cell)) + cell for cell in cells]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            padded = [
                _padded(part, space, self.columns[number].justify)
                for number, part, space in zip(numbers, parts, widths, strict=True)
            ]
            yield ("" if name is None else INDENT) + gap.join(padded).rstrip()

    def _cell(self, number: int, text: str, width: int) -> list[str]:
        """Return the lines of a cell."""
        return wrapped(text, width) if self.columns[number].is_prose else text.split("\n")

    def _widths(self, numbers: Sequence[int], width: int, gap: str) -> list[int]:
        """Return the width of each column. Columns of sentences share the remaining width."""
        widths = [self._least(number) for number in numbers]
        for place, number in enumerate(numbers):
            room = width - sum(widths) - len(gap) * (len(widths) - 1)
            widths[place] += max(0, min(room, self._most(number) - widths[place]))
        return widths

    def _least_width(self, numbers: Sequence[int], gap: str = NARROW) -> int:
        return sum(map(self._least, numbers)) + len(gap) * (len(numbers) - 1)

    def _least(self, number: int) -> int:
        """Return the minimum width of a column that breaks no word."""
        most = self._most(number)
        if not self.columns[number].is_prose:
            return most
        longest = max((cell_len(word) for cell in self._cells(number) for word in cell.split()), default=0)
        return max(longest, min(most, PROSE_WIDTH))

    def _most(self, number: int) -> int:
        """Return the width of the longest line of a column."""
        return max((cell_len(line) for cell in self._cells(number) for line in cell.split("\n")), default=0)

    def _cells(self, number: int) -> list[str]:
        return [self.columns[number].head, *(row[number] for row in self.rows if row is not None)]


def stacked(tables: Sequence[RenderableType]) -> Group:
    """Return tables one below the other, with a blank line between two."""
    from rich.console import Group

    return Group(*[part for table in tables for part in ("", table)][1:])


def wrapped(text: str, width: int) -> list[str]:
    """Break text into lines between words only. A word longer than ``width`` gets its own line."""
    words = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return [line for part in text.splitlines() for line in words.wrap(part) or [""]]


def _padded(text: str, width: int, justify: Literal["left", "right"]) -> str:
    space = " " * max(0, width - cell_len(text))
    return space + text if justify == "right" else text + space


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: ``no files``, ``1 file``, ``1,000 files``."""
    return f"{f'{count:,}' if count else 'no'} {noun}{'' if count == 1 else 's'}"
