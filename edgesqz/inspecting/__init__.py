"""Inspecting: the inputs, outputs, operators, parameters, bytes and metadata of a model file from any tool."""

from edgesqz.inspecting.plan import Inspect, inspect

__all__ = ["Inspect", "inspect"]
