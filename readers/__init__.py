"""Readers. Each module turns model files of one format from another tool into float .tflite files.

A reader is a module registered under the entry point group ``edgesqz.readers``. It has

- ``SUFFIXES``: the suffixes of the files,
- ``REQUIREMENTS``: the packages that ``read`` needs, as pip expects them, with the converting package first. They are
  installed in a separate environment. If there are none, ``read`` runs in the environment of edgesqz,
- ``PYTHON``: the version of Python that they need, or None for any,
- ``prepare(path, size)``: returns an ``edgesqz.plugins.Prepared`` with the content of the file. A model that takes
  images of any size is fixed to ``size`` (height, width), if its format allows it; if ``size`` is None, such a model
  raises ``plugins.NeedsSizeError``. A quantized file raises ``plugins.QuantizedError``, and a file that cannot be read
  raises ``ValueError``. ``prepare`` runs in the process of edgesqz, so it must be fast and must not execute code from
  the file,
- ``whole(path)``, for a format whose files can keep data in other files: returns the content with that data inside, or
  None for a file without such data,
- ``read(content)``: returns the bytes of a .tflite file with float32 inputs and outputs, NHWC images and the same
  predictions. It runs in a separate process.

A runtime for the same suffix must be able to run what ``prepare`` returns, because exports are verified against the
source model on that runtime. The module is run as a script in the other environment, so it may import only the
standard library at the top, and everything else inside functions.
"""
