"""Engines: one model each, in a process of its own, on this machine or another."""

from edgesqz.engine.engine import Engine as Engine
from edgesqz.engine.engine import EngineError as EngineError
from edgesqz.engine.engine import load as load
from edgesqz.engine.engine import open_engine as open_engine
