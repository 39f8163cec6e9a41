"""Athena's stand-in as the conformance tests see it: they look at the server behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from tests.conformance.helpers import AUDIT, PLANNER
from tests.conformance.trino_engine import MODELS, TrinoEngine
from tests.engines.athena import Athena, behind
from warehouse_cdc.dialects import get_dialect

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""

LEFT_OUT = frozenset(
    {
        "test_a_quarantined_row_that_changes_is_sent_again",
        "test_what_is_moved_is_not_sent_and_what_is_due_is",
        "test_a_plan_holds_what_differs_from_the_last_full_one",
        "test_a_run_without_a_change_sends_nothing",
        "test_a_run_without_a_change_writes_no_table",
        "test_d1_composite_keys_keep_their_parts_apart",
        "test_d1_the_canonical_text_of_keys",
        "test_d10_an_addition_of_unknown_outcome_is_added_again_under_its_key",
        "test_d11_a_failed_removal_is_retried_and_a_row_that_comes_back_is_changed",
        "test_d13_a_mode_without_cdc_discards_the_state",
        "test_d15_a_full_resync_sends_every_row_and_forgets_the_rest",
        "test_d15_a_reset_takes_the_model_as_delivered",
        "test_d16_max_removed_stops_the_run_before_anything_is_sent",
        "test_d2_rows_with_a_null_key_are_ignored_and_counted",
        "test_d22_and_d23_over_every_kind_of_outcome",
        "test_d24_a_removed_row_shows_what_was_last_delivered",
        "test_d25_only_rows_whose_content_differs_are_rewritten",
        "test_d25_the_snapshot_shows_the_model_and_pending_removals",
        "test_d26_modes_without_cdc_log_planned_adds_and_no_changelog",
        "test_d27_retention_prunes_this_syncs_old_rows_and_nothing_else",
        "test_d3_a_removed_row_keeps_the_values_that_were_delivered",
        "test_d3_all_copies_of_a_duplicate_key_are_rejected_and_its_state_stays",
        "test_d3_keep_one_keeps_the_first_copy_in_canonical_order",
        "test_d5_text_keys_are_told_apart_byte_for_byte",
        "test_d7_editing_a_mapping_makes_every_delivered_row_changed",
        "test_d8_other_key_columns_are_refused_until_a_resync_or_a_reset",
        "test_history_and_rejections_read_back",
        "test_models_of_every_shape",
        "test_one_history_gives_the_same_answers",
        "test_only_what_changed_is_sent",
        "test_repeated_keys_are_noticed_whatever_the_plan_before_holds",
        "test_rows_that_go_back_to_what_the_full_plan_holds_are_changes",
        "test_what_a_run_says_of_itself",
    }
)
"""Tests that run only with ``WCDC_TEST_ATHENA=all``: their SQL is Trino's, which runs them."""


class AthenaEngine(TrinoEngine):
    """The stand-in with fresh schemas.

    Attributes:
        behind: What it remembers.
    """

    def __init__(self, server: str) -> None:
        self.behind: Athena = behind(server)
        super().__init__(self.behind.trino_url)
        self.name, self.url, self.dialect = "athena", server, get_dialect("athena")

    def audit(self, name: str, order: str = "sync_run_id, row_id") -> list[dict[str, Any]]:
        """Its tables hold no zones: times are UTC."""
        return [
            {
                column: value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) else value
                for column, value in row.items()
            }
            for row in super().audit(name, order)
        ]


@contextlib.contextmanager
def opened(server: str) -> Iterator[AthenaEngine]:
    """With empty schemas."""
    engine = AthenaEngine(server)
    try:
        for schema in (MODELS, PLANNER, AUDIT):
            engine.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        engine.execute(f"CREATE SCHEMA {MODELS}", *get_dialect("trino").setup(PLANNER, AUDIT, None))
        engine.behind.empty()
        yield engine
    finally:
        engine.close()
