"""Draw the figures of results/growth.json as SVG files for the documentation.

    python -m benchmarks.plots [--results benchmarks/results] [--images docs/images]

The same figures make the same files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from benchmarks.bench_growth import HAND_WRITTEN
from benchmarks.bench_peers import OWN, OWN_RUNS_ONLY
from benchmarks.report import ENGINES, RESULTS

IMAGES = Path(__file__).parent.parent / "docs" / "images"
NAMES = {"duckdb": "DuckDB", "postgres": "PostgreSQL"}
PULL = "pull-everything"
KIND = "0.1 % changed"
STYLES: dict[str, dict[str, Any]] = {
    OWN.name: {"color": "#1f4fd8", "linewidth": 2.5},
    OWN_RUNS_ONLY.name: {"color": "#1f4fd8", "linewidth": 2.5, "linestyle": "--"},
    HAND_WRITTEN: {"color": "black", "linestyle": ":"},
    PULL: {"color": "#d62728"},
    "drt-core": {"color": "#2ca02c"},
    "reladiff": {"color": "#9467bd"},
    "sqlmesh": {"color": "#8c564b"},
    "dlt": {"color": "#ff7f0e"},
}
Row = dict[str, Any]


def chosen(rows: Iterable[Row], **fields: Any) -> list[Row]:
    """The rows with these fields, that have a time."""
    return [row for row in rows if row["seconds"] and all(row.get(k) == v for k, v in fields.items())]


def save(figure: Any, file: Path) -> None:
    """Write one file, without the date."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    # A checkout on any system, and any editor, leaves the lines as they are.
    text = "\n".join(line.rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    file.write_text(text + "\n", encoding="utf-8")


def lines(axes: Axes, rows: list[Row], peers: Iterable[str]) -> None:
    """Time against rows, one line for each tool."""
    for peer in peers:
        points = sorted((row["rows"], row["seconds"]) for row in chosen(rows, peer=peer))
        if points:
            style = {"marker": "o", "markersize": 4, **STYLES.get(peer, {})}
            axes.plot(*zip(*points, strict=True), label=peer, **style)
    axes.set(xscale="log", yscale="log", xlabel="rows of the model", ylabel="seconds")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.3)


def time_by_rows(rows: list[Row], engine: str, file: Path) -> None:
    """All tools, by kind of run."""
    kinds = ("first", "no change", KIND)
    figure, panels = plt.subplots(1, len(kinds), figsize=(12, 4.2), sharey=True)
    for axes, kind in zip(panels, kinds, strict=True):
        lines(axes, chosen(rows, part="growth", engine=engine, kind=kind), STYLES)
        axes.set_title(f"{NAMES[engine]}: {kind}")
        axes.label_outer()
    handles: dict[str, Any] = {}
    for axes in panels:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    panels[-1].legend(handles.values(), handles.keys(), fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    save(figure, file)


def by_share(rows: list[Row], file: Path) -> None:
    """Time and bytes by the share of rows that change."""
    figure, (times, sizes) = plt.subplots(1, 2, figsize=(10, 4))
    numbers = set()
    for engine, color in zip(ENGINES, ("#d8a01f", "#336791"), strict=True):
        points = sorted(chosen(rows, part="shares", engine=engine), key=lambda row: float(row["percent"]))
        if not points:
            continue
        numbers |= {f"{row['rows']:,}" for row in points}
        x = [row["percent"] for row in points]
        style: dict[str, Any] = {"color": color, "marker": "o", "markersize": 4, "label": NAMES[engine]}
        times.plot(x, [row["seconds"] for row in points], **style)
        sizes.plot(x, [row["plan_bytes"] for row in points], **style)
    for axes, label in ((times, "seconds"), (sizes, "bytes of the plan")):
        axes.set_xscale("symlog", linthresh=0.1)
        axes.set_xticks([0, 0.1, 1, 10, 100], ["0", "0.1", "1", "10", "100"])
        axes.set(xlabel=f"% of {' and '.join(sorted(numbers))} rows changed", ylabel=label)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    times.set_ylim(bottom=0)
    sizes.set_yscale("symlog", linthresh=100_000)
    sizes.set_ylim(bottom=0)
    sizes.yaxis.set_major_formatter(EngFormatter("B"))
    save(figure, file)


def pulling(rows: list[Row], engines: list[str], file: Path) -> None:
    """An engine that reads everything, and ours."""
    figure, panels = plt.subplots(1, len(engines), figsize=(5 * len(engines), 4), squeeze=False)
    for axes, engine in zip(panels[0], engines, strict=True):
        lines(
            axes,
            chosen(rows, part="growth", engine=engine, kind=KIND),
            (PULL, OWN.name, OWN_RUNS_ONLY.name),
        )
        axes.set_title(f"{NAMES[engine]}: {KIND}")
        if axes.lines:
            axes.legend(fontsize=8)
    save(figure, file)


def main() -> None:
    """Draw all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--images", type=Path, default=IMAGES)
    options = parser.parse_args()
    plt.rcParams.update({"svg.hashsalt": "warehouse-cdc", "svg.fonttype": "none", "font.size": 9})
    rows = json.loads((options.results / "growth.json").read_text(encoding="utf-8"))["results"]
    measured = [engine for engine in ENGINES if chosen(rows, part="growth", engine=engine)]
    for engine in measured:
        time_by_rows(rows, engine, options.images / f"time-by-rows-{engine}.svg")
    by_share(rows, options.images / "by-share.svg")
    if measured:
        pulling(rows, measured, options.images / "pull-everything.svg")


if __name__ == "__main__":
    main()
