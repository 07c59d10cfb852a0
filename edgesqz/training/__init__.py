"""Training: a recipe, the run that follows it, and the checkpoints that the run resumes from."""
