"""Fit: the best files that a quota has room for."""

from edgesqz.fitting.plan import Fit as Fit
from edgesqz.fitting.plan import fit as fit
