"""Training: a recipe, the run that follows it, and the checkpoints that the run resumes from."""

from edgesqz.training.plan import Train as Train
from edgesqz.training.plan import train as train
