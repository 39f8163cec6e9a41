-- setup_1
CREATE DATABASE IF NOT EXISTS `hightouch_audit`;

-- setup_2
CREATE DATABASE IF NOT EXISTS `hightouch_planner`;

-- reset
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan" WITH (
  table_type = 'ICEBERG', is_external = false, format = 'PARQUET', location = 's3://bucket/prefix/hightouch_planner/people_00000000000000000000000002_plan/'
) AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    CAST("id" AS BIGINT) AS v_1,
    "active" AS v_2,
    "born" AS v_3,
    CAST("email" AS VARCHAR) AS v_4,
    json_format("extra") AS v_5,
    "ltv" AS v_6,
    CAST("region" AS VARCHAR) AS v_7,
    "score" AS v_8,
    CAST("seen" AS TIMESTAMP(6)) AS v_9,
    CAST("token" AS VARCHAR) AS v_10,
    CAST(("visited" AT TIME ZONE 'UTC') AS TIMESTAMP (6)) AS v_11
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, from_big_endian_64(xxhash64(to_utf8(concat(coalesce(CAST(v_1 AS VARCHAR), '') || ',', coalesce(CAST(v_2 AS VARCHAR), '') || ',', coalesce(CAST(v_3 AS VARCHAR), '') || ',', coalesce(CAST(length(v_4) AS VARCHAR) || ':' || v_4, ','), coalesce(CAST(length(v_5) AS VARCHAR) || ':' || v_5, ','), coalesce(trim(TRAILING '.' FROM trim(TRAILING '0' FROM CAST(v_6 AS VARCHAR))), '') || ',', coalesce(CAST(length(v_7) AS VARCHAR) || ':' || v_7, ','), coalesce(CAST((v_8 + CAST(0 AS DOUBLE)) AS VARCHAR), '') || ',', coalesce(CAST(v_9 AS VARCHAR), '') || ',', coalesce(CAST(length(v_10) AS VARCHAR) || ':' || v_10, ','), coalesce(CAST(v_11 AS VARCHAR), '') || ',')))) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id AS row_id,
    m.v_1 AS v_1,
    m.v_2 AS v_2,
    m.v_3 AS v_3,
    m.v_4 AS v_4,
    m.v_5 AS v_5,
    m.v_6 AS v_6,
    m.v_7 AS v_7,
    m.v_8 AS v_8,
    m.v_9 AS v_9,
    m.v_10 AS v_10,
    m.v_11 AS v_11,
    m.hash,
    CASE
      WHEN m.in_model AND m.row_id IS NULL THEN 'null_key'
      ELSE 'unchanged'
    END AS op
  FROM wcdc_current m
)
SELECT
  row_id,
  op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(bitwise_and(from_big_endian_64(xxhash64(to_utf8(row_id))), 16383) AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2,
  v_3,
  v_4,
  v_5,
  v_6,
  v_7,
  v_8,
  v_9,
  v_10,
  v_11
FROM wcdc_joined;

-- drop_plan
DROP TABLE `hightouch_planner`.`people_00000000000000000000000002_plan`;

-- create_copy
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_adopted" WITH (
  table_type = 'ICEBERG', is_external = false, format = 'PARQUET', location = 's3://bucket/prefix/hightouch_planner/people_00000000000000000000000002_adopted/'
) AS
SELECT
  CAST(NULL AS VARCHAR) AS c_1,
  CAST(NULL AS VARCHAR) AS c_2,
  CAST(NULL AS VARCHAR) AS c_3,
  CAST(NULL AS VARCHAR) AS c_4,
  CAST(NULL AS VARCHAR) AS c_5,
  CAST(NULL AS VARCHAR) AS c_6,
  CAST(NULL AS VARCHAR) AS c_7,
  CAST(NULL AS VARCHAR) AS c_8,
  CAST(NULL AS VARCHAR) AS c_9,
  CAST(NULL AS VARCHAR) AS c_10,
  CAST(NULL AS VARCHAR) AS c_11,
  CAST(NULL AS INTEGER) AS due
WHERE FALSE;

