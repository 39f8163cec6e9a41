"""A few daemon threads: unlike an executor's, they never keep a process from ending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Pool:
    """Runs calls on a fixed number of threads."""

    def __init__(self, size: int) -> None:
        """Start the threads."""
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._size = size
        for index in range(size):
            threading.Thread(target=self._work, name=f"wcdc-send-{index}", daemon=True).start()

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Run a call when a thread is free."""
        future: Future[Any] = Future()
        self._queue.put((future, call))
        return future

    def close(self) -> None:
        """Let the threads end after what they were given."""
        for _ in range(self._size):
            self._queue.put(None)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
