"""Models from other tools, read as float .tflite files."""

from edgesqz.reading.conversion import Conversion as Conversion
from edgesqz.reading.conversion import to_tflite as to_tflite
from edgesqz.reading.foreign import ConversionError as ConversionError
from edgesqz.reading.foreign import ForeignModel as ForeignModel
from edgesqz.reading.foreign import open_foreign as open_foreign
