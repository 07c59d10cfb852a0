"""Engines: each runs one model in its own process, on this machine or another one."""

from edgesqz.engine.engine import Engine as Engine
from edgesqz.engine.engine import EngineError as EngineError
from edgesqz.engine.engine import RejectedError as RejectedError
from edgesqz.engine.engine import load as load
from edgesqz.engine.engine import open_engine as open_engine
