-- setup_1
CREATE SCHEMA IF NOT EXISTS `hightouch_audit`;

-- setup_2
CREATE SCHEMA IF NOT EXISTS `hightouch_planner`;

-- setup_3
GRANT ALL PRIVILEGES ON SCHEMA `hightouch_audit` TO `it's`;

-- setup_4
GRANT ALL PRIVILEGES ON SCHEMA `hightouch_planner` TO `it's`;

-- reset
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_plan`
USING DELTA
CLUSTER BY (op, bucket) AS
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    `id` AS v_1,
    `active` AS v_2,
    `born` AS v_3,
    `email` AS v_4,
    to_json(`extra`, map('timeZone', 'UTC')) AS v_5,
    `ltv` AS v_6,
    `region` AS v_7,
    `score` AS v_8,
    `seen` AS v_9,
    `token` AS v_10,
    `visited` AS v_11
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS STRING) AS row_id, xxhash64(concat(concat(coalesce(CAST(v_1 AS STRING), ''), ','), concat(coalesce(CAST(v_2 AS STRING), ''), ','), concat(coalesce(CAST(v_3 AS STRING), ''), ','), coalesce(concat(CAST(octet_length(v_4) AS STRING), ':', v_4), ','), coalesce(concat(CAST(octet_length(v_5) AS STRING), ':', v_5), ','), concat(coalesce(trim(TRAILING '.' FROM trim(TRAILING '0' FROM CAST(v_6 AS STRING))), ''), ','), coalesce(concat(CAST(octet_length(v_7) AS STRING), ':', v_7), ','), concat(coalesce(CASE WHEN v_8 IS NOT NULL THEN CAST(xxhash64(v_8) AS STRING) END, ''), ','), concat(coalesce(CAST(v_9 AS STRING), ''), ','), coalesce(concat(CAST(octet_length(v_10) AS STRING), ':', v_10), ','), concat(coalesce(CAST(unix_micros(v_11) AS STRING), ''), ','))) AS hash, TRUE AS in_model
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
  CAST(xxhash64(row_id) & 16383 AS INT) AS bucket,
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
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_adopted` (
  c_1 STRING,
  c_2 STRING,
  c_3 STRING,
  c_4 STRING,
  c_5 STRING,
  c_6 STRING,
  c_7 STRING,
  c_8 STRING,
  c_9 STRING,
  c_10 STRING,
  c_11 STRING,
  due INTEGER
)
USING DELTA;

