"""Show the inputs, outputs, operators, parameters, bytes and metadata of a model file from any tool."""

from edgesqz.inspecting.plan import Inspect as Inspect
from edgesqz.inspecting.plan import inspect as inspect
