"""Find the best files for a quota."""

from edgesqz.fitting.plan import Fit as Fit
from edgesqz.fitting.plan import fit as fit
