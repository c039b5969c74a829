"""A worker as it ships, but for one deed at one commit of one activity.

It takes the activity's name, the moment (`before` or `after` its commit), the deed (`die` by
SIGKILL, or `halt`) and a marker: a file that tells the deed is done, so that it is done once,
however many workers are started with it. One that halts goes on when `<marker>.go` is there.
Without arguments it is a worker that never strikes.
"""

import functools
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.orm import Session
from temporalio import activity

import worker
from domain.intake.drain import Drain

IDLE = timedelta(seconds=2)  # what a killed worker held of the stream is taken over this soon
MOMENTS = {"before": "before_commit", "after": "after_commit"}
LOOK_S = 0.02
HALT_S = 60.0


def strike(name: str, moment: str, *, deed: str, marker: Path) -> None:
    """Have the deed done at the first commit of the activity, be it only of a reading."""

    def struck(_: Session) -> None:
        if activity.in_activity() and activity.info().activity_type == name and _first(marker):
            os.kill(os.getpid(), signal.SIGKILL) if deed == "die" else _halt(marker)

    event.listen(Session, MOMENTS[moment], struck)


def _first(marker: Path) -> bool:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _halt(marker: Path) -> None:
    """Stand still, with the transaction as it is."""
    until = time.monotonic() + HALT_S
    while not marker.with_suffix(".go").exists() and time.monotonic() < until:
        time.sleep(LOOK_S)


def main(name: str = "", moment: str = "", deed: str = "", marker: str = "") -> None:
    vars(worker)["Drain"] = functools.partial(Drain, idle=IDLE)
    if name:
        strike(name, moment, deed=deed, marker=Path(marker))
    worker.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
