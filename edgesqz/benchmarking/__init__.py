"""Measure what each model file costs and how accurate it is, side by side."""

from edgesqz.benchmarking.plan import Bench as Bench
from edgesqz.benchmarking.plan import bench as bench
