"""Convert a Keras model to files of other formats, each verified on its runtime before it is kept."""

from edgesqz.exporting.plan import Export as Export
from edgesqz.exporting.plan import export as export
from edgesqz.exporting.result import ExportResult as ExportResult
from edgesqz.exporting.result import PlannedFile as PlannedFile