-- held
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_plan" WITH (
  table_type = 'ICEBERG', is_external = false, format = 'PARQUET', location = 's3://bucket/prefix/hightouch_planner/people_00000000000000000000000002_plan/'
) AS
WITH wcdc_stored AS (
  SELECT
    CAST(c_1 AS BIGINT) AS v_1,
    CAST(c_2 AS BOOLEAN) AS v_2,
    CAST(c_3 AS DATE) AS v_3,
    CAST(c_4 AS VARCHAR) AS v_4,
    CAST(c_5 AS VARCHAR) AS v_5,
    CAST(c_6 AS DECIMAL(12, 2)) AS v_6,
    CAST(c_7 AS VARCHAR) AS v_7,
    CAST(c_8 AS DOUBLE) AS v_8,
    CAST(replace(replace(c_9, 'T', ' '), 'Z', '') AS TIMESTAMP(6)) AS v_9,
    CAST(c_10 AS VARCHAR) AS v_10,
    CAST(replace(replace(c_11, 'T', ' '), 'Z', '+00:00') AS TIMESTAMP (6)) AS v_11,
    due
  FROM "hightouch_planner"."people_00000000000000000000000002_adopted"
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, from_big_endian_64(xxhash64(to_utf8(concat(coalesce(CAST(v_1 AS VARCHAR), '') || ',', coalesce(CAST(v_2 AS VARCHAR), '') || ',', coalesce(CAST(v_3 AS VARCHAR), '') || ',', coalesce(CAST(length(v_4) AS VARCHAR) || ':' || v_4, ','), coalesce(CAST(length(v_5) AS VARCHAR) || ':' || v_5, ','), coalesce(trim(TRAILING '.' FROM trim(TRAILING '0' FROM CAST(v_6 AS VARCHAR))), '') || ',', coalesce(CAST(length(v_7) AS VARCHAR) || ':' || v_7, ','), coalesce(CAST((v_8 + CAST(0 AS DOUBLE)) AS VARCHAR), '') || ',', coalesce(CAST(v_9 AS VARCHAR), '') || ',', coalesce(CAST(length(v_10) AS VARCHAR) || ':' || v_10, ','), coalesce(CAST(v_11 AS VARCHAR), '') || ',')))) AS hash
  FROM wcdc_stored x
)
SELECT
  row_id,
  CASE WHEN row_id IS NULL THEN 'null_key' WHEN due = 0 THEN 'unchanged' WHEN due = 1 THEN 'changed' ELSE 'removed' END AS op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(bitwise_and(from_big_endian_64(xxhash64(to_utf8(row_id))), 16383) AS INTEGER) AS bucket,
  hash,
  v_1,
  CASE WHEN due > 0 THEN v_1 END AS p_1,
  v_2,
  CASE WHEN due > 0 THEN v_2 END AS p_2,
  v_3,
  CASE WHEN due > 0 THEN v_3 END AS p_3,
  v_4,
  CASE WHEN due > 0 THEN v_4 END AS p_4,
  v_5,
  CASE WHEN due > 0 THEN v_5 END AS p_5,
  v_6,
  CASE WHEN due > 0 THEN v_6 END AS p_6,
  v_7,
  CASE WHEN due > 0 THEN v_7 END AS p_7,
  v_8,
  CASE WHEN due > 0 THEN v_8 END AS p_8,
  v_9,
  CASE WHEN due > 0 THEN v_9 END AS p_9,
  v_10,
  CASE WHEN due > 0 THEN v_10 END AS p_10,
  v_11,
  CASE WHEN due > 0 THEN v_11 END AS p_11,
  CASE WHEN due > 0 THEN CAST('stale' AS VARCHAR) END AS was,
  due = 2 AS pending,
  CASE WHEN due > 0 THEN hash END AS was_hash,
  CASE WHEN due > 0 THEN CAST('' AS VARCHAR) END AS was_version,
  TRUE AS confirmed,
  CAST(NULL AS BIGINT) AS base_hash,
  CAST(NULL AS VARCHAR) AS key_run,
  CAST(NULL AS VARCHAR) AS try_run,
  CAST(NULL AS VARCHAR) AS try_of,
  CAST(NULL AS INTEGER) AS tries,
  CAST(NULL AS TIMESTAMP (6)) AS failed_since
FROM wcdc_current;

-- drop_copy
DROP TABLE `hightouch_planner`.`people_00000000000000000000000002_adopted`;

-- claim
CREATE TABLE "hightouch_planner"."people_000000000002_claim" WITH (
  table_type = 'ICEBERG', is_external = false, format = 'PARQUET', location = 's3://bucket/prefix/hightouch_planner/people_000000000002_claim/'
) AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(0 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('claimed' AS VARCHAR) AS event, CAST(CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)) AS TIMESTAMP (6)) AS recorded_at, CAST('{"owner": "me", "seconds": 60.0, "sync": "people"}' AS VARCHAR) AS data;

