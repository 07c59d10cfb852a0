"""Inference engines, one module each; they run in a process of their own and import nothing of edgesqz.

A runtime is a module with

- ``ENGINE``: the distribution that holds the engine, as its package index names it,
- ``REQUIREMENTS``: what to install for it, the engine first,
- ``PYTHON``: the version of Python of an environment of its own, such as ``3.11``, if it cannot live in this one, else
  None,
- ``TIMED``: whether its time means anything,
- ``SUFFIXES``: of the model files it runs,
- ``load(model_bytes, threads)``: a session with ``inputs`` and ``outputs`` (dicts of ``shape``, ``dtype``, ``scale``,
  ``zero_point``), ``run(batch)`` from stored input values to stored output values, ``set_input(batch)`` and
  ``run_once()``, the inference that is timed; and ``arena_bytes`` if the engine works in memory of a fixed size,
- ``probe(model_bytes)``, if the engine lets its layers be seen: a function from stored input values to the real values
  of every tensor, float32, by names that hold the layers' names as a part between slashes,

registered under the entry point group ``edgesqz.runtimes``. Its source is sent to the process that is measured, so it
may import the standard library, NumPy and its engine, the engine only inside functions.
"""
