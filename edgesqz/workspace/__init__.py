"""Workspaces: folders for models with a quota in bytes."""

from edgesqz.workspace.layout import MANIFEST_SUFFIX as MANIFEST_SUFFIX
from edgesqz.workspace.layout import OWN as OWN
from edgesqz.workspace.layout import TEMPORARY_SUFFIX as TEMPORARY_SUFFIX
from edgesqz.workspace.layout import manifest_path as manifest_path
from edgesqz.workspace.layout import stands_alone as stands_alone
from edgesqz.workspace.transaction import settle as settle
from edgesqz.workspace.workspace import Workspace as Workspace
from edgesqz.workspace.workspace import check_writable as check_writable
from edgesqz.workspace.workspace import write_file as write_file