-- held
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_plan`
USING DELTA
CLUSTER BY (op, bucket) AS
WITH wcdc_stored AS (
  SELECT
    CAST(c_1 AS BIGINT) AS v_1,
    CAST(c_2 AS BOOLEAN) AS v_2,
    CAST(c_3 AS DATE) AS v_3,
    CAST(c_4 AS STRING) AS v_4,
    CAST(c_5 AS STRING) AS v_5,
    CAST(c_6 AS DECIMAL(12, 2)) AS v_6,
    CAST(c_7 AS STRING) AS v_7,
    CAST(c_8 AS DOUBLE) AS v_8,
    CAST(replace(replace(c_9, 'T', ' '), 'Z', '') AS TIMESTAMP_NTZ) AS v_9,
    CAST(c_10 AS STRING) AS v_10,
    CAST(replace(replace(c_11, 'T', ' '), 'Z', '+00:00') AS TIMESTAMP) AS v_11,
    due
  FROM `hightouch_planner`.`people_00000000000000000000000002_adopted`
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS STRING) AS row_id, xxhash64(concat(concat(coalesce(CAST(v_1 AS STRING), ''), ','), concat(coalesce(CAST(v_2 AS STRING), ''), ','), concat(coalesce(CAST(v_3 AS STRING), ''), ','), coalesce(concat(CAST(octet_length(v_4) AS STRING), ':', v_4), ','), coalesce(concat(CAST(octet_length(v_5) AS STRING), ':', v_5), ','), concat(coalesce(trim(TRAILING '.' FROM trim(TRAILING '0' FROM CAST(v_6 AS STRING))), ''), ','), coalesce(concat(CAST(octet_length(v_7) AS STRING), ':', v_7), ','), concat(coalesce(CASE WHEN v_8 IS NOT NULL THEN CAST(xxhash64(v_8) AS STRING) END, ''), ','), concat(coalesce(CAST(v_9 AS STRING), ''), ','), coalesce(concat(CAST(octet_length(v_10) AS STRING), ':', v_10), ','), concat(coalesce(CAST(unix_micros(v_11) AS STRING), ''), ','))) AS hash
  FROM wcdc_stored x
)
SELECT
  row_id,
  CASE WHEN row_id IS NULL THEN 'null_key' WHEN due = 0 THEN 'unchanged' WHEN due = 1 THEN 'changed' ELSE 'removed' END AS op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(xxhash64(row_id) & 16383 AS INT) AS bucket,
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
  CASE WHEN due > 0 THEN CAST('stale' AS STRING) END AS was,
  due = 2 AS pending,
  CASE WHEN due > 0 THEN hash END AS was_hash,
  CASE WHEN due > 0 THEN CAST('' AS STRING) END AS was_version,
  TRUE AS confirmed,
  CAST(NULL AS BIGINT) AS base_hash,
  CAST(NULL AS STRING) AS key_run,
  CAST(NULL AS STRING) AS try_run,
  CAST(NULL AS STRING) AS try_of,
  CAST(NULL AS INTEGER) AS tries,
  CAST(NULL AS TIMESTAMP) AS failed_since
FROM wcdc_current;

-- drop_copy
DROP TABLE `hightouch_planner`.`people_00000000000000000000000002_adopted`;

-- claim
CREATE TABLE `hightouch_planner`.`people_000000000002_claim`
USING DELTA AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(0 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS STRING) AS run_id, CAST('claimed' AS STRING) AS event, CAST(current_timestamp() AS TIMESTAMP) AS recorded_at, CAST('{"owner": "me", "seconds": 60.0, "sync": "people"}' AS STRING) AS data;

-- beat_first
CREATE TABLE `hightouch_planner`.`people_000000000002_beats`
USING DELTA AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS STRING) AS run_id, CAST('beat' AS STRING) AS event, CAST(current_timestamp() AS TIMESTAMP) AS recorded_at, CAST('{}' AS STRING) AS data;

-- beat
INSERT INTO `hightouch_planner`.`people_000000000002_beats` (generation, entry, run_id, event, recorded_at, data) SELECT CAST(2 AS BIGINT) AS generation, CAST(2 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS STRING) AS run_id, CAST('beat' AS STRING) AS event, CAST(current_timestamp() AS TIMESTAMP) AS recorded_at, CAST('{}' AS STRING) AS data;

-- end_other
CREATE TABLE `hightouch_planner`.`people_000000000001_end`
USING DELTA AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS STRING) AS run_id, CAST('delivered' AS STRING) AS event, CAST(current_timestamp() AS TIMESTAMP) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it\u0027s \\"over\\"\\\\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS STRING) AS data;

-- done_other
CREATE TABLE `hightouch_planner`.`people_000000000001_done`
USING DELTA AS
SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000001 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS STRING) AS run_id, CAST('planned' AS STRING) AS event, CAST(current_timestamp() AS TIMESTAMP) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "STRING", "kind": "text"}, "previous": {"name": "STRING", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "STRING", "kind": "json"}, "previous": {"name": "STRING", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "STRING", "kind": "text"}, "previous": {"name": "STRING", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE", "kind": "float"}, "previous": {"name": "DOUBLE", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP_NTZ", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP_NTZ", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "STRING", "kind": "text"}, "previous": {"name": "STRING", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMP", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "322c53b05ed41e32", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS STRING) AS data UNION ALL SELECT CAST(1 AS BIGINT) AS generation, CAST(2000000002 AS INTEGER) AS entry, CAST('00000000000000000000000001' AS STRING) AS run_id, CAST('committed' AS STRING) AS event, CAST(current_timestamp() AS TIMESTAMP) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it\u0027s \\"over\\"\\\\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS STRING) AS data;

-- plan_entry
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_rejections`
USING DELTA AS
SELECT CAST(NULL AS STRING) AS row_id, CAST(NULL AS STRING) AS op, CAST(NULL AS INTEGER) AS chunk, CAST(NULL AS STRING) AS outcome, CAST(NULL AS STRING) AS reason, CAST(NULL AS BOOLEAN) AS permanent, CAST(NULL AS INTEGER) AS attempts, CAST(NULL AS TIMESTAMP) AS first_failed_at, CAST(NULL AS TIMESTAMP) AS last_failed_at, generation, entry, run_id, event, recorded_at, data FROM (
SELECT CAST(2 AS BIGINT) AS generation, CAST(1 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS STRING) AS run_id, CAST('planned' AS STRING) AS event, CAST(current_timestamp() AS TIMESTAMP) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "STRING", "kind": "text"}, "previous": {"name": "STRING", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "STRING", "kind": "json"}, "previous": {"name": "STRING", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "STRING", "kind": "text"}, "previous": {"name": "STRING", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE", "kind": "float"}, "previous": {"name": "DOUBLE", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP_NTZ", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP_NTZ", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "STRING", "kind": "text"}, "previous": {"name": "STRING", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMP", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "322c53b05ed41e32", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS STRING) AS data
) wcdc_entry;

