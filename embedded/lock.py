"""One embedded stack per directory."""

import fcntl
import os
from pathlib import Path
from typing import IO

from embedded.child import StackError


def locked(directory: Path) -> IO[str]:
    """Take the directory until the file is closed, or this process ends however it may."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("a+")
    except OSError as error:
        raise StackError(f"cannot write to {directory}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        pid = lock.read().strip() or "unknown"
        lock.close()
        raise StackError(
            f"another embedded stack runs in {directory} (pid {pid}): use that one, or give --dir"
        ) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock
