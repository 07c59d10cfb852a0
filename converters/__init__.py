"""Converters. Each module turns a model into the bytes of a file in one format.

A converter is a module registered under the entry point group ``edgesqz.converters``. It has

- ``FORMAT``: the name of the format on the command line,
- ``SUFFIX``: the suffix of the files,
- ``VARIANTS``: the variants by name, each an ``edgesqz.plugins.Variant``, most valuable first,
- ``PACKAGES``: the distributions whose versions the manifest records,
- ``convert(model, variant, calibration)``: returns the bytes. The model is a Keras model, or the content of a float
  .tflite file for a model from another tool. ``calibration`` has one array per input, float32 (N, *shape of the input),
  or is None,
- if a variant sets ``layer_bits``, ``layerwise(model, calibration, method)``: returns an ``edgesqz.plugins.Layerwise``.
"""