-- beat_first
CREATE TABLE "hightouch_planner"."people_000000000002_beats" WITH (
  table_type = 'ICEBERG', is_external = false, format = 'PARQUET', location = 's3://bucket/prefix/hightouch_planner/people_000000000002_beats/'
) AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('beat' AS VARCHAR) AS event, CAST(CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)) AS TIMESTAMP (6)) AS recorded_at, CAST('{}' AS VARCHAR) AS data;

-- beat
INSERT INTO "hightouch_planner"."people_000000000002_beats" (generation, entry, run_id, event, recorded_at, data) SELECT CAST(2 AS BIGINT) AS generation, CAST(2 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('beat' AS VARCHAR) AS event, CAST(CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)) AS TIMESTAMP (6)) AS recorded_at, CAST('{}' AS VARCHAR) AS data;

-- end_other
CREATE TABLE "hightouch_planner"."people_000000000001_end" WITH (
  table_type = 'ICEBERG', is_external = false, format = 'PARQUET', location = 's3://bucket/prefix/hightouch_planner/people_000000000001_end/'
) AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR) AS run_id, CAST('delivered' AS VARCHAR) AS event, CAST(CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)) AS TIMESTAMP (6)) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR) AS data;

-- done_other
CREATE TABLE "hightouch_planner"."people_000000000001_done" WITH (
  table_type = 'ICEBERG', is_external = false, format = 'PARQUET', location = 's3://bucket/prefix/hightouch_planner/people_000000000001_done/'
) AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000001 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR) AS run_id, CAST('planned' AS VARCHAR) AS event, CAST(CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)) AS TIMESTAMP (6)) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARCHAR", "kind": "json"}, "previous": {"name": "VARCHAR", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE", "kind": "float"}, "previous": {"name": "DOUBLE", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP(6)", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP(6)", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMP (6)", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP (6)", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "89aa1f8dfb2fb925", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS VARCHAR) AS data UNION ALL SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000002 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR) AS run_id, CAST('committed' AS VARCHAR) AS event, CAST(CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)) AS TIMESTAMP (6)) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR) AS data;

-- plan_entry
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_rejections" WITH (
  table_type = 'ICEBERG', is_external = false, format = 'PARQUET', location = 's3://bucket/prefix/hightouch_planner/people_00000000000000000000000002_rejections/'
) AS
SELECT CAST(NULL AS VARCHAR) AS row_id, CAST(NULL AS VARCHAR) AS op, CAST(NULL AS INTEGER) AS chunk, CAST(NULL AS VARCHAR) AS outcome, CAST(NULL AS VARCHAR) AS reason, CAST(NULL AS BOOLEAN) AS permanent, CAST(NULL AS INTEGER) AS attempts, CAST(NULL AS TIMESTAMP (6)) AS first_failed_at, CAST(NULL AS TIMESTAMP (6)) AS last_failed_at, generation, entry, run_id, event, recorded_at, data FROM (
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('planned' AS VARCHAR) AS event, CAST(CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)) AS TIMESTAMP (6)) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARCHAR", "kind": "json"}, "previous": {"name": "VARCHAR", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE", "kind": "float"}, "previous": {"name": "DOUBLE", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP(6)", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP(6)", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMP (6)", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP (6)", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "89aa1f8dfb2fb925", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS VARCHAR) AS data
) wcdc_entry;

-- end
CREATE TABLE "hightouch_planner"."people_000000000002_end" WITH (
  table_type = 'ICEBERG', is_external = false, format = 'PARQUET', location = 's3://bucket/prefix/hightouch_planner/people_000000000002_end/'
) AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1999999999 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('planned' AS VARCHAR) AS event, CAST(CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)) AS TIMESTAMP (6)) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "VARCHAR", "kind": "json"}, "previous": {"name": "VARCHAR", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE", "kind": "float"}, "previous": {"name": "DOUBLE", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP(6)", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP(6)", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMP (6)", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP (6)", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "89aa1f8dfb2fb925", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS VARCHAR) AS data UNION ALL SELECT CAST(2 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('committed' AS VARCHAR) AS event, CAST(CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)) AS TIMESTAMP (6)) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it''s \"over\"\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR) AS data;

-- look
SELECT generation, entry, run_id, event, recorded_at, data FROM "hightouch_planner"."people_000000000002_claim" WHERE event IS NOT NULL UNION ALL SELECT generation, entry, run_id, event, recorded_at, data FROM "hightouch_planner"."people_000000000002_beats" WHERE event IS NOT NULL;

-- left
SELECT entry, event, (CAST(date_diff('millisecond', recorded_at, CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6))) AS DOUBLE) / 1e3) AS age, data FROM "hightouch_planner"."people_000000000002_claim" UNION ALL SELECT entry, event, (CAST(date_diff('millisecond', recorded_at, CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6))) AS DOUBLE) / 1e3) AS age, data FROM "hightouch_planner"."people_000000000002_beats";

