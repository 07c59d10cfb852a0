"""The .tflite format: writing a file, storing it in fewer bytes, and its metadata."""
