"""What is in a model file: inputs, outputs, operators, parameters, bytes and metadata, whoever made it."""

from edgesqz.inspecting.plan import Inspect, inspect

__all__ = ["Inspect", "inspect"]
