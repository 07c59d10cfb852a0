"""Try many networks and recipes under one disk quota, on this machine or on a cluster."""

from edgesqz.sweeping.plan import Sweep as Sweep
from edgesqz.sweeping.plan import sweep as sweep
