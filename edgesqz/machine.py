"""The computer that figures were measured on, or that a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Machine:
    """A computer. Unknown attributes are None.

    Attributes:
        cpu: Name of the processor, or of the board if the system names one.
        cores: Number of logical cores.
        memory_bytes: Size of the main memory.
        system: Operating system and its version.
        vnni: Whether an x86 processor multiplies bytes without saturation, or None for other processors.
        host: Network address of a machine that was reached through ssh, or None for this machine.
    """

    cpu: str
    cores: int | None = None
    memory_bytes: int | None = None
    system: str | None = None
    vnni: bool | None = None
    host: str | None = None


def machine() -> Machine:
    """Describe this machine."""
    import psutil

    from edgesqz import plugins

    # The worker imports only the standard library, which cannot report the memory size on Windows.
    return replace(Machine(**plugins.machine_facts()), memory_bytes=psutil.virtual_memory().total)