-- end
CREATE TABLE `hightouch_planner`.`people_000000000002_end`
USING DELTA AS
SELECT CAST(2 AS BIGINT) AS generation, CAST(1999999999 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS STRING) AS run_id, CAST('planned' AS STRING) AS event, CAST(current_timestamp() AS TIMESTAMP) AS recorded_at, CAST('{"format": 3, "kind": "run", "plan_table": "people_00000000000000000000000002_plan", "rejections_table": "people_00000000000000000000000002_rejections", "rows": 0, "columns": [{"name": "id", "number": 1, "value": {"name": "BIGINT", "kind": "integer"}, "previous": {"name": "BIGINT", "kind": "integer"}}, {"name": "active", "number": 2, "value": {"name": "BOOLEAN", "kind": "boolean"}, "previous": {"name": "BOOLEAN", "kind": "boolean"}}, {"name": "born", "number": 3, "value": {"name": "DATE", "kind": "date"}, "previous": {"name": "DATE", "kind": "date"}}, {"name": "email", "number": 4, "value": {"name": "STRING", "kind": "text"}, "previous": {"name": "STRING", "kind": "text"}}, {"name": "extra", "number": 5, "value": {"name": "STRING", "kind": "json"}, "previous": {"name": "STRING", "kind": "json"}}, {"name": "ltv", "number": 6, "value": {"name": "DECIMAL(12, 2)", "kind": "decimal"}, "previous": {"name": "DECIMAL(12, 2)", "kind": "decimal"}}, {"name": "region", "number": 7, "value": {"name": "STRING", "kind": "text"}, "previous": {"name": "STRING", "kind": "text"}}, {"name": "score", "number": 8, "value": {"name": "DOUBLE", "kind": "float"}, "previous": {"name": "DOUBLE", "kind": "float"}}, {"name": "seen", "number": 9, "value": {"name": "TIMESTAMP_NTZ", "kind": "timestamp"}, "previous": {"name": "TIMESTAMP_NTZ", "kind": "timestamp"}}, {"name": "token", "number": 10, "value": {"name": "STRING", "kind": "text"}, "previous": {"name": "STRING", "kind": "text"}}, {"name": "visited", "number": 11, "value": {"name": "TIMESTAMP", "kind": "timestamptz"}, "previous": {"name": "TIMESTAMP", "kind": "timestamptz"}}], "primary_key": ["id"], "mapping_version": "495414849cb6d84f", "fingerprint_version": "322c53b05ed41e32", "planned": {}, "duplicates": {}, "model_rows": 0, "state_rows": 0, "null_key_rows": 0, "dropped_rows": 0, "chunks": [["removed", 0, 16383, 0], ["changed", 0, 16383, 0], ["added", 0, 16383, 0]], "auto_removed": true, "publishes": false, "mode": "upsert", "destination": "crm", "model_name": "people", "model_id": "people", "logs": ["sync_changelog", "sync_snapshot", "sync_runs"], "compare_fields": true, "notes": [], "base": null, "delta_rows": 0, "kept": 0, "former_plan": "", "settles": false, "checksum": "", "source_version": "", "change_hint": "", "lean": false, "jobs": false, "parts": 0, "policy": "", "refusals": false, "given_up": 0}' AS STRING) AS data UNION ALL SELECT CAST(2 AS BIGINT) AS generation, CAST(2000000000 AS INTEGER) AS entry, CAST('00000000000000000000000002' AS STRING) AS run_id, CAST('committed' AS STRING) AS event, CAST(current_timestamp() AS TIMESTAMP) AS recorded_at, CAST('{"format": 3, "status": "failed", "error": "it\u0027s \\"over\\"\\\\\\n", "delivered": 1, "unknown": [1], "rejections": 1, "failed": {}, "aborted": {}}' AS STRING) AS data;

