"""Ports of this machine that nobody listens on."""

import socket
from contextlib import suppress

from settings import UI_OFFSET

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that nobody listens on, nor on the one for the UI above it."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if is_free(port + UI_OFFSET):
            return port


def is_free(port: int) -> bool:
    """Say whether it can be listened on now."""
    with socket.socket() as probe, suppress(OSError, OverflowError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return True
    return False
