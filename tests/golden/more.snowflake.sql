-- setup_1
CREATE SCHEMA IF NOT EXISTS "HIGHTOUCH_AUDIT";

-- setup_2
CREATE SCHEMA IF NOT EXISTS "HIGHTOUCH_PLANNER";

-- setup_3
GRANT OWNERSHIP ON SCHEMA "HIGHTOUCH_AUDIT" TO ROLE "it's" COPY CURRENT GRANTS;

-- setup_4
GRANT OWNERSHIP ON SCHEMA "HIGHTOUCH_PLANNER" TO ROLE "it's" COPY CURRENT GRANTS;

-- reset
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "ID" AS v_1,
    "ACTIVE" AS v_2,
    "BORN" AS v_3,
    COLLATE("EMAIL", '') AS v_4,
    TO_JSON(TO_VARIANT("EXTRA")) AS v_5,
    "LTV" AS v_6,
    COLLATE("REGION", '') AS v_7,
    "SCORE" AS v_8,
    "SEEN" AS v_9,
    COLLATE("TOKEN", '') AS v_10,
    CAST("VISITED" AS TIMESTAMP_LTZ(9)) AS v_11
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(v_2 AS VARCHAR), '') || ',', COALESCE(TO_VARCHAR(v_3, 'YYYY-MM-DD'), '') || ',', COALESCE(CAST(LENGTH(v_4) AS VARCHAR) || ':' || v_4, ','), COALESCE(CAST(LENGTH(v_5) AS VARCHAR) || ':' || v_5, ','), COALESCE(CAST(v_6 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_7) AS VARCHAR) || ':' || v_7, ','), COALESCE(CAST((v_8 + 0) AS VARCHAR) || ';' || COALESCE(CAST((v_8 + 0) - TRY_CAST(CAST((v_8 + 0) AS VARCHAR) AS FLOAT) AS VARCHAR), ''), '') || ',', COALESCE(TO_VARCHAR(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), '') || ',', COALESCE(CAST(LENGTH(v_10) AS VARCHAR) || ':' || v_10, ','), COALESCE(TO_VARCHAR(CONVERT_TIMEZONE('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), '') || ',')) - 9223372036854775808) AS hash, TRUE AS in_model
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
  CAST(MOD(MD5_NUMBER_LOWER64(row_id), 16384) AS INTEGER) AS bucket,
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
DROP TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN";

-- create_copy
CREATE TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_ADOPTED" (
  c_1 VARCHAR,
  c_2 VARCHAR,
  c_3 VARCHAR,
  c_4 VARCHAR,
  c_5 VARCHAR,
  c_6 VARCHAR,
  c_7 VARCHAR,
  c_8 VARCHAR,
  c_9 VARCHAR,
  c_10 VARCHAR,
  c_11 VARCHAR,
  due INTEGER
);

-- held
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" AS
WITH wcdc_stored AS (
  SELECT
    CAST(c_1 AS NUMBER(38, 0)) AS v_1,
    CAST(c_2 AS BOOLEAN) AS v_2,
    CAST(c_3 AS DATE) AS v_3,
    CAST(c_4 AS VARCHAR) AS v_4,
    CAST(c_5 AS VARCHAR) AS v_5,
    CAST(c_6 AS NUMBER(12, 2)) AS v_6,
    CAST(c_7 AS VARCHAR) AS v_7,
    CAST(c_8 AS FLOAT) AS v_8,
    CAST(replace(replace(c_9, 'T', ' '), 'Z', '') AS TIMESTAMP_NTZ(9)) AS v_9,
    CAST(c_10 AS VARCHAR) AS v_10,
    CAST(replace(replace(c_11, 'T', ' '), 'Z', '+00:00') AS TIMESTAMP_LTZ(9)) AS v_11,
    due
  FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_ADOPTED"
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(v_2 AS VARCHAR), '') || ',', COALESCE(TO_VARCHAR(v_3, 'YYYY-MM-DD'), '') || ',', COALESCE(CAST(LENGTH(v_4) AS VARCHAR) || ':' || v_4, ','), COALESCE(CAST(LENGTH(v_5) AS VARCHAR) || ':' || v_5, ','), COALESCE(CAST(v_6 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_7) AS VARCHAR) || ':' || v_7, ','), COALESCE(CAST((v_8 + 0) AS VARCHAR) || ';' || COALESCE(CAST((v_8 + 0) - TRY_CAST(CAST((v_8 + 0) AS VARCHAR) AS FLOAT) AS VARCHAR), ''), '') || ',', COALESCE(TO_VARCHAR(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), '') || ',', COALESCE(CAST(LENGTH(v_10) AS VARCHAR) || ':' || v_10, ','), COALESCE(TO_VARCHAR(CONVERT_TIMEZONE('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), '') || ',')) - 9223372036854775808) AS hash
  FROM wcdc_stored x
)
SELECT
  row_id,
  CASE WHEN row_id IS NULL THEN 'null_key' WHEN due = 0 THEN 'unchanged' WHEN due = 1 THEN 'changed' ELSE 'removed' END AS op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(MOD(MD5_NUMBER_LOWER64(row_id), 16384) AS INTEGER) AS bucket,
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
  CAST(NULL AS NUMBER(38, 0)) AS base_hash,
  CAST(NULL AS VARCHAR) AS key_run,
  CAST(NULL AS VARCHAR) AS try_run,
  CAST(NULL AS VARCHAR) AS try_of,
  CAST(NULL AS INTEGER) AS tries,
  CAST(NULL AS TIMESTAMP_LTZ(9)) AS failed_since
FROM wcdc_current;

-- drop_copy
DROP TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_ADOPTED";

-- claim
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_000000000002_CLAIM" AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(0 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('claimed' AS VARCHAR) AS event, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(9)) AS recorded_at, CAST('{"owner": "me", "seconds": 60.0, "sync": "people"}' AS VARCHAR) AS data;

-- beat_first
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_000000000002_BEATS" AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('beat' AS VARCHAR) AS event, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(9)) AS recorded_at, CAST('{}' AS VARCHAR) AS data;

-- beat
INSERT INTO "HIGHTOUCH_PLANNER"."PEOPLE_000000000002_BEATS" (generation, entry, run_id, event, recorded_at, data) SELECT CAST(2 AS BIGINT) AS generation, CAST(2 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('beat' AS VARCHAR) AS event, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(9)) AS recorded_at, CAST('{}' AS VARCHAR) AS data;

-- end_other
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_000000000001_END" AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR) AS run_id, CAST('delivered' AS VARCHAR) AS event, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(9)) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it\'s \\"over\\"\\\\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR) AS data;

-- done_other
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_000000000001_DONE" AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000001 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR) AS run_id, CAST('planned' AS VARCHAR) AS event, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(9)) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "ID", "number": 1, "value": {"name": "NUMBER(38, 0)", "kind": "integer"}, "previous": {"name": "NUMBER(38, 0)", "kind": "integer"}}, {"name": "ACTIVE", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "BORN", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "EMAIL", "number": 4, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "EXTRA", "number": 5, "value": {"name": "VARCHAR", "kind": "json"}, "previous": {"name": "VARCHAR", "kind": "json"}}, {"name": "LTV", "number": 6, "value": {"name": "NUMBER(12, 2)", "kind": "decimal"}, "previous": {"name": "NUMBER(12, 2)", "kind": "decimal"}}, {"name": "REGION", "number": 7, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "SCORE", "number": 8, "value": {"name": "FLOAT", "kind": "float"}, "previous": {"name": "FLOAT", "kind": "float"}}, {"name": "SEEN", "number": 9, "value": {"name": "TIMESTAMP_NTZ(9)", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP_NTZ(9)", "kind": "timestamp"}}, {"name": "TOKEN", "number": 10, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "VISITED", "number": 11, "value": {"name": "TIMESTAMP_LTZ(9)", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP_LTZ(9)", "kind": "timestamptz"}}], "primary_key": ["ID"], "mapping_version": "cb97455691d13f8a", "fingerprint_version": "34b00e99b7a188c7", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS VARCHAR) AS data UNION ALL SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000002 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS VARCHAR) AS run_id, CAST('committed' AS VARCHAR) AS event, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(9)) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it\'s \\"over\\"\\\\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR) AS data;

-- plan_entry
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" AS
SELECT CAST(NULL AS VARCHAR) AS row_id, CAST(NULL AS VARCHAR) AS op, CAST(NULL AS INTEGER) AS chunk, CAST(NULL AS VARCHAR) AS outcome, CAST(NULL AS VARCHAR) AS reason, CAST(NULL AS BOOLEAN) AS permanent, CAST(NULL AS INTEGER) AS attempts, CAST(NULL AS TIMESTAMP_LTZ(9)) AS first_failed_at, CAST(NULL AS TIMESTAMP_LTZ(9)) AS last_failed_at, generation, entry, run_id, event, recorded_at, data FROM (
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('planned' AS VARCHAR) AS event, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(9)) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "ID", "number": 1, "value": {"name": "NUMBER(38, 0)", "kind": "integer"}, "previous": {"name": "NUMBER(38, 0)", "kind": "integer"}}, {"name": "ACTIVE", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "BORN", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "EMAIL", "number": 4, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "EXTRA", "number": 5, "value": {"name": "VARCHAR", "kind": "json"}, "previous": {"name": "VARCHAR", "kind": "json"}}, {"name": "LTV", "number": 6, "value": {"name": "NUMBER(12, 2)", "kind": "decimal"}, "previous": {"name": "NUMBER(12, 2)", "kind": "decimal"}}, {"name": "REGION", "number": 7, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "SCORE", "number": 8, "value": {"name": "FLOAT", "kind": "float"}, "previous": {"name": "FLOAT", "kind": "float"}}, {"name": "SEEN", "number": 9, "value": {"name": "TIMESTAMP_NTZ(9)", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP_NTZ(9)", "kind": "timestamp"}}, {"name": "TOKEN", "number": 10, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "VISITED", "number": 11, "value": {"name": "TIMESTAMP_LTZ(9)", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP_LTZ(9)", "kind": "timestamptz"}}], "primary_key": ["ID"], "mapping_version": "cb97455691d13f8a", "fingerprint_version": "34b00e99b7a188c7", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS VARCHAR) AS data
) wcdc_entry;

