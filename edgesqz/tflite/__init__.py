"""The .tflite format itself: how a file is written, how it gets smaller, and what it says of itself."""
