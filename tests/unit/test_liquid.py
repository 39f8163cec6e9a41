"""Templates: what a value can't do, whatever it holds."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse_cdc.errors import ConfigError
from warehouse_cdc.mapping.liquid import Template
from warehouse_cdc.mapping.marks import (
    JSON,
    TEXT,
    URL,
    XML,
    Format,
    RowRejectedError,
    without_surrogates,
)

NASTY = st.text(st.sampled_from("\"\\,:[]{}<>&'/.?#% \n\ud800\udc22\udc5c\udc80ü0a"), max_size=8)
VALUES = st.recursive(
    NASTY | st.none() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=5,
)


def filled(format: Format, source: str, **row: Any) -> str:
    template = Template(source, format, "body")
    seen = without_surrogates(row)
    return template.render_url("", row=seen) if format is URL else template.render(row=seen)


# -- JSON -----------------------------------------------------------------------------------------


@given(NASTY)
def test_a_text_stays_within_its_quotes(value: str) -> None:
    clean = without_surrogates(value)
    sources = {
        '["{{ row.x }}"]': clean,
        '["{% echo row.x %}"]': clean,
        '["a{% cycle row.x, "b" %}"]': "a" + clean,
        '["{% capture c %}<{{ row.x }}>{% endcapture %}{{ c }}"]': f"<{clean}>",
        "[{{ row.x | json }}]": clean,
    }
    for source, expected in sources.items():
        assert json.loads(filled(JSON, source, x=value)) == [expected], source


@given(VALUES)
def test_any_value_is_one_json_value_through_json_and_a_text_in_quotes(value: Any) -> None:
    clean = without_surrogates(value)
    assert json.loads(filled(JSON, '{"a": {{ row.x | json }}, "b": 1}', x=value)) == {"a": clean, "b": 1}
    (text,) = json.loads(filled(JSON, '["{{ row.x | json }}"]', x=value))
    assert json.loads(text) == clean


@given(VALUES)
def test_no_value_makes_more_json_than_the_template_has(value: Any) -> None:
    try:
        made = json.loads(filled(JSON, '[[{{ row.x }}], "{{ row.x }}", 1]', x=value))
    except (RowRejectedError, ValueError):
        return
    assert len(made) == 3 and len(made[0]) <= 1 and isinstance(made[1], str) and made[2] == 1


def test_json_of_a_value_cannot_break_out_of_a_string() -> None:
    made = json.loads(filled(JSON, '{"x": "{{ row.x }}"}', x=[",", ":"]))
    assert made == {"x": '[",",":"]'}


def test_a_text_without_quotes_is_refused() -> None:
    for value in ("1,2", '"', "[1]", "a: b", "\\"):
        with pytest.raises(RowRejectedError, match="belongs into quotes"):
            filled(JSON, '{"ids": [{{ row.x }}]}', x=value)


def test_what_the_author_wrote_is_not_escaped() -> None:
    sources = {
        '["{{ row.x | replace: ",", \'", "\' }}"]': ["1", "2"],
        '["{{ row.x | regex_replace: ",", \'", "\' }}"]': ["1", "2"],
        '{% assign by = \'", "\' %}["{{ row.x | replace: ",", by }}"]': ["1", "2"],
        '{% capture all %}"{{ row.x }}", "b"{% endcapture %}[{{ all }}]': ["1,2", "b"],
        '{% capture a %} "{{ row.x }}" {% endcapture %}{% assign a = a | strip %}[{{ a }}{{ "," }}{{ a }}]': [
            "1,2",
            "1,2",
        ],
        '{% assign all = "a,b" %}{% assign parts = all | split: "," %}{{ parts | json }}': ["a", "b"],
        '{% assign all = "a,b" %}{% if all == "a,b" and all contains "," %}[1]{% endif %}': [1],
        '[{{ 1 | append: ", 3" }}]': [1, 3],
        '{% raw %}["{{", 1]{% endraw %}': ["{{", 1],
        '{% assign k = "a:b" %}["{{ row[k] }}"]': ["found"],
        '{% capture c %} a,b {% endcapture %}{% assign c = c | strip %}{% if c == "a,b" %}[2]{% endif %}': [
            2
        ],
        '{% assign p = "a:1,b" | append: "," | split: "," %}{% if p[0] == "a:1" %}[3]{% endif %}': [3],
        '{% assign s = "x, y" %}["{{ s | replace: ", ", "-" | remove: "x" }}"]': ["-y"],
        "[{% for i in (1..2) %}{{ i }}{% unless forloop.last %},{% endunless %}{% endfor %}]": [1, 2],
    }
    for source, expected in sources.items():
        assert json.loads(filled(JSON, source, x="1,2", **{"a:b": "found"})) == expected, source


def test_a_backslash_before_a_value_cannot_take_its_escape_away() -> None:
    with pytest.raises(RowRejectedError):
        filled(JSON, '{"x": "\\{{ row.x }}"}', x='", "admin": true, "y": "')
    assert json.loads(filled(JSON, '["\\\\{{ row.x }}"]', x="\\server")) == ["\\\\server"]


# -- XML, URLs and text ---------------------------------------------------------------------------


@given(VALUES)
def test_nothing_makes_xml_of_its_own(value: Any) -> None:
    source = '<p n="{{ row.x }}">{{ row.x | json }}{% echo row.x %}{% cycle row.x, "" %}</p>'
    made = ElementTree.fromstring(filled(XML, source, x=value))
    assert made.tag == "p" and list(made.attrib) == ["n"] and len(made) == 0


def test_json_in_xml_and_in_a_url_is_a_text_like_any_other() -> None:
    evil = {"</p><admin/>": "&x=1#"}
    assert filled(XML, "<p>{{ row.x }}</p>", x=evil) == (
        "<p>{&quot;&lt;/p&gt;&lt;admin/&gt;&quot;:&quot;&amp;x=1#&quot;}</p>"
    )
    for source in ("?o={{ row.x }}&b=1", "?o={{ row.x | json }}&b=1"):
        made = filled(URL, source, x=evil)
        assert made.count("&") == 1 and "#" not in made and json.loads(unquote(made[3:-4])) == evil
    assert filled(TEXT, "{{ row.x }}", x=["a"]) == '["a"]'


@given(NASTY)
def test_a_value_stays_within_its_part_of_a_url(value: str) -> None:
    try:
        made = filled(URL, "/a/{{ row.x }}/b?q={{ row.x }}&r=1", x=value)
    except RowRejectedError:
        return
    path, _, query = made.partition("?")
    clean = without_surrogates(value)
    assert [unquote(part) for part in path.split("/")] == ["", "a", clean, "b"]
    assert [unquote(part) for part in query.split("&")] == [f"q={clean}", "r=1"]


@pytest.mark.parametrize("value", ["", None, ".", "..", "../admin", "a/..", "..\\x", []])
def test_a_value_leads_to_no_other_path(value: Any) -> None:
    source = "/things/{{ row.x | join: '' }}" if value == [] else "/things/{{ row.x }}"
    sources = [source, source + "/rest?a=1", f"{{% capture p %}}{source}{{% endcapture %}}{{{{ p }}}}"]
    for each in sources:
        with pytest.raises(RowRejectedError, match="path"):
            filled(URL, each, x=value)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{% for tag in row.x %}{{ tag }}{% endfor %}", []),
        ("{% for tag in row.x %}{{ tag }}{% endfor %}", None),
        ("{% for tag in row.x %}{{ tag }}{% endfor %}", [""]),
        ("{% for tag in row.x %}{% if tag == 'b' %}{{ tag }}{% endif %}{% endfor %}", ["a"]),
        ("{% for tag in row.x %}{% cycle tag, 'b' %}{% endfor %}", [""]),
        ("{% cycle row.x, 'b' %}", ""),
        ("{% cycle row.x, 'b' %}", None),
    ],
)
def test_what_shows_nothing_is_an_empty_part_of_the_path(source: str, value: Any) -> None:
    for end in ("", "/c"):
        with pytest.raises(RowRejectedError, match="path"):
            filled(URL, f"/a/{source}{end}", x=value)
    assert filled(URL, f"/a?b={source}", x=value) == "/a?b="


def test_a_loop_may_say_what_stands_for_nothing() -> None:
    source = "/a/{% for tag in row.x %}{{ tag }}{% else %}none{% endfor %}"
    assert filled(URL, source, x=[]) == "/a/none" and filled(URL, source, x=["b"]) == "/a/b"
    assert filled(URL, "/a{% for tag in row.x %}{% else %}{% endfor %}", x=[]) == "/a"


def test_cycle_shows_values_as_others_are_shown() -> None:
    shown = [True, Decimal("1E+2"), 1.0, {"a": [None]}]
    both = [
        filled(JSON, source, x=value) for value in shown for source in ("{{ row.x }}", "{% cycle row.x %}")
    ]
    assert both[::2] == both[1::2]


def test_dots_that_are_only_a_part_of_a_name_and_empty_values_in_a_query_are_fine() -> None:
    assert filled(URL, "/{{ row.x }}?a={{ row.y }}", x="a..b.c", y=None) == "/a..b.c?a="
    assert filled(URL, "/{{ row.x }}?a={{ row.y }}", x="...", y="..") == "/...?a=.."
    template = Template("&a={{ row.x }}", URL, "url")
    assert template.render_url("https://h/f?code=1", row={"x": ""}) == "https://h/f?code=1&a="


# -- names ----------------------------------------------------------------------------------------

ONE_ROW = {
    "{{ id }} {{ row.id }} {{ row['name'] }} {{ context.sync_id }}": None,
    "{% assign x = id %}{{ x }}{% capture y %}{{ x }}{% endcapture %}{{ y }}{% increment z %}": None,
    "{% for row in row.tags %}{{ row.sku }}{{ forloop.last }}{% endfor %}": "row.tags",
    "{% for row in row.name %}{{ row.sku }}{{ forloop.last }}{% endfor %}": None,
    "{{ rows[0].id }}": "rows",
    "{{ nam }}": "nam",
    "{{ row.nam }}": "row.nam",
    "{{ context.sync }}": "context.sync",
    "{% if nam == 1 %}{% endif %}": "nam",
    "{{ id | append: nam }}": "nam",
}
BATCH = {
    "{% for row in rows %}{{ row.id }}{% endfor %}{{ context.operation }}": None,
    "{% for r in rows %}{{ r.id }}{% for i in r.name %}{{ i.sku }}{% endfor %}{% endfor %}": None,
    "{% assign row = rows[0] %}{{ row.id }}{{ rows.size }}": None,
    "{{ row.id }}": "row",
    "{{ id }}": "id",
    "{% for row in rows %}{{ id }}{% endfor %}": "id",
    "{% for row in rows %}{{ row.nam }}{% endfor %}": "row.nam",
    "{% for r in rows %}{{ r.nam }}{% endfor %}": "r.nam",
    "{% for row in rows %}{% endfor %}{{ row.id }}": "row",
}


@pytest.mark.parametrize(
    ("source", "single", "unknown"),
    [(source, True, unknown) for source, unknown in ONE_ROW.items()]
    + [(source, False, unknown) for source, unknown in BATCH.items()],
)
def test_a_template_names_only_what_there_is(source: str, single: bool, unknown: str | None) -> None:
    template = Template(source, JSON, "body")
    if unknown is None:
        template.check(["id", "name"], single=single)
        return
    with pytest.raises(ConfigError, match=f"body uses {unknown}[ ,]") as caught:
        template.check(["id", "name"], single=single)
    assert caught.value.code == "unknown-field" and caught.value.hint


# -- filters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value", "expected"),
    [
        ("times: 100", Decimal("12.34"), "1234.00"),
        ("plus: 0.1", Decimal("12345678901234567890.1234567890"), "12345678901234567890.2234567890"),
        ("plus: row.x", 0.1, "0.2"),
        ("minus: 1", "2.50", "1.50"),
        ("minus: 1", 2**70, str(2**70 - 1)),
        ("divided_by: 2", Decimal("5.0"), "2.5"),
        ("divided_by: 2", 5, "2"),
        ("modulo: 3", -7, "2"),
        ("modulo: 2", Decimal("5.5"), "1.5"),
        ("round", Decimal("2.5"), "3"),
        ("round: 2", Decimal("1.005"), "1.01"),
        ("round", 7, "7"),
        ("ceil", Decimal("1.2"), "2"),
        ("floor", "1.8", "1"),
        ("abs", Decimal("-1.20"), "1.20"),
        ("at_most: 2", Decimal("2.5"), "2"),
        ("at_least: 3", 2.5, "3"),
        ("plus: 1", None, "1"),
        ("times: 1", True, "1"),
        ("plus: '2'", "40", "42"),
        ("divided_by: '2'", "5", "2"),
        ("append: row.y | append: '|'", "a", "a|"),
        ("append: row.x", Decimal("1E+2"), "100100"),
        ("upcase", datetime(2024, 1, 2, tzinfo=timezone.utc), "2024-01-02T00:00:00Z"),
        ("join: ','", [Decimal("1E+2"), None, {"a": 1}, True], '100,,{"a":1},true'),
        ("cast: 'number'", "1e99999999", "1E+99999999"),
        ("cast: 'number'", "1e2", "100"),
    ],
)
def test_filters_are_exact_and_see_what_a_template_shows(expression: str, value: Any, expected: str) -> None:
    assert filled(TEXT, f"{{{{ row.x | {expression} }}}}", x=value, y=None) == expected


@pytest.mark.parametrize("expression", ["divided_by: 0", "times: 'x'", "modulo: 0", "round: 99999"])
def test_arithmetic_that_makes_no_sense_is_refused(expression: str) -> None:
    with pytest.raises(RowRejectedError):
        filled(TEXT, f"{{{{ row.x | {expression} }}}}", x=Decimal("1.5"))


@pytest.mark.parametrize("name", ["ceil", "floor", "round", "abs", "modulo: 3"])
def test_a_number_that_is_absurd_is_refused(name: str) -> None:
    """Before anything has a hundred million digits."""
    with pytest.raises(RowRejectedError, match="too large"):
        filled(TEXT, f"{{{{ row.x | {name} }}}}", x=Decimal("1e99999999"))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("2024-01-02 03:04:05.5+02:00", "2024-01-02T01:04:05.500000Z"),
        ("2024-01-02T03:04:05.123+0200", "2024-01-02T01:04:05.123000Z"),
        ("2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123456Z"),
        ("20240102T030405Z", "2024-01-02T03:04:05Z"),
        ("2024-01-02T03:04+02", "2024-01-02T01:04:00Z"),
        ("2024-W01-2", "2024-01-02T00:00:00Z"),
        ("2024-01-02", "2024-01-02T00:00:00Z"),
    ],
)
def test_moments_are_read_as_iso_8601_spells_them(text: str, moment: str) -> None:
    """On each version of Python."""
    assert filled(TEXT, "{{ row.x | to_date }}", x=text) == moment


@pytest.mark.parametrize("text", ["", "soon", "2024-13-01", "01/02/2024", "2024-01-02T25:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(RowRejectedError, match="no date or time"):
        filled(TEXT, "{{ row.x | to_unix }}", x=text)


# -- surrogates -----------------------------------------------------------------------------------


def test_lone_surrogates_are_no_characters_of_the_authors() -> None:
    evil = "\udc22, \udc22admin\udc22: \udc22"
    assert json.loads(filled(JSON, '{"x": "{{ row.x }}"}', x=evil)) == {"x": evil.replace("\udc22", "\ufffd")}
    assert without_surrogates({"a\ud800": ["\udfff", 1, None]}) == {"a\ufffd": ["\ufffd", 1, None]}


def test_parse_makes_no_marks() -> None:
    text = json.dumps({"a": "\udc22, \udc22"})
    assert json.loads(filled(JSON, '{% assign o = row.x | parse %}["{{ o.a }}"]', x=text)) == [
        "\ufffd, \ufffd"
    ]


@pytest.mark.parametrize("format", [JSON, XML, URL, TEXT], ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("date: '%Hh%M'", "13h45"),
        ("date: '%Y'", "2024"),
        ("url_encode | size", "23"),
        ("base64_encode", "MjAyNC0wMS0wMiAxMzo0NTo1OQ=="),
        ("md5", hashlib.md5(b"2024-01-02 13:45:59").hexdigest()),
        ("to_unix", "1704203159"),
        ("size", "19"),
        ("slice: 11, 2", "13"),
    ],
)
def test_filters_read_what_the_author_wrote_in_each_format(
    format: Format, expression: str, expected: str
) -> None:
    made = filled(format, f'{{% assign d = "2024-01-02 13:45:59" %}}"{{{{ d | {expression} }}}}"')
    assert unquote(made) == f'"{expected}"'


def test_an_authors_text_beside_a_named_argument_and_path_parameters() -> None:
    shown = Template('<x>{{ row.a | default: "<nil/>", allow_false: true }}</x>', XML, "body")
    assert shown.render(row={"a": None}) == "<x><nil/></x>"
    with pytest.raises(RowRejectedError):
        Template("/c/{{ row.a }};v=1", URL, "url").render_url("https://h", row={"a": ".."})