-- end
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_000000000002_END" AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1999999999 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('planned' AS VARCHAR) AS event, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(9)) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "ID", "number": 1, "value": {"name": "NUMBER(38, 0)", "kind": "integer"}, "previous": {"name": "NUMBER(38, 0)", "kind": "integer"}}, {"name": "ACTIVE", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "BORN", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "EMAIL", "number": 4, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "EXTRA", "number": 5, "value": {"name": "VARCHAR", "kind": "json"}, "previous": {"name": "VARCHAR", "kind": "json"}}, {"name": "LTV", "number": 6, "value": {"name": "NUMBER(12, 2)", "kind": "decimal"}, "previous": {"name": "NUMBER(12, 2)", "kind": "decimal"}}, {"name": "REGION", "number": 7, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "SCORE", "number": 8, "value": {"name": "FLOAT", "kind": "float"}, "previous": {"name": "FLOAT", "kind": "float"}}, {"name": "SEEN", "number": 9, "value": {"name": "TIMESTAMP_NTZ(9)", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP_NTZ(9)", "kind": "timestamp"}}, {"name": "TOKEN", "number": 10, "value": {"name": "VARCHAR", "kind": "text"}, "previous": {"name": "VARCHAR", "kind": "text"}}, {"name": "VISITED", "number": 11, "value": {"name": "TIMESTAMP_LTZ(9)", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP_LTZ(9)", "kind": "timestamptz"}}], "primary_key": ["ID"], "mapping_version": "cb97455691d13f8a", "fingerprint_version": "34b00e99b7a188c7", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS VARCHAR) AS data UNION ALL SELECT CAST(2 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS VARCHAR) AS run_id, CAST('committed' AS VARCHAR) AS event, CAST(CURRENT_TIMESTAMP AS TIMESTAMP_LTZ(9)) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it\'s \\"over\\"\\\\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS VARCHAR) AS data;

-- look
SELECT generation, entry, run_id, event, recorded_at, data FROM "HIGHTOUCH_PLANNER"."PEOPLE_000000000002_CLAIM" WHERE event IS NOT NULL UNION ALL SELECT generation, entry, run_id, event, recorded_at, data FROM "HIGHTOUCH_PLANNER"."PEOPLE_000000000002_BEATS" WHERE event IS NOT NULL;

-- left
SELECT entry, event, (CAST(DATEDIFF('millisecond', recorded_at, CURRENT_TIMESTAMP) AS FLOAT) / 1000) AS age, data FROM "HIGHTOUCH_PLANNER"."PEOPLE_000000000002_CLAIM" UNION ALL SELECT entry, event, (CAST(DATEDIFF('millisecond', recorded_at, CURRENT_TIMESTAMP) AS FLOAT) / 1000) AS age, data FROM "HIGHTOUCH_PLANNER"."PEOPLE_000000000002_BEATS";

-- changelog_again
INSERT INTO "HIGHTOUCH_AUDIT"."SYNC_CHANGELOG" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN outcome = 'aborted' THEN 'not sent: it\'s "over"\\\n'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'ACTIVE', p_2, 'BORN', TO_VARCHAR(p_3, 'YYYY-MM-DD'), 'EMAIL', p_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(p_5), TO_VARIANT(p_5)), 'LTV', p_6, 'REGION', p_7, 'SCORE', CASE WHEN p_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN p_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN p_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(p_8) END, 'SEEN', LEFT(TO_VARCHAR(p_9, 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR(p_9, 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR(p_9, 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z', 'TOKEN', p_10, 'VISITED', LEFT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', p_11), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR(CONVERT_TIMEZONE('UTC', p_11), 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', p_11), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z')) ELSE TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'ACTIVE', v_2, 'BORN', TO_VARCHAR(v_3, 'YYYY-MM-DD'), 'EMAIL', v_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(v_5), TO_VARIANT(v_5)), 'LTV', v_6, 'REGION', v_7, 'SCORE', CASE WHEN v_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN v_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN v_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(v_8) END, 'SEEN', LEFT(TO_VARCHAR(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR(v_9, 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z', 'TOKEN', v_10, 'VISITED', LEFT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR(CONVERT_TIMEZONE('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', v_11), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z')) END AS fields
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
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" WHERE (chunk >= 0 AND chunk < 1)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT EXISTS (SELECT 1 FROM "HIGHTOUCH_AUDIT"."SYNC_CHANGELOG" t WHERE t.sync_id = 'people' AND t.sync_run_id = '00000000000000000000000002');

-- sync_run
INSERT INTO "HIGHTOUCH_AUDIT"."SYNC_RUNS" (sync_id, sync_run_id, primary_key, destination, model_name, model_id, status, error, started_at, finished_at, num_planned_add, num_planned_change, num_planned_remove, num_attempted_add, num_attempted_change, num_attempted_remove, num_succeeded_add, num_succeeded_change, num_succeeded_remove, num_failed_add, num_failed_change, num_failed_remove) SELECT 'people', '00000000000000000000000002', 'id', 'crm', 'it\'s', 'people', 'failed', CAST('it\'s "over"\\\n' AS VARCHAR), CAST('1970-01-01 00:00:00+00:00' AS TIMESTAMP_LTZ(9)), CURRENT_TIMESTAMP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM (SELECT 1 AS one) wcdc_one WHERE NOT EXISTS (SELECT 1 FROM "HIGHTOUCH_AUDIT"."SYNC_RUNS" WHERE sync_id = 'people' AND sync_run_id = '00000000000000000000000002');
