"""Converters, one module each: a Keras model in, the bytes of one format out.

A converter is a module with

- ``FORMAT``: its name on the command line,
- ``SUFFIX``: of the files,
- ``VARIANTS``: the kinds it makes, by name, each an ``edgesqz.plugins.Variant``, the most valuable first,
- ``PACKAGES``: the distributions whose versions a manifest should tell,
- ``convert(model, variant, calibration)``: the bytes; it writes no file of its own,

registered under the entry point group ``edgesqz.converters``.
"""
