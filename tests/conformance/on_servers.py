"""Engines on servers that take their time, and the conformance tests that they run.

Each of their statements takes a tenth of a second or more, so that a part of the tests has to do: one at
least for each thing that the SQL or the ledger of tables could get wrong.
"""

from __future__ import annotations

from tests.conformance import (
    athena_engine,
    bigquery_engine,
    databricks_engine,
    snowflake_engine,
    spark_engine,
    spark_iceberg_engine,
    trino_engine,
    tsql_engine,
)

ON_SERVERS = {
    "athena": athena_engine,
    "bigquery": bigquery_engine,
    "databricks": databricks_engine,
    "snowflake": snowflake_engine,
    "spark": spark_engine,
    "spark_iceberg": spark_iceberg_engine,
    "trino": trino_engine,
    "tsql": tsql_engine,
}
"""Engine to the module that has it: ``opened(url)``, a context manager that yields it with empty schemas, and
``GAPS``, a mapping of the tests that fail on it to the reason; and perhaps ``LEFT_OUT``, tests that take too
long there unless ``WCDC_TEST_<ENGINE>=all``, and ``HISTORY`` (``test_same_answers``)."""

SPELLED = frozenset({"athena", "bigquery", "databricks", "snowflake", "spark", "trino", "tsql"})
"""Engines whose spelling of the equality matrix's values is known (``spelling``), also for what is moved; the
others have tests of their own types by value and by hash."""

TESTS: dict[str, frozenset[str]] = {
    "test_promises": frozenset(
        {
            "test_a_run_without_a_change_sends_nothing",
            "test_only_what_changed_is_sent",
            "test_a_plan_of_several_parts_and_statements_is_read_as_one",
            "test_d2_rows_with_a_null_key_are_ignored_and_counted",
            "test_d3_all_copies_of_a_duplicate_key_are_rejected_and_its_state_stays",
            "test_d3_a_removed_row_keeps_the_values_that_were_delivered",
            "test_d3_keep_one_keeps_the_first_copy_in_canonical_order",
            "test_d1_composite_keys_keep_their_parts_apart",
            "test_d7_editing_a_mapping_makes_every_delivered_row_changed",
            "test_d8_other_key_columns_are_refused_until_a_resync_or_a_reset",
            "test_d10_an_addition_of_unknown_outcome_is_added_again_under_its_key",
            "test_d11_a_failed_removal_is_retried_and_a_row_that_comes_back_is_changed",
            "test_d13_a_mode_without_cdc_discards_the_state",
            "test_d15_a_full_resync_sends_every_row_and_forgets_the_rest",
            "test_d15_a_reset_takes_the_model_as_delivered",
            "test_d16_max_removed_stops_the_run_before_anything_is_sent",
            "test_history_and_rejections_read_back",
        }
    ),
    "test_policies": frozenset({"test_a_quarantined_row_that_changes_is_sent_again"}),
    "test_models": frozenset({"test_models_of_every_shape"}),
    "test_same_answers": frozenset({"test_one_history_gives_the_same_answers"}),
    "test_equality_matrix": frozenset(
        {
            "test_d5_the_matrix_has_one_outcome",
            "test_what_an_engine_does_not_have_it_does_not_have",
            "test_d1_the_canonical_text_of_keys",
            "test_d5_text_keys_are_told_apart_byte_for_byte",
        }
    ),
    "test_moving_to_servers": frozenset({"test_what_is_moved_is_not_sent_and_what_is_due_is"}),
    "test_audit": frozenset(
        {
            "test_what_a_run_says_of_itself",
            "test_d22_and_d23_over_every_kind_of_outcome",
            "test_d24_a_removed_row_shows_what_was_last_delivered",
            "test_d25_the_snapshot_shows_the_model_and_pending_removals",
            "test_d25_only_rows_whose_content_differs_are_rewritten",
            "test_d26_modes_without_cdc_log_planned_adds_and_no_changelog",
            "test_d27_retention_prunes_this_syncs_old_rows_and_nothing_else",
        }
    ),
    "test_deltas": frozenset(
        {
            "test_a_run_without_a_change_writes_no_table",
            "test_a_plan_holds_what_differs_from_the_last_full_one",
            "test_rows_that_go_back_to_what_the_full_plan_holds_are_changes",
            "test_the_documented_number_of_statements",
            "test_repeated_keys_are_noticed_whatever_the_plan_before_holds",
        }
    ),
}
"""Module to the tests that run on servers too."""
