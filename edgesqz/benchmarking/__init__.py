"""The bench: what each model file costs, and what it still gets right, measured side by side."""

from edgesqz.benchmarking.plan import Bench as Bench
from edgesqz.benchmarking.plan import bench as bench
