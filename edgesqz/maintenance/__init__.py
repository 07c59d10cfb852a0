"""Maintenance of a workspace: what it holds and where that came from, what could be deleted, and what is damaged."""

from edgesqz.maintenance.plan import Clean as Clean
from edgesqz.maintenance.plan import List as List
from edgesqz.maintenance.plan import Quota as Quota
from edgesqz.maintenance.plan import Remove as Remove
from edgesqz.maintenance.plan import Verify as Verify