-- changelog_again
INSERT INTO "hightouch_audit"."sync_changelog" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT 'people', '00000000000000000000000002', op_type, row_id, status, failure_reason, fields
FROM (
SELECT
  row_id,
  outcome,
  op,
  CASE
    WHEN copies > 1 THEN CASE WHEN coalesce(was, 'absent') = 'absent' THEN 'added' ELSE 'changed' END
    WHEN op = 'kept' THEN 'unchanged'
    ELSE op
  END AS op_type,
  CASE
    WHEN copies > 1 THEN 'failed'
    WHEN outcome IN ('failed', 'unknown') THEN 'failed'
    WHEN outcome = 'aborted' THEN 'aborted'
    ELSE 'succeeded'
  END AS status,
  CASE
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent: it''s "over"\
'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN concat('{', '"id":', coalesce(CAST(p_1 AS VARCHAR), 'null'), ',"active":', coalesce(CAST(p_2 AS VARCHAR), 'null'), ',"born":', coalesce('"' || CAST(p_3 AS VARCHAR) || '"', 'null'), ',"email":', coalesce(json_format(CAST(p_4 AS JSON)), 'null'), ',"extra":', coalesce(p_5, 'null'), ',"ltv":', coalesce(CAST(p_6 AS VARCHAR), 'null'), ',"region":', coalesce(json_format(CAST(p_7 AS JSON)), 'null'), ',"score":', coalesce(json_format(CAST(p_8 AS JSON)), 'null'), ',"seen":', coalesce('"' || replace(CAST(CAST(p_9 AS TIMESTAMP(6)) AS VARCHAR), ' ', 'T') || 'Z' || '"', 'null'), ',"token":', coalesce(json_format(CAST(p_10 AS JSON)), 'null'), ',"visited":', coalesce('"' || replace(CAST(CAST(p_11 AS TIMESTAMP(6)) AS VARCHAR), ' ', 'T') || 'Z' || '"', 'null'), '}') ELSE concat('{', '"id":', coalesce(CAST(v_1 AS VARCHAR), 'null'), ',"active":', coalesce(CAST(v_2 AS VARCHAR), 'null'), ',"born":', coalesce('"' || CAST(v_3 AS VARCHAR) || '"', 'null'), ',"email":', coalesce(json_format(CAST(v_4 AS JSON)), 'null'), ',"extra":', coalesce(v_5, 'null'), ',"ltv":', coalesce(CAST(v_6 AS VARCHAR), 'null'), ',"region":', coalesce(json_format(CAST(v_7 AS JSON)), 'null'), ',"score":', coalesce(json_format(CAST(v_8 AS JSON)), 'null'), ',"seen":', coalesce('"' || replace(CAST(CAST(v_9 AS TIMESTAMP(6)) AS VARCHAR), ' ', 'T') || 'Z' || '"', 'null'), ',"token":', coalesce(json_format(CAST(v_10 AS JSON)), 'null'), ',"visited":', coalesce('"' || replace(CAST(CAST(v_11 AS TIMESTAMP(6)) AS VARCHAR), ' ', 'T') || 'Z' || '"', 'null'), '}') END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' AND p.bucket >= 0 AND p.bucket <= 16383 THEN 'unknown'
    ELSE 'aborted'
  END AS outcome
FROM "hightouch_planner"."people_00000000000000000000000002_plan" p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000002_rejections" WHERE (chunk >= 0 AND chunk < 1)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_changelog" t WHERE t.sync_id = 'people' AND t.sync_run_id = '00000000000000000000000002');

-- sync_run
INSERT INTO "hightouch_audit"."sync_runs" (sync_id, sync_run_id, primary_key, destination, model_name, model_id, status, error, started_at, finished_at, num_planned_add, num_planned_change, num_planned_remove, num_attempted_add, num_attempted_change, num_attempted_remove, num_succeeded_add, num_succeeded_change, num_succeeded_remove, num_failed_add, num_failed_change, num_failed_remove) SELECT 'people', '00000000000000000000000002', 'id', 'crm', 'it''s', 'people', 'failed', CAST('it''s "over"\
' AS VARCHAR), CAST('1970-01-01 00:00:00' AS TIMESTAMP (6)), CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6)), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM (SELECT 1 AS one) wcdc_one WHERE NOT EXISTS (SELECT 1 FROM "hightouch_audit"."sync_runs" WHERE sync_id = 'people' AND sync_run_id = '00000000000000000000000002');
