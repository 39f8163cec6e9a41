"""Rates: what may be under way, by the clock of whoever counts."""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_left

import pytest

from warehouse_cdc.errors import ConfigError
from warehouse_cdc.limits import Limiter, Window, limiter, windows


@pytest.mark.parametrize(
    ("text", "limit", "seconds"),
    [
        ("100/second", 100, 1),
        ("1 per minute", 1, 60),
        ("5 per 10 minutes", 5, 600),
        ("7 / 2 hours", 7, 7200),
        ("3/DAY", 3, 86400),
    ],
)
def test_a_rate_as_text(text: str, limit: int, seconds: float) -> None:
    assert windows(text, None) == (Window(limit, seconds),)
    assert windows(None, text) == (Window(limit, seconds, rows=True),)


def test_several_windows() -> None:
    assert windows("10/second; 500/minute", "9/hour") == (
        Window(10, 1),
        Window(500, 60),
        Window(9, 3600, rows=True),
    )


@pytest.mark.parametrize(
    "text", ["", "fast", "0/second", "10/0 seconds", "-1/second", "10/fortnight", "1/second;"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ConfigError, match="can't be understood") as caught:
        windows(text, None)
    assert caught.value.code == "sync-rate"


def most_in_a_window(arrivals: list[tuple[float, int]], seconds: float) -> int:
    """The most that arrived in any half-open window, as an observer with an exact log would count."""
    arrivals = sorted(arrivals)
    times = [at for at, _weight in arrivals]
    return max(
        sum(weight for _at, weight in arrivals[start : bisect_left(times, begin + seconds)])
        for start, begin in enumerate(times)
    )


@pytest.mark.parametrize("seed", range(3))
def test_no_window_of_the_other_side_is_exceeded_however_latencies_differ(seed: int) -> None:
    """A call arrives at any moment between its beginning and its end."""
    rng = random.Random(seed)
    seconds = 0.1
    limit = Limiter([Window(5, seconds), Window(20, 2 * seconds, rows=True)])
    calls: list[tuple[float, int]] = []
    until = time.monotonic() + 1.2

    def worker(rng: random.Random) -> None:
        while time.monotonic() < until:
            rows = rng.randint(1, 8)
            with limit.call(rows, lambda: time.monotonic() > until) as free:
                if not free:
                    return
                before, after = (rng.choice([0, 0, 0.03, 0.08]) for _ in range(2))
                time.sleep(before)
                calls.append((time.monotonic(), rows))
                time.sleep(after)

    threads = [threading.Thread(target=worker, args=(random.Random(rng.random()),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) > 10
    assert most_in_a_window([(at, 1) for at, _rows in calls], seconds) <= 5
    assert most_in_a_window(calls, 2 * seconds) <= 20


def test_places_are_free_again_and_long_windows_take_little_memory() -> None:
    limit = Limiter([Window(1_000_000, 3600.0)])
    for _ in range(20_000):
        with limit.call(1, lambda: False) as free:
            assert free
    assert sum(len(each.ended) for each in limit._used) < 1100
    assert sum(each.resting for each in limit._used) == 20_000


def test_a_call_with_more_rows_than_a_window_waits_for_an_empty_one() -> None:
    limit = Limiter([Window(10, 0.05, rows=True)])
    assert limit.most_rows == 10
    began = time.monotonic()
    for rows in (1, 50, 1):
        with limit.call(rows, lambda: False) as free:
            assert free
    assert time.monotonic() - began >= 0.1


def test_a_pause_holds_everyone_and_waiting_can_be_stopped() -> None:
    limit = Limiter()
    limit.pause(0.1)
    began = time.monotonic()
    with limit.call(1, lambda: False) as free:
        assert free
    assert time.monotonic() - began >= 0.1
    limit.pause(60)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with limit.call(1, stop.is_set) as free:
        assert not free


def test_a_limiter_outlives_its_run_and_is_shared_by_name() -> None:
    rates = windows("1/second", None)
    assert limiter("a", rates) is limiter("a", rates)
    assert limiter("a", rates) is not limiter("b", rates)
    assert limiter("a", rates) is not limiter("a", windows("2/second", None))


def test_what_another_process_has_sent_counts() -> None:
    limit = Limiter([Window(10, 0.2), Window(100, 0.4, rows=True)])
    limit.assume(9, 0.0)
    began = time.monotonic()
    for _ in range(2):
        with limit.call(1, lambda: False) as free:
            assert free
    assert 0.15 < time.monotonic() - began < 5
    limit.assume(10, 0.0)
    assert limit._used[0].resting <= 2, "only where this process has sent nothing yet"


def test_one_who_waits_for_a_turn_can_be_stopped_too() -> None:
    """Another sync that shares the limit may wait for hours."""
    limit = Limiter([Window(1, 3600.0)])
    with limit.call(1, lambda: False):
        pass
    stop_first, stop_second = threading.Event(), threading.Event()
    results: list[object] = []

    def wait(stop: threading.Event) -> None:
        with limit.call(1, stop.is_set) as place:
            results.append(place)

    first = threading.Thread(target=wait, args=(stop_first,))
    second = threading.Thread(target=wait, args=(stop_second,))
    first.start()
    time.sleep(0.1)
    second.start()
    stop_second.set()
    second.join(timeout=10)
    assert not second.is_alive() and results == [None]
    stop_first.set()
    first.join()


def test_a_place_is_left_once() -> None:
    limit = Limiter([Window(2, 0.05)])
    with limit.call(1, lambda: False) as place:
        assert place is not None
        place.leave()
    assert limit._used[0].busy == 0 and limit._used[0].resting == 1


def test_another_process_that_had_nothing_to_send_has_used_nothing() -> None:
    limit = Limiter([Window(1, 3600.0)])
    limit.assume(0, 0.0)
    with limit.call(1, lambda: False) as place:
        assert place is not None
