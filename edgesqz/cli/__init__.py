"""The command line."""

from edgesqz.cli.app import app as app
from edgesqz.cli.app import main as main
