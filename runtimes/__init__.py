"""Inference engines. Each module wraps one engine, runs in its own process, and imports nothing from edgesqz.

A runtime is a module with

- ``ENGINE``: the name of the engine's distribution,
- ``REQUIREMENTS``: the packages to install for it, the engine first,
- ``PYTHON``: the version of Python, such as ``3.11``, for an engine that needs a separate environment, or None,
- ``TIMED``: whether its latency is meaningful,
- ``SUFFIXES``: the suffixes of the model files that it runs,
- ``load(model_bytes, threads)``: returns a session with ``inputs`` and ``outputs`` (dicts of ``shape``, ``dtype``,
  ``scale``, ``zero_point``), ``set_input(batch)`` and ``run_once()``, the inference that is timed, ``run(batch)`` from
  stored input values to stored output values, and ``arena_bytes`` if the engine works in a fixed memory arena. The
  session of an engine for models with several inputs or outputs has ``run_all(*batches)`` instead of ``run``, which
  returns the stored values of every output, takes one array per input in ``set_input``, and names its inputs
  (``name``), and its outputs if a converter may change their order,
- ``probe(model_bytes)``, if the engine exposes its layers: returns a function from the stored values of each input to
  the real values of every tensor, float32, by names that contain the layer's name between slashes.

The module of an engine that is not a Python package also has ``installed_version()``, which returns None if the engine
is missing, and ``install_command()``. That of an engine for web pages has ``engine_files()``, the contents of its files
by name. A session whose inferences run in another process has three more members: ``facts`` replaces values that the
worker measures in its own process, ``time(count)`` returns the mean nanoseconds of batches of ``facts["batch"]``
inferences, and ``peak_rss_bytes()`` is the peak memory of the other process.

It is registered under the entry point group ``edgesqz.runtimes``. Its source is sent to the measured process, so it may
import only the standard library, NumPy and, inside functions, its engine.
"""
