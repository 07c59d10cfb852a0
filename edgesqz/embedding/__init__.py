"""Embed: a folder that runs a .tflite file in a device app, and verifies there that its predictions are the same."""

from edgesqz.embedding.plan import Embed, embed

__all__ = ["Embed", "embed"]
