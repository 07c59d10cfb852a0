"""The groups of options that commands share."""

from __future__ import annotations

from dataclasses import dataclass

from edgesqz.command import fields
from edgesqz.options import DataOptions, InputSizeOptions, PixelOptions, QuotaOptions


@dataclass(frozen=True)
class Every(DataOptions, PixelOptions, InputSizeOptions, QuotaOptions):
    pass


def test_a_command_inherits_options_with_their_flags_variables_and_panels() -> None:
    options = {field.name: (field.flag, field.option.variable, field.panel) for field in fields(Every)}
    assert options == {
        "workspace": ("--workspace", "EDGESQZ_WORKSPACE", "Workspace"),
        "quota": ("--quota", None, "Workspace"),
        "scratch_dir": ("--scratch", None, "Workspace"),
        "input_size": ("--input-size", None, "Model"),
        "pixel_range": ("--pixel-range", None, "Data"),
        "data_dir": ("--data-dir", "EDGESQZ_DATA_DIR", "Data"),
        "dataset": ("--dataset", None, "Data"),
    }


def test_every_option_is_described_in_whole_sentences() -> None:
    assert all(field.option.help.endswith(".") for field in fields(Every))
