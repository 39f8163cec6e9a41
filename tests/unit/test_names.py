"""Names of the tables that belong to a sync: short, distinct, recognized as its own and nobody else's."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ulid import ULID

from warehouse_cdc.engine.journal import next_run_id
from warehouse_cdc.plan.names import JOURNAL, LEASES, owned, slug, table_name

KINDS = ("plan", "staged", "rejections")
any_id = st.text(min_size=1, max_size=200) | st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True)


@pytest.mark.parametrize("plain", ["customers", "a", "customers_to_crm", "x1", "a" * 24])
def test_a_plain_id_is_its_own_slug(plain: str) -> None:
    assert slug(plain) == plain


@pytest.mark.parametrize(
    "other",
    [
        "Customers",
        "customers-to-crm",
        "1st",
        "a" * 25,
        "é",
        " ",
        "_x",
        "customers_0a1b2c3d",
        "a b",
        "",
        "x\n",
    ],
)
def test_any_other_id_gets_a_digest(other: str) -> None:
    assert slug(other) != other and len(slug(other)) <= 24
    assert slug(other)[:1].isalpha() and slug(other).replace("_", "a").isalnum()


@given(any_id)
def test_a_slug_is_a_short_identifier(sync_id: str) -> None:
    found = slug(sync_id)
    assert 1 <= len(found) <= 24
    assert found[0].isalpha() and set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert all(len(table_name(sync_id, str(ULID()), kind)) <= 63 for kind in KINDS), "PostgreSQL's limit"


@given(any_id, any_id)
def test_different_ids_have_different_slugs(one: str, other: str) -> None:
    assume(one != other)
    assert slug(one) != slug(other)


@given(any_id, any_id)
def test_a_sync_owns_its_tables_and_no_others(one: str, other: str) -> None:
    assume(one != other)
    mine = {table_name(one, str(ULID()), kind) for kind in KINDS}
    others = {table_name(other, str(ULID()), kind) for kind in KINDS}
    assert owned(one, mine | others | {JOURNAL, LEASES}) == mine


@pytest.mark.parametrize(
    "name",
    [
        "people",
        "people_plan",
        "people_01HZZZZZZZZZZZZZZZZZZZZZZZ_plan",
        "people_01hzzzzzzzzzzzzzzzzzzzzzz_plan",
        "people_01hzzzzzzzzzzzzzzzzzzzzzzz_plans",
        "people_01hzzzzzzzzzzzzzzzzzzzzzzi_plan",
        "people_91hzzzzzzzzzzzzzzzzzzzzzzz_plan",
        "xpeople_01hzzzzzzzzzzzzzzzzzzzzzzz_plan",
        "people_x_01hzzzzzzzzzzzzzzzzzzzzzzz_plan",
        "people_01hzzzzzzzzzzzzzzzzzzzzzzz_backup",
        "people_01hzzzzzzzzzzzzzzzzzzzzzzz_plan_old",
    ],
)
def test_lookalikes_are_nobodys(name: str) -> None:
    assert owned("people", {name}) == set()


def test_a_sync_whose_id_looks_like_a_slug_of_another() -> None:
    hashed = slug("customers-to-crm")
    assert slug(hashed) != hashed, "an id that looks hashed is hashed again"


def test_d19_run_ids_increase() -> None:
    last: str | None = None
    for _repeat in range(100):
        fresh = next_run_id(last)
        assert last is None or fresh > last
        last = fresh
    ahead = str(ULID.from_int(int(ULID.from_str(last or "")) + 3_600_000 * 2**80))
    assert next_run_id(ahead) == str(ULID.from_int(int(ULID.from_str(ahead)) + 1)), "the clock stepped back"
