"""Stopping the statement that a cancelled run waits for (D20)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from warehouse_cdc.errors import ConnectionLostError, WarehouseError
from warehouse_cdc.warehouses.base import Connection

LOOK_SECONDS = 0.1
"""How soon a cancelled run's statement is stopped."""
AGAIN_SECONDS = 1.0
"""How long after that the next one is, if there is one."""


class Interrupted(Exception):
    """The run was cancelled before it had a plan."""


@contextmanager
def interruptible(connection: Connection, cancelled: threading.Event) -> Iterator[None]:
    """Around statements that need not be finished: a cancelled run stops the one under way.

    Raises:
        Interrupted: A statement failed once the run was cancelled.
    """
    over = threading.Event()

    def watch() -> None:
        pause = LOOK_SECONDS
        while not over.wait(pause):
            if cancelled.is_set():
                connection.cancel_statement()
                pause = AGAIN_SECONDS

    watcher = threading.Thread(target=watch, name="wcdc-cancel", daemon=True)
    watcher.start()
    try:
        yield
    except ConnectionLostError:
        raise
    except WarehouseError as error:
        if cancelled.is_set():
            raise Interrupted from error
        raise
    finally:
        over.set()
        watcher.join()  # so that it stops nothing that comes after the block
