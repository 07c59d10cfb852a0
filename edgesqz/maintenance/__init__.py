"""Maintenance of a workspace: list its contents, free up space, find damaged files, and set its quota."""

from edgesqz.maintenance.plan import Clean as Clean
from edgesqz.maintenance.plan import List as List
from edgesqz.maintenance.plan import Quota as Quota
from edgesqz.maintenance.plan import Remove as Remove
from edgesqz.maintenance.plan import Verify as Verify
