"""The .tflite format: serialization, packing into fewer bytes, and metadata."""
