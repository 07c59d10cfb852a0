"""Measure the costs and the accuracy of model files, side by side."""

from edgesqz.benchmarking.plan import Bench as Bench
from edgesqz.benchmarking.plan import bench as bench