-- look
SELECT generation, entry, run_id, event, recorded_at, data FROM `hightouch_planner`.`people_000000000002_claim` WHERE event IS NOT NULL UNION ALL SELECT generation, entry, run_id, event, recorded_at, data FROM `hightouch_planner`.`people_000000000002_beats` WHERE event IS NOT NULL;

-- left
SELECT entry, event, (CAST(unix_micros(current_timestamp()) - unix_micros(recorded_at) AS DOUBLE) / CAST(1000000 AS DOUBLE)) AS age, data FROM `hightouch_planner`.`people_000000000002_claim` UNION ALL SELECT entry, event, (CAST(unix_micros(current_timestamp()) - unix_micros(recorded_at) AS DOUBLE) / CAST(1000000 AS DOUBLE)) AS age, data FROM `hightouch_planner`.`people_000000000002_beats`;

-- changelog_again
INSERT INTO `hightouch_audit`.`sync_changelog` (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS STRING) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent: it\u0027s "over"\\\u000a'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN concat('{', '"id":', coalesce(CAST(p_1 AS STRING), 'null'), ',"active":', coalesce(CAST(p_2 AS STRING), 'null'), ',"born":', coalesce(concat('"', CAST(p_3 AS STRING), '"'), 'null'), ',"email":', coalesce(nullif(regexp_replace(to_json(array(p_4)), '^.|.$', ''), 'null'), 'null'), ',"extra":', coalesce(p_5, 'null'), ',"ltv":', coalesce(trim(TRAILING '.' FROM trim(TRAILING '0' FROM CAST(p_6 AS STRING))), 'null'), ',"region":', coalesce(nullif(regexp_replace(to_json(array(p_7)), '^.|.$', ''), 'null'), 'null'), ',"score":', coalesce(CASE WHEN abs(p_8) < CAST('Infinity' AS DOUBLE) THEN CASE WHEN abs(p_8) < 1e18 AND p_8 = rint(p_8) THEN CAST(try_cast(p_8 AS BIGINT) AS STRING) ELSE CAST(p_8 AS STRING) END ELSE concat('"', CASE WHEN abs(p_8) < 1e18 AND p_8 = rint(p_8) THEN CAST(try_cast(p_8 AS BIGINT) AS STRING) ELSE CAST(p_8 AS STRING) END, '"') END, 'null'), ',"seen":', coalesce(concat('"', concat(replace(substring_index(CAST(p_9 AS STRING), '.', 1), ' ', 'T'), '.', rpad(CASE WHEN CAST(p_9 AS STRING) LIKE '%.%' THEN substring_index(CAST(p_9 AS STRING), '.', -1) ELSE '' END, 6, '0'), 'Z'), '"'), 'null'), ',"token":', coalesce(nullif(regexp_replace(to_json(array(p_10)), '^.|.$', ''), 'null'), 'null'), ',"visited":', coalesce(concat('"', concat(replace(substring_index(CAST(TIMESTAMP_NTZ '1970-01-01 00:00:00' + make_dt_interval(0, 0, 0, CAST(unix_micros(p_11) AS DECIMAL(20, 0)) / 1000000) AS STRING), '.', 1), ' ', 'T'), '.', rpad(CASE WHEN CAST(TIMESTAMP_NTZ '1970-01-01 00:00:00' + make_dt_interval(0, 0, 0, CAST(unix_micros(p_11) AS DECIMAL(20, 0)) / 1000000) AS STRING) LIKE '%.%' THEN substring_index(CAST(TIMESTAMP_NTZ '1970-01-01 00:00:00' + make_dt_interval(0, 0, 0, CAST(unix_micros(p_11) AS DECIMAL(20, 0)) / 1000000) AS STRING), '.', -1) ELSE '' END, 6, '0'), 'Z'), '"'), 'null'), '}') ELSE concat('{', '"id":', coalesce(CAST(v_1 AS STRING), 'null'), ',"active":', coalesce(CAST(v_2 AS STRING), 'null'), ',"born":', coalesce(concat('"', CAST(v_3 AS STRING), '"'), 'null'), ',"email":', coalesce(nullif(regexp_replace(to_json(array(v_4)), '^.|.$', ''), 'null'), 'null'), ',"extra":', coalesce(v_5, 'null'), ',"ltv":', coalesce(trim(TRAILING '.' FROM trim(TRAILING '0' FROM CAST(v_6 AS STRING))), 'null'), ',"region":', coalesce(nullif(regexp_replace(to_json(array(v_7)), '^.|.$', ''), 'null'), 'null'), ',"score":', coalesce(CASE WHEN abs(v_8) < CAST('Infinity' AS DOUBLE) THEN CASE WHEN abs(v_8) < 1e18 AND v_8 = rint(v_8) THEN CAST(try_cast(v_8 AS BIGINT) AS STRING) ELSE CAST(v_8 AS STRING) END ELSE concat('"', CASE WHEN abs(v_8) < 1e18 AND v_8 = rint(v_8) THEN CAST(try_cast(v_8 AS BIGINT) AS STRING) ELSE CAST(v_8 AS STRING) END, '"') END, 'null'), ',"seen":', coalesce(concat('"', concat(replace(substring_index(CAST(v_9 AS STRING), '.', 1), ' ', 'T'), '.', rpad(CASE WHEN CAST(v_9 AS STRING) LIKE '%.%' THEN substring_index(CAST(v_9 AS STRING), '.', -1) ELSE '' END, 6, '0'), 'Z'), '"'), 'null'), ',"token":', coalesce(nullif(regexp_replace(to_json(array(v_10)), '^.|.$', ''), 'null'), 'null'), ',"visited":', coalesce(concat('"', concat(replace(substring_index(CAST(TIMESTAMP_NTZ '1970-01-01 00:00:00' + make_dt_interval(0, 0, 0, CAST(unix_micros(v_11) AS DECIMAL(20, 0)) / 1000000) AS STRING), '.', 1), ' ', 'T'), '.', rpad(CASE WHEN CAST(TIMESTAMP_NTZ '1970-01-01 00:00:00' + make_dt_interval(0, 0, 0, CAST(unix_micros(v_11) AS DECIMAL(20, 0)) / 1000000) AS STRING) LIKE '%.%' THEN substring_index(CAST(TIMESTAMP_NTZ '1970-01-01 00:00:00' + make_dt_interval(0, 0, 0, CAST(unix_micros(v_11) AS DECIMAL(20, 0)) / 1000000) AS STRING), '.', -1) ELSE '' END, 6, '0'), 'Z'), '"'), 'null'), '}') END AS fields
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
FROM `hightouch_planner`.`people_00000000000000000000000002_plan` p
LEFT JOIN (SELECT * FROM `hightouch_planner`.`people_00000000000000000000000002_rejections` WHERE (chunk >= 0 AND chunk < 1)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT EXISTS (SELECT 1 FROM `hightouch_audit`.`sync_changelog` t WHERE t.sync_id = 'people' AND t.sync_run_id = '00000000000000000000000002');

-- sync_run
INSERT INTO `hightouch_audit`.`sync_runs` (sync_id, sync_run_id, primary_key, destination, model_name, model_id, status, error, started_at, finished_at, num_planned_add, num_planned_change, num_planned_remove, num_attempted_add, num_attempted_change, num_attempted_remove, num_succeeded_add, num_succeeded_change, num_succeeded_remove, num_failed_add, num_failed_change, num_failed_remove) SELECT 'people', '00000000000000000000000002', 'id', 'crm', 'it\u0027s', 'people', 'failed', CAST('it\u0027s "over"\\\u000a' AS STRING), CAST('1970-01-01 00:00:00+00:00' AS TIMESTAMP), current_timestamp(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM (SELECT 1 AS one) wcdc_one WHERE NOT EXISTS (SELECT 1 FROM `hightouch_audit`.`sync_runs` WHERE sync_id = 'people' AND sync_run_id = '00000000000000000000000002');
