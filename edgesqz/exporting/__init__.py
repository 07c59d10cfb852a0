"""Exporting: a Keras model into files of other formats, each verified on its runtime before it is kept."""

from edgesqz.exporting.plan import Export, export
from edgesqz.exporting.result import ExportResult, PlannedFile

__all__ = ["Export", "ExportResult", "PlannedFile", "export"]
