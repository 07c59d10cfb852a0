"""Processes that tests look at, which can end at any moment."""

from __future__ import annotations

import psutil


def descendants(word: str = "") -> list[psutil.Process]:
    """Return the processes that this one and its children started, with a word in their title."""
    return [each for each in psutil.Process().children(recursive=True) if word in title(each)]


def title(process: psutil.Process) -> str:
    """Return what a process calls itself, or nothing if it has ended."""
    try:
        return "".join(process.cmdline()[:1])
    except psutil.NoSuchProcess:  # which a zombie is as well
        return ""


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, even if its parent does not know yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
