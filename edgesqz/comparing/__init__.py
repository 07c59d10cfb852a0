"""Compare two reports of the bench, and check what changed against limits."""

from edgesqz.comparing.plan import Compare as Compare
from edgesqz.comparing.plan import compare as compare
