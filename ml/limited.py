"""Give up network, memory and time before a file from outside is loaded; Linux only.

The network goes with a seccomp filter that lets ``socket`` make local sockets only. It needs no
rights, works in containers, and holds for every thread and child that comes after it.
"""

import ctypes
import platform
import resource
import struct
from dataclasses import dataclass
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
# Audit architecture, numbers of socket and io_uring_setup (linux/audit.h, asm/unistd.h).
_MACHINES: Final = {
    "x86_64": (0xC000003E, 41, 425),
    "aarch64": (0xC00000B7, 198, 425),
}
_ALLOW: Final = 0x7FFF0000
_DENY: Final = 0x00050000 | 1  # the call fails with EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_AF_UNIX: Final = 1
_X32_BIT: Final = 0x40000000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one process."""

    memory_bytes: int
    cpu_seconds: int


class UnlimitedError(RuntimeError):
    """This machine cannot take the network away, so nothing from outside is loaded here."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def restrict(limits: Limits) -> None:
    """Bind this process, for good.

    Raises:
        UnlimitedError: not Linux on x86-64 or ARM64, or the kernel has no seccomp.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
    _without_network()


def _without_network() -> None:
    if platform.system() != "Linux" or platform.machine() not in _MACHINES:
        raise UnlimitedError(platform.machine())
    architecture, socket, io_uring = _MACHINES[platform.machine()]
    rules = [
        (_LOAD, 0, 0, 4),  # architecture
        (_EQUAL, 0, 7, architecture),  # another one: deny
        (_LOAD, 0, 0, 0),  # number of the call
        (_AT_LEAST, 5, 0, _X32_BIT),
        (_EQUAL, 4, 0, io_uring),
        (_EQUAL, 0, 2, socket),  # everything else: allow
        (_LOAD, 0, 0, 16),  # the first argument: the family
        (_EQUAL, 0, 1, _AF_UNIX),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _DENY),
    ]
    code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(rules), ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *arguments) != 0:
        raise UnlimitedError("no_new_privs")
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise UnlimitedError("seccomp")
