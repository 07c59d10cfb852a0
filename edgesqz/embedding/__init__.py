"""Write a folder that runs a model file in a device app, with a self-test of its outputs."""

from edgesqz.embedding.plan import Embed as Embed
from edgesqz.embedding.plan import embed as embed
