"""Training: recipes, runs that follow them, and checkpoints to resume runs from."""

from edgesqz.training.plan import Train as Train
from edgesqz.training.plan import train as train
