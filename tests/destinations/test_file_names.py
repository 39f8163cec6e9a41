from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.destinations.support import RUN, make_context
from warehouse_cdc.destinations.file_names import NameTemplate, safe
from warehouse_cdc.errors import ConfigError

SCHEMA = pa.schema([("id", pa.int64())])
TEXT = st.text(st.characters(codec=None), max_size=200)


def test_every_placeholder() -> None:
    template = NameTemplate(
        "{model.id}/{model.name}/{sync.id}_{sync.run.id}_{operation}_{YYYY}{YY}{MM}{DD}{HH}{mm}{ss}{ms}-{X}-{x}.csv"
    )
    path = str(template.path(make_context(SCHEMA, model_name="Big Customers", mode="diff"), "changed"))
    assert path == (
        f"customers-model/Big%20Customers/customers_{RUN}_changed_20242403070905060"
        "78-1709802306-1709802306078.csv"
    )


def test_times_are_utc_whatever_the_zone() -> None:
    moment = datetime(2024, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    path = NameTemplate("{YYYY}-{MM}-{DD}T{HH}{mm}").path(make_context(SCHEMA, started_at=moment), "added")
    assert str(path) == "2023-12-31T2030"


@pytest.mark.parametrize(
    "text",
    [
        "{nope}",
        "{sync.Id}",
        "{}",
        "a{b",
        "a}b",
        "",
        "/abs",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        ".hidden",
        "a/./b",
    ]
    + ["a\\b", "c:d", "a\0b", "{{x}}"],
)
def test_names_that_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        NameTemplate(text)
    assert caught.value.code == "file-name" and caught.value.hint


@pytest.mark.parametrize(
    ("text", "unique"),
    [
        ("{sync.run.id}", True),
        ("{x}", True),
        ("{X}.{ms}", True),
        ("{X}", False),
        ("{YYYY}{MM}{DD}{HH}{mm}{ss}{ms}", True),
        ("{YYYY}{MM}{DD}{HH}{mm}{ss}", False),
        ("{sync.id}{operation}", False),
    ],
)
def test_unique_per_run(text: str, unique: bool) -> None:
    template = NameTemplate(text)
    assert template.unique_per_run is unique
    template.check(make_context(SCHEMA, mode="all"))
    for mode in ("insert", "snapshot"):
        if unique:
            template.check(make_context(SCHEMA, mode=mode))
        else:
            with pytest.raises(ConfigError):
                template.check(make_context(SCHEMA, mode=mode))


def test_diff_needs_the_operation() -> None:
    NameTemplate("{x}-{operation}").check(make_context(SCHEMA, mode="diff"))
    with pytest.raises(ConfigError, match="operation"):
        NameTemplate("{x}").check(make_context(SCHEMA, mode="diff"))


@given(TEXT)
def test_safe_values_stay_in_their_folder(value: str) -> None:
    name = safe(value)
    assert name.isascii() and len(name) <= 80 and not name.startswith(".")
    assert not set(name) & set('/\\:*?"<>|\0\n ')


@given(TEXT, TEXT)
def test_safe_values_are_injective(one: str, other: str) -> None:
    assert (safe(one) == safe(other)) == (one == other)


def test_a_value_that_looks_like_a_shortened_one() -> None:
    long = "a" * 500
    assert len(safe(long)) == 80
    assert safe(safe(long)) != safe(long)
    assert safe(long) != safe("a" * 501)
