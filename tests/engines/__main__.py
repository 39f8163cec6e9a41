"""Assemble the engines, or those that are named, start each and stop it."""

from __future__ import annotations

import sys
import time

from tests.engines import ENGINES, Unavailable


def main() -> None:
    for name in ENGINES.keys() & set(sys.argv[1:] or ENGINES):
        try:
            print(f"{name}: {ENGINES[name].assemble()}")
            began = time.monotonic()
            with ENGINES[name].server() as url:
                print(f"{name} answers at {url} after {time.monotonic() - began:.0f} s")
        except Unavailable as reason:
            print(f"{name} is skipped: {reason}", file=sys.stderr)


main()
