"""The scan of TOML finds every key and value that the parser finds, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from warehouse_cdc.project.toml_reader import read_toml

FILES = [
    "",
    "a = 1",
    "a.b.c = 1\na.b.d = 2 # e = 3\n\n  f=[1,2 , 3,]",
    '"a b" . \'c.d\' = """x\n[y]\nz = 1"""\n"\\u00e9" = "\\"=#"',
    "a = '''it''s = 'x' '''''\nb = \"\"\"\\\"\"\"\"\"\"\nc = ''\nd = \"\"\ne = ''''''\nf = \"\"\"\"\"\"",
    "[a]\nb = [\n  [1, 2], # ] \n  {c = [{d = 1}], e.f = 2},\n  'x',\n]\n[a.g]\nh = 1979-05-27 07:32:00Z\n",
    "[[a]]\nb = 1\n[[a.c]]\nd = 1\n[[a.c]]\nd = 2\n[a.e]\nf = 1\n[[a]]\nb = 2\n[a.e]\nf = 3",
    "[ x . y ]\nz = { }\nw = []\n[x]\nv = -inf\nu = +1_000.5e-3\nt = 0xDEAD_BEEF\ns = true",
    "a = 07:32:00\nb = [ 07:32:00, 1979-05-27 ]\nc = { d = 1979-05-27T07:32:00.5-07:00 }",
    "a = 'x'\r\n[b]\r\nc = '''\r\nd\r\n'''\r\n",
]


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return {path}.union(*(paths_of(item, (*path, key)) for key, item in items))


@pytest.mark.parametrize("text", FILES)
def test_every_path_has_a_position(text: str) -> None:
    text = text.replace("\r\n", "\n")
    document = read_toml("x.toml", text)
    assert {*document.keys, *document.values, ()} == paths_of(document.data)


@pytest.mark.parametrize("text", FILES)
def test_positions_point_at_what_they_name(text: str) -> None:
    text = text.replace("\r\n", "\n")
    document = read_toml("x.toml", text)
    for (start, end), path in ((span, path) for path, span in document.values.items()):
        value = document.data
        for part in path:
            value = value[part]
        assert read_toml("y.toml", f"x = {text[start:end]}").data["x"] == value
    for path, offset in document.keys.items():
        if isinstance(path[-1], str) and path[-1].isalnum() and path[-1].isascii():
            assert text[offset:].lstrip("'\"").startswith(path[-1])
