"""Sweeps: many networks and recipes tried under one disk quota, on this machine or on a cluster."""

from edgesqz.sweeping.plan import Sweep as Sweep
from edgesqz.sweeping.plan import sweep as sweep
