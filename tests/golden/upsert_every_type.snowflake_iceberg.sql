-- setup_1
CREATE SCHEMA IF NOT EXISTS "HIGHTOUCH_AUDIT";

-- setup_2
CREATE SCHEMA IF NOT EXISTS "HIGHTOUCH_PLANNER";

-- create_sync_changelog
CREATE ICEBERG TABLE "HIGHTOUCH_AUDIT"."SYNC_CHANGELOG" (
  sync_id VARCHAR,
  sync_run_id VARCHAR,
  op_type VARCHAR,
  row_id VARCHAR,
  status VARCHAR,
  failure_reason VARCHAR,
  fields VARCHAR
)
CATALOG = 'SNOWFLAKE';

-- create_sync_snapshot
CREATE ICEBERG TABLE "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" (
  sync_id VARCHAR,
  sync_run_id VARCHAR,
  op_type VARCHAR,
  row_id VARCHAR,
  status VARCHAR,
  failure_reason VARCHAR,
  fields VARCHAR
)
CATALOG = 'SNOWFLAKE';

-- create_sync_runs
CREATE ICEBERG TABLE "HIGHTOUCH_AUDIT"."SYNC_RUNS" (
  sync_id VARCHAR,
  sync_run_id VARCHAR,
  primary_key VARCHAR,
  destination VARCHAR,
  model_name VARCHAR,
  model_id VARCHAR,
  status VARCHAR,
  error VARCHAR,
  started_at TIMESTAMP_LTZ(6),
  finished_at TIMESTAMP_LTZ(6),
  num_planned_add BIGINT,
  num_planned_change BIGINT,
  num_planned_remove BIGINT,
  num_attempted_add BIGINT,
  num_attempted_change BIGINT,
  num_attempted_remove BIGINT,
  num_succeeded_add BIGINT,
  num_succeeded_change BIGINT,
  num_succeeded_remove BIGINT,
  num_failed_add BIGINT,
  num_failed_change BIGINT,
  num_failed_remove BIGINT
)
CATALOG = 'SNOWFLAKE';

-- first_plan
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, CAST(op AS VARCHAR) AS op, copies, bucket, hash, v_1, v_2, v_3, v_4, v_5, v_6, v_7, v_8, v_9, v_10, v_11 FROM (
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "ID" AS v_1,
    "ACTIVE" AS v_2,
    "BORN" AS v_3,
    CAST(COLLATE("EMAIL", '') AS VARCHAR) AS v_4,
    TO_JSON(TO_VARIANT("EXTRA")) AS v_5,
    "LTV" AS v_6,
    CAST(COLLATE("REGION", '') AS VARCHAR) AS v_7,
    "SCORE" AS v_8,
    LEFT(TO_VARCHAR("SEEN", 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR("SEEN", 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR("SEEN", 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z' AS v_9,
    CAST(COLLATE("TOKEN", '') AS VARCHAR) AS v_10,
    LEFT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', "VISITED"), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR(CONVERT_TIMEZONE('UTC', "VISITED"), 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', "VISITED"), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z' AS v_11
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(v_2 AS VARCHAR), '') || ',', COALESCE(TO_VARCHAR(v_3, 'YYYY-MM-DD'), '') || ',', COALESCE(CAST(LENGTH(v_4) AS VARCHAR) || ':' || v_4, ','), COALESCE(CAST(LENGTH(v_5) AS VARCHAR) || ':' || v_5, ','), COALESCE(CAST(v_6 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_7) AS VARCHAR) || ':' || v_7, ','), COALESCE(CAST((v_8 + 0) AS VARCHAR) || ';' || COALESCE(CAST((v_8 + 0) - TRY_CAST(CAST((v_8 + 0) AS VARCHAR) AS FLOAT) AS VARCHAR), ''), '') || ',', COALESCE(CAST(LENGTH(v_9) AS VARCHAR) || ':' || v_9, ','), COALESCE(CAST(LENGTH(v_10) AS VARCHAR) || ':' || v_10, ','), COALESCE(CAST(LENGTH(v_11) AS VARCHAR) || ':' || v_11, ','))) - 9223372036854775808) AS hash, TRUE AS in_model
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
      ELSE 'added'
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
FROM wcdc_joined
) wcdc_rows;

-- first_rejections
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" (
  row_id VARCHAR,
  op VARCHAR,
  chunk INTEGER,
  outcome VARCHAR,
  reason VARCHAR,
  permanent BOOLEAN,
  attempts INTEGER,
  first_failed_at TIMESTAMP_LTZ(6),
  last_failed_at TIMESTAMP_LTZ(6)
)
CATALOG = 'SNOWFLAKE';

-- first_changelog
INSERT INTO "HIGHTOUCH_AUDIT"."SYNC_CHANGELOG" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT 'people', '00000000000000000000000001', op_type, row_id, status, failure_reason, fields
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
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'ACTIVE', p_2, 'BORN', TO_VARCHAR(p_3, 'YYYY-MM-DD'), 'EMAIL', p_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(p_5), TO_VARIANT(p_5)), 'LTV', p_6, 'REGION', p_7, 'SCORE', CASE WHEN p_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN p_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN p_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(p_8) END, 'SEEN', p_9, 'TOKEN', p_10, 'VISITED', p_11))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'ACTIVE', v_2, 'BORN', TO_VARCHAR(v_3, 'YYYY-MM-DD'), 'EMAIL', v_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(v_5), TO_VARIANT(v_5)), 'LTV', v_6, 'REGION', v_7, 'SCORE', CASE WHEN v_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN v_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN v_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(v_8) END, 'SEEN', v_9, 'TOKEN', v_10, 'VISITED', v_11))) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS BOOLEAN) AS p_2, CAST(NULL AS DATE) AS p_3, CAST(NULL AS VARCHAR) AS p_4, CAST(NULL AS VARCHAR) AS p_5, CAST(NULL AS NUMBER(12, 2)) AS p_6, CAST(NULL AS VARCHAR) AS p_7, CAST(NULL AS FLOAT) AS p_8, CAST(NULL AS VARCHAR) AS p_9, CAST(NULL AS VARCHAR) AS p_10, CAST(NULL AS VARCHAR) AS p_11 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- first_snapshot_1
DELETE FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT"
WHERE sync_id = 'people'
AND row_id NOT IN (
  SELECT t.row_id
  FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" t
  JOIN (
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
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'ACTIVE', p_2, 'BORN', TO_VARCHAR(p_3, 'YYYY-MM-DD'), 'EMAIL', p_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(p_5), TO_VARIANT(p_5)), 'LTV', p_6, 'REGION', p_7, 'SCORE', CASE WHEN p_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN p_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN p_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(p_8) END, 'SEEN', p_9, 'TOKEN', p_10, 'VISITED', p_11))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'ACTIVE', v_2, 'BORN', TO_VARCHAR(v_3, 'YYYY-MM-DD'), 'EMAIL', v_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(v_5), TO_VARIANT(v_5)), 'LTV', v_6, 'REGION', v_7, 'SCORE', CASE WHEN v_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN v_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN v_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(v_8) END, 'SEEN', v_9, 'TOKEN', v_10, 'VISITED', v_11))) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS BOOLEAN) AS p_2, CAST(NULL AS DATE) AS p_3, CAST(NULL AS VARCHAR) AS p_4, CAST(NULL AS VARCHAR) AS p_5, CAST(NULL AS NUMBER(12, 2)) AS p_6, CAST(NULL AS VARCHAR) AS p_7, CAST(NULL AS FLOAT) AS p_8, CAST(NULL AS VARCHAR) AS p_9, CAST(NULL AS VARCHAR) AS p_10, CAST(NULL AS VARCHAR) AS p_11 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a ON a.row_id = t.row_id
  WHERE t.sync_id = 'people'
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = t.op_type
    AND a.status = t.status
    AND a.failure_reason IS NOT DISTINCT FROM t.failure_reason
    AND (a.fields = t.fields)
);

-- first_snapshot_2
INSERT INTO "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT 'people', '00000000000000000000000001', op_type, row_id, status, failure_reason, fields
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
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'ACTIVE', p_2, 'BORN', TO_VARCHAR(p_3, 'YYYY-MM-DD'), 'EMAIL', p_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(p_5), TO_VARIANT(p_5)), 'LTV', p_6, 'REGION', p_7, 'SCORE', CASE WHEN p_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN p_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN p_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(p_8) END, 'SEEN', p_9, 'TOKEN', p_10, 'VISITED', p_11))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'ACTIVE', v_2, 'BORN', TO_VARCHAR(v_3, 'YYYY-MM-DD'), 'EMAIL', v_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(v_5), TO_VARIANT(v_5)), 'LTV', v_6, 'REGION', v_7, 'SCORE', CASE WHEN v_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN v_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN v_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(v_8) END, 'SEEN', v_9, 'TOKEN', v_10, 'VISITED', v_11))) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS BOOLEAN) AS p_2, CAST(NULL AS DATE) AS p_3, CAST(NULL AS VARCHAR) AS p_4, CAST(NULL AS VARCHAR) AS p_5, CAST(NULL AS NUMBER(12, 2)) AS p_6, CAST(NULL AS VARCHAR) AS p_7, CAST(NULL AS FLOAT) AS p_8, CAST(NULL AS VARCHAR) AS p_9, CAST(NULL AS VARCHAR) AS p_10, CAST(NULL AS VARCHAR) AS p_11 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" t WHERE t.sync_id = 'people' AND t.row_id = a.row_id);

-- checksum
WITH wcdc_model AS (
SELECT * FROM sales.people
),
wcdc_stored AS (
  SELECT
    "ID" AS v_1,
    "ACTIVE" AS v_2,
    "BORN" AS v_3,
    CAST(COLLATE("EMAIL", '') AS VARCHAR) AS v_4,
    TO_JSON(TO_VARIANT("EXTRA")) AS v_5,
    "LTV" AS v_6,
    CAST(COLLATE("REGION", '') AS VARCHAR) AS v_7,
    "SCORE" AS v_8,
    LEFT(TO_VARCHAR("SEEN", 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR("SEEN", 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR("SEEN", 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z' AS v_9,
    CAST(COLLATE("TOKEN", '') AS VARCHAR) AS v_10,
    LEFT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', "VISITED"), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR(CONVERT_TIMEZONE('UTC', "VISITED"), 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', "VISITED"), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z' AS v_11
  FROM wcdc_model
)
SELECT
  count(*) AS all_rows,
  count(CASE WHEN v_1 IS NOT NULL THEN 1 END) AS keyed_rows,
  BITXOR_AGG(CASE WHEN v_1 IS NOT NULL THEN (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(v_2 AS VARCHAR), '') || ',', COALESCE(TO_VARCHAR(v_3, 'YYYY-MM-DD'), '') || ',', COALESCE(CAST(LENGTH(v_4) AS VARCHAR) || ':' || v_4, ','), COALESCE(CAST(LENGTH(v_5) AS VARCHAR) || ':' || v_5, ','), COALESCE(CAST(v_6 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_7) AS VARCHAR) || ':' || v_7, ','), COALESCE(CAST((v_8 + 0) AS VARCHAR) || ';' || COALESCE(CAST((v_8 + 0) - TRY_CAST(CAST((v_8 + 0) AS VARCHAR) AS FLOAT) AS VARCHAR), ''), '') || ',', COALESCE(CAST(LENGTH(v_9) AS VARCHAR) || ':' || v_9, ','), COALESCE(CAST(LENGTH(v_10) AS VARCHAR) || ':' || v_10, ','), COALESCE(CAST(LENGTH(v_11) AS VARCHAR) || ':' || v_11, ','))) - 9223372036854775808) END) AS checksum
FROM wcdc_stored;

-- copy_model
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_MODEL"
CATALOG = 'SNOWFLAKE' AS
SELECT v_1, v_2, v_3, v_4, v_5, v_6, v_7, v_8, v_9, v_10, v_11 FROM (
SELECT "ID" AS v_1, "ACTIVE" AS v_2, "BORN" AS v_3, CAST(COLLATE("EMAIL", '') AS VARCHAR) AS v_4, TO_JSON(TO_VARIANT("EXTRA")) AS v_5, "LTV" AS v_6, CAST(COLLATE("REGION", '') AS VARCHAR) AS v_7, "SCORE" AS v_8, LEFT(TO_VARCHAR("SEEN", 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR("SEEN", 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR("SEEN", 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z' AS v_9, CAST(COLLATE("TOKEN", '') AS VARCHAR) AS v_10, LEFT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', "VISITED"), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), LENGTH(TO_VARCHAR(CONVERT_TIMEZONE('UTC', "VISITED"), 'YYYY-MM-DD"T"HH24:MI:SS.FF9')) - 3) || RTRIM(RIGHT(TO_VARCHAR(CONVERT_TIMEZONE('UTC', "VISITED"), 'YYYY-MM-DD"T"HH24:MI:SS.FF9'), 3), '0') || 'Z' AS v_11 FROM (
SELECT * FROM sales.people
) wcdc_model
) wcdc_rows;

-- touched
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_TOUCHED"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, k_1, hash, base_hash FROM (
WITH wcdc_model AS (
SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_MODEL"
),
wcdc_stored AS (
  SELECT
    v_1 AS v_1,
    v_2 AS v_2,
    v_3 AS v_3,
    v_4 AS v_4,
    v_5 AS v_5,
    v_6 AS v_6,
    v_7 AS v_7,
    v_8 AS v_8,
    v_9 AS v_9,
    v_10 AS v_10,
    v_11 AS v_11
  FROM wcdc_model
),
wcdc_differing AS (
  SELECT
    coalesce(m.v_1, b.v_1) AS v_1,
    m.hash,
    b.hash AS base_hash
  FROM (SELECT v_1, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(v_2 AS VARCHAR), '') || ',', COALESCE(TO_VARCHAR(v_3, 'YYYY-MM-DD'), '') || ',', COALESCE(CAST(LENGTH(v_4) AS VARCHAR) || ':' || v_4, ','), COALESCE(CAST(LENGTH(v_5) AS VARCHAR) || ':' || v_5, ','), COALESCE(CAST(v_6 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_7) AS VARCHAR) || ':' || v_7, ','), COALESCE(CAST((v_8 + 0) AS VARCHAR) || ';' || COALESCE(CAST((v_8 + 0) - TRY_CAST(CAST((v_8 + 0) AS VARCHAR) AS FLOAT) AS VARCHAR), ''), '') || ',', COALESCE(CAST(LENGTH(v_9) AS VARCHAR) || ':' || v_9, ','), COALESCE(CAST(LENGTH(v_10) AS VARCHAR) || ':' || v_10, ','), COALESCE(CAST(LENGTH(v_11) AS VARCHAR) || ':' || v_11, ','))) - 9223372036854775808) AS hash FROM wcdc_stored WHERE v_1 IS NOT NULL) m
  FULL JOIN (
    SELECT v_1, hash FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" WHERE op NOT IN ('removed', 'null_key')
  ) b ON m.v_1 = b.v_1
  WHERE (m.hash IS DISTINCT FROM b.hash)
)
SELECT
  CAST(v_1 AS VARCHAR) AS row_id,
  v_1 AS k_1,
  hash,
  base_hash
FROM wcdc_differing
) wcdc_rows;

-- differences
SELECT
  count(*) AS touched,
  count(CASE WHEN hash IS NULL THEN 1 END) AS missing,
  count(DISTINCT CASE WHEN base_hash IS NULL THEN row_id END) AS new_keys,
  count(*)
 AS news,
  BITXOR_AGG(hash) AS model_checksum,
  BITXOR_AGG(base_hash) AS base_checksum
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_TOUCHED";

-- counts
WITH wcdc_model AS (
SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_MODEL"
),
wcdc_stored AS (
  SELECT
    v_1 AS v_1,
    v_2 AS v_2,
    v_3 AS v_3,
    v_4 AS v_4,
    v_5 AS v_5,
    v_6 AS v_6,
    v_7 AS v_7,
    v_8 AS v_8,
    v_9 AS v_9,
    v_10 AS v_10,
    v_11 AS v_11
  FROM wcdc_model
)
SELECT
  count(*) AS all_rows,
  count(CASE WHEN v_1 IS NOT NULL THEN 1 END) AS keyed_rows,
  CAST(NULL AS NUMBER(38, 0)) AS checksum
FROM wcdc_stored;

-- keys
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_KEYS"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, k_1, base_hash FROM (
WITH 
wcdc_due AS (
  SELECT row_id, v_1, CASE WHEN op <> 'removed' THEN hash END AS base_hash
  FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS BOOLEAN) AS p_2, CAST(NULL AS DATE) AS p_3, CAST(NULL AS VARCHAR) AS p_4, CAST(NULL AS VARCHAR) AS p_5, CAST(NULL AS NUMBER(12, 2)) AS p_6, CAST(NULL AS VARCHAR) AS p_7, CAST(NULL AS FLOAT) AS p_8, CAST(NULL AS VARCHAR) AS p_9, CAST(NULL AS VARCHAR) AS p_10, CAST(NULL AS VARCHAR) AS p_11 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id

  ) o
  WHERE outcome NOT IN ('none', 'succeeded') OR copies > 1
)
SELECT row_id, k_1, base_hash
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_TOUCHED"
GROUP BY row_id, k_1, base_hash
UNION ALL
SELECT row_id, v_1, base_hash
FROM wcdc_due d
WHERE NOT EXISTS (SELECT 1 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_TOUCHED" t WHERE t.row_id = d.row_id)
) wcdc_rows;

-- plan
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, CAST(op AS VARCHAR) AS op, copies, bucket, hash, v_1, v_2, v_3, v_4, v_5, v_6, v_7, v_8, v_9, v_10, v_11, CAST(was AS VARCHAR) AS was, pending, base_hash, was_hash, CAST(was_version AS VARCHAR) AS was_version, confirmed, CAST(key_run AS VARCHAR) AS key_run, CAST(try_run AS VARCHAR) AS try_run, CAST(try_of AS VARCHAR) AS try_of, tries, failed_since, p_1, p_2, p_3, p_4, p_5, p_6, p_7, p_8, p_9, p_10, p_11 FROM (
WITH wcdc_model AS (
SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_MODEL"
),
wcdc_stored AS (
  SELECT
    v_1 AS v_1,
    v_2 AS v_2,
    v_3 AS v_3,
    v_4 AS v_4,
    v_5 AS v_5,
    v_6 AS v_6,
    v_7 AS v_7,
    v_8 AS v_8,
    v_9 AS v_9,
    v_10 AS v_10,
    v_11 AS v_11
  FROM wcdc_model
),
wcdc_found AS (
  SELECT x.*, k.row_id
  FROM wcdc_stored x
  JOIN "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_KEYS" k ON x.v_1 = k.k_1
),
wcdc_current AS (
  SELECT x.*, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(v_2 AS VARCHAR), '') || ',', COALESCE(TO_VARCHAR(v_3, 'YYYY-MM-DD'), '') || ',', COALESCE(CAST(LENGTH(v_4) AS VARCHAR) || ':' || v_4, ','), COALESCE(CAST(LENGTH(v_5) AS VARCHAR) || ':' || v_5, ','), COALESCE(CAST(v_6 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_7) AS VARCHAR) || ':' || v_7, ','), COALESCE(CAST((v_8 + 0) AS VARCHAR) || ';' || COALESCE(CAST((v_8 + 0) - TRY_CAST(CAST((v_8 + 0) AS VARCHAR) AS FLOAT) AS VARCHAR), ''), '') || ',', COALESCE(CAST(LENGTH(v_9) AS VARCHAR) || ':' || v_9, ','), COALESCE(CAST(LENGTH(v_10) AS VARCHAR) || ':' || v_10, ','), COALESCE(CAST(LENGTH(v_11) AS VARCHAR) || ':' || v_11, ','))) - 9223372036854775808) AS hash, TRUE AS in_model
  FROM wcdc_found x
),
wcdc_prior AS (
SELECT
  row_id,
  state,
  CASE WHEN op = 'unchanged' OR takes_new THEN 'cb97455691d13f8a' ELSE was_version END AS version,
  CASE WHEN op = 'unchanged' OR takes_new THEN hash ELSE was_hash END AS hash,
  CASE WHEN op = 'unchanged' OR outcome = 'succeeded' THEN TRUE ELSE coalesce(confirmed, FALSE) END AS confirmed,
  op = 'removed' AS gone,
  CASE WHEN outcome = 'unknown' THEN coalesce(key_run, '00000000000000000000000001') WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_run END AS try_run,
  CASE WHEN outcome = 'unknown' THEN op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR), '') || ':cb97455691d13f8a' WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_of END AS try_of,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_attempts, coalesce(tries, 0) + 1)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN tries END AS tries,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_first_failed_at, failed_since)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN failed_since END AS failed_since,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_1 ELSE p_1 END AS p_1,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_2 ELSE p_2 END AS p_2,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_3 ELSE p_3 END AS p_3,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_4 ELSE p_4 END AS p_4,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_5 ELSE p_5 END AS p_5,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_6 ELSE p_6 END AS p_6,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_7 ELSE p_7 END AS p_7,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_8 ELSE p_8 END AS p_8,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_9 ELSE p_9 END AS p_9,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_10 ELSE p_10 END AS p_10,
  CASE WHEN op = 'unchanged' OR takes_new THEN v_11 ELSE p_11 END AS p_11
FROM (
  SELECT o.*,
    CASE
      WHEN op = 'unchanged' THEN 'present'
      WHEN op = 'kept' THEN coalesce(was, 'absent')
      WHEN op = 'removed' THEN
        CASE WHEN outcome = 'succeeded' THEN NULL
             WHEN outcome = 'unknown' OR was = 'unconfirmed' THEN 'unconfirmed'
             ELSE 'stale' END
      WHEN outcome = 'succeeded' THEN 'present'
      WHEN op = 'changed' THEN 'stale'
      WHEN op = 'added' AND outcome = 'unknown' THEN 'unconfirmed'
      WHEN op = 'added' THEN coalesce(was, 'absent')
    END AS state,
    (op IN ('added', 'changed') AND outcome = 'succeeded')
      OR (op = 'added' AND outcome = 'unknown' AND NOT coalesce(confirmed, FALSE)) AS takes_new
  FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(6)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS BOOLEAN) AS p_2, CAST(NULL AS DATE) AS p_3, CAST(NULL AS VARCHAR) AS p_4, CAST(NULL AS VARCHAR) AS p_5, CAST(NULL AS NUMBER(12, 2)) AS p_6, CAST(NULL AS VARCHAR) AS p_7, CAST(NULL AS FLOAT) AS p_8, CAST(NULL AS VARCHAR) AS p_9, CAST(NULL AS VARCHAR) AS p_10, CAST(NULL AS VARCHAR) AS p_11 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.row_id IN (SELECT row_id FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_KEYS")

  ) o
) states
WHERE state IS NOT NULL AND (state <> 'absent' OR tries IS NOT NULL OR outcome = 'failed')
),
wcdc_joined AS (
  SELECT
    k.row_id,
    k.base_hash,
    s.state AS was,
    s.try_run, s.try_of, s.tries, s.failed_since, s.gone AS pending,
    s.version AS was_version,
    s.hash AS was_hash,
    s.confirmed,
    s.p_1,
    s.p_2,
    s.p_3,
    s.p_4,
    s.p_5,
    s.p_6,
    s.p_7,
    s.p_8,
    s.p_9,
    s.p_10,
    s.p_11,
    k.k_1 AS v_1,
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
      WHEN m.in_model AND (s.state IS NULL OR s.state IN ('absent', 'unconfirmed')) THEN 'added'
      WHEN m.in_model AND s.state = 'stale' THEN 'changed'
      WHEN m.in_model AND (s.version IS NULL OR s.version <> 'cb97455691d13f8a') THEN 'changed'
      WHEN m.in_model AND (
        (s.hash IS NULL OR s.hash <> m.hash) AND ((m.v_2 IS DISTINCT FROM s.p_2) OR (m.v_3 IS DISTINCT FROM s.p_3) OR (m.v_4 IS DISTINCT FROM s.p_4) OR (m.v_5 IS DISTINCT FROM s.p_5) OR (m.v_6 IS DISTINCT FROM s.p_6) OR (m.v_7 IS DISTINCT FROM s.p_7) OR (m.v_8 IS DISTINCT FROM s.p_8) OR (m.v_9 IS DISTINCT FROM s.p_9) OR (m.v_10 IS DISTINCT FROM s.p_10) OR (m.v_11 IS DISTINCT FROM s.p_11))
      ) THEN 'changed'
      WHEN m.in_model THEN 'unchanged'
      WHEN s.state <> 'absent' THEN 'removed'
      ELSE 'gone'
    END AS op
  FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_KEYS" k
  LEFT JOIN wcdc_current m ON m.row_id = k.row_id
  LEFT JOIN wcdc_prior s ON s.row_id = k.row_id
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
  v_11,
  was,
  pending,
  base_hash,
  was_hash,
  was_version,
  confirmed,
  CASE WHEN try_of = op || ':' || coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS VARCHAR), '') || ':cb97455691d13f8a' THEN try_run END AS key_run,
  try_run,
  try_of,
  tries,
  failed_since,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_1 END AS p_1,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_2 END AS p_2,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_3 END AS p_3,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_4 END AS p_4,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_5 END AS p_5,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_6 END AS p_6,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_7 END AS p_7,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_8 END AS p_8,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_9 END AS p_9,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_10 END AS p_10,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_11 END AS p_11
FROM wcdc_joined
) wcdc_rows;

-- duplicates
SELECT count(*) - count(DISTINCT v_1) AS repeated
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
WHERE op NOT IN ('removed', 'gone', 'null_key');

-- stage_duplicates
ALTER TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" RENAME TO "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_STAGED";

-- resolve_duplicates
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
CATALOG = 'SNOWFLAKE' AS
SELECT CAST(row_id AS VARCHAR) AS row_id, CAST(op AS VARCHAR) AS op, copies, bucket, hash, v_1, v_2, v_3, v_4, v_5, v_6, v_7, v_8, v_9, v_10, v_11, CAST(was AS VARCHAR) AS was, pending, base_hash, was_hash, CAST(was_version AS VARCHAR) AS was_version, confirmed, CAST(key_run AS VARCHAR) AS key_run, CAST(try_run AS VARCHAR) AS try_run, CAST(try_of AS VARCHAR) AS try_of, tries, failed_since, p_1, p_2, p_3, p_4, p_5, p_6, p_7, p_8, p_9, p_10, p_11 FROM (
WITH wcdc_ranked AS (
  SELECT x.*,
    count(*) OVER (PARTITION BY row_id) AS wcdc_copies,
    row_number() OVER (PARTITION BY row_id ORDER BY CAST(v_1 AS VARCHAR) NULLS FIRST, CAST(v_2 AS VARCHAR) NULLS FIRST, TO_VARCHAR(v_3, 'YYYY-MM-DD') NULLS FIRST, v_4 NULLS FIRST, v_5 NULLS FIRST, RTRIM(RTRIM(CAST(v_6 AS VARCHAR), '0'), '.') NULLS FIRST, v_7 NULLS FIRST, CASE WHEN ABS(v_8) < 1e18 AND v_8 = TRUNC(v_8) THEN CAST(CAST(v_8 AS NUMBER(38, 0)) AS VARCHAR) ELSE CAST(v_8 AS VARCHAR) END NULLS FIRST, v_9 NULLS FIRST, v_10 NULLS FIRST, v_11 NULLS FIRST) AS wcdc_place
  FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_STAGED" x
  WHERE row_id IS NOT NULL
)
SELECT
  row_id,
  CASE WHEN wcdc_copies > 1 THEN 'kept' ELSE op END AS op,
  CASE WHEN wcdc_copies > 1 THEN wcdc_copies END AS copies,
  bucket,
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
  v_11,
  was, pending, base_hash, was_hash, was_version, confirmed, key_run, try_run, try_of, tries, failed_since,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_1 ELSE p_1 END ELSE p_1 END AS p_1,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_2 ELSE p_2 END ELSE p_2 END AS p_2,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_3 ELSE p_3 END ELSE p_3 END AS p_3,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_4 ELSE p_4 END ELSE p_4 END AS p_4,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_5 ELSE p_5 END ELSE p_5 END AS p_5,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_6 ELSE p_6 END ELSE p_6 END AS p_6,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_7 ELSE p_7 END ELSE p_7 END AS p_7,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_8 ELSE p_8 END ELSE p_8 END AS p_8,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_9 ELSE p_9 END ELSE p_9 END AS p_9,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_10 ELSE p_10 END ELSE p_10 END AS p_10,
  CASE WHEN wcdc_copies > 1 THEN CASE WHEN op = 'unchanged' THEN v_11 ELSE p_11 END ELSE p_11 END AS p_11
FROM wcdc_ranked
WHERE wcdc_place = 1
) wcdc_rows;

-- drop_staged
DROP TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_STAGED";

-- summary
SELECT
  op,
  coalesce(was, 'absent') AS was,
  coalesce(pending, FALSE) AS pending,
  coalesce(copies > 1, FALSE) AS duplicate,
  base_hash IS NOT NULL AS in_base,
  CASE WHEN op IN ('added', 'changed', 'removed') THEN bucket END AS bucket,
  count(*) AS row_count,
  BITXOR_AGG(hash) AS checksum
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" p
GROUP BY 1, 2, 3, 4, 5, 6;

-- create_rejections
CREATE ICEBERG TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" (
  row_id VARCHAR,
  op VARCHAR,
  chunk INTEGER,
  outcome VARCHAR,
  reason VARCHAR,
  permanent BOOLEAN,
  attempts INTEGER,
  first_failed_at TIMESTAMP_LTZ(6),
  last_failed_at TIMESTAMP_LTZ(6)
)
CATALOG = 'SNOWFLAKE';

-- read_removed
SELECT
  row_id,
  bucket,
  coalesce(key_run, '00000000000000000000000002') AS key_run,
  tries,
  failed_since,
  p_1 AS c_1,
  p_2 AS c_2,
  p_3 AS c_3,
  p_4 AS c_4,
  p_5 AS c_5,
  p_6 AS c_6,
  p_7 AS c_7,
  p_8 AS c_8,
  TO_TIMESTAMP_NTZ(LEFT(p_9, 26), 'YYYY-MM-DD"T"HH24:MI:SS.FF6') AS c_9,
  p_10 AS c_10,
  TO_TIMESTAMP_NTZ(LEFT(p_11, 26), 'YYYY-MM-DD"T"HH24:MI:SS.FF6') AS c_11
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
WHERE op = 'removed';

-- read_changed
SELECT
  row_id,
  bucket,
  coalesce(key_run, '00000000000000000000000002') AS key_run,
  tries,
  failed_since,
  v_1 AS c_1,
  v_2 AS c_2,
  v_3 AS c_3,
  v_4 AS c_4,
  v_5 AS c_5,
  v_6 AS c_6,
  v_7 AS c_7,
  v_8 AS c_8,
  TO_TIMESTAMP_NTZ(LEFT(v_9, 26), 'YYYY-MM-DD"T"HH24:MI:SS.FF6') AS c_9,
  v_10 AS c_10,
  TO_TIMESTAMP_NTZ(LEFT(v_11, 26), 'YYYY-MM-DD"T"HH24:MI:SS.FF6') AS c_11
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
WHERE op = 'changed';

-- read_added
SELECT
  row_id,
  bucket,
  coalesce(key_run, '00000000000000000000000002') AS key_run,
  tries,
  failed_since,
  v_1 AS c_1,
  v_2 AS c_2,
  v_3 AS c_3,
  v_4 AS c_4,
  v_5 AS c_5,
  v_6 AS c_6,
  v_7 AS c_7,
  v_8 AS c_8,
  TO_TIMESTAMP_NTZ(LEFT(v_9, 26), 'YYYY-MM-DD"T"HH24:MI:SS.FF6') AS c_9,
  v_10 AS c_10,
  TO_TIMESTAMP_NTZ(LEFT(v_11, 26), 'YYYY-MM-DD"T"HH24:MI:SS.FF6') AS c_11
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN"
WHERE op = 'added';

-- changelog
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
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'ACTIVE', p_2, 'BORN', TO_VARCHAR(p_3, 'YYYY-MM-DD'), 'EMAIL', p_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(p_5), TO_VARIANT(p_5)), 'LTV', p_6, 'REGION', p_7, 'SCORE', CASE WHEN p_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN p_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN p_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(p_8) END, 'SEEN', p_9, 'TOKEN', p_10, 'VISITED', p_11))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'ACTIVE', v_2, 'BORN', TO_VARCHAR(v_3, 'YYYY-MM-DD'), 'EMAIL', v_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(v_5), TO_VARIANT(v_5)), 'LTV', v_6, 'REGION', v_7, 'SCORE', CASE WHEN v_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN v_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN v_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(v_8) END, 'SEEN', v_9, 'TOKEN', v_10, 'VISITED', v_11))) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;

-- snapshot_1
UPDATE "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT"
SET op_type = 'unchanged', status = 'succeeded', failure_reason = NULL, sync_run_id = '00000000000000000000000002'
WHERE sync_id = 'people' AND op_type <> 'unchanged'
AND row_id NOT IN (SELECT row_id FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" WHERE row_id IS NOT NULL);

-- snapshot_2
DELETE FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT"
WHERE sync_id = 'people'
AND row_id IN (SELECT p.row_id FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" p WHERE p.row_id IS NOT NULL)
AND row_id NOT IN (
  SELECT t.row_id
  FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" t
  JOIN (
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
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'ACTIVE', p_2, 'BORN', TO_VARCHAR(p_3, 'YYYY-MM-DD'), 'EMAIL', p_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(p_5), TO_VARIANT(p_5)), 'LTV', p_6, 'REGION', p_7, 'SCORE', CASE WHEN p_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN p_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN p_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(p_8) END, 'SEEN', p_9, 'TOKEN', p_10, 'VISITED', p_11))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'ACTIVE', v_2, 'BORN', TO_VARCHAR(v_3, 'YYYY-MM-DD'), 'EMAIL', v_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(v_5), TO_VARIANT(v_5)), 'LTV', v_6, 'REGION', v_7, 'SCORE', CASE WHEN v_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN v_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN v_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(v_8) END, 'SEEN', v_9, 'TOKEN', v_10, 'VISITED', v_11))) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.row_id IS NOT NULL

) o
WHERE op NOT IN ('null_key', 'gone')
  ) a ON a.row_id = t.row_id
  WHERE t.sync_id = 'people'
    AND NOT (a.op = 'removed' AND a.outcome = 'succeeded')
    AND a.op_type = t.op_type
    AND a.status = t.status
    AND a.failure_reason IS NOT DISTINCT FROM t.failure_reason
    AND (a.op_type = 'unchanged' OR a.fields = t.fields)
);

-- snapshot_3
INSERT INTO "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', p_1, 'ACTIVE', p_2, 'BORN', TO_VARCHAR(p_3, 'YYYY-MM-DD'), 'EMAIL', p_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(p_5), TO_VARIANT(p_5)), 'LTV', p_6, 'REGION', p_7, 'SCORE', CASE WHEN p_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN p_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN p_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(p_8) END, 'SEEN', p_9, 'TOKEN', p_10, 'VISITED', p_11))) ELSE TO_JSON(TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('ID', v_1, 'ACTIVE', v_2, 'BORN', TO_VARCHAR(v_3, 'YYYY-MM-DD'), 'EMAIL', v_4, 'EXTRA', COALESCE(TRY_PARSE_JSON(v_5), TO_VARIANT(v_5)), 'LTV', v_6, 'REGION', v_7, 'SCORE', CASE WHEN v_8 = CAST('NaN' AS FLOAT) THEN TO_VARIANT('NaN') WHEN v_8 = CAST('inf' AS FLOAT) THEN TO_VARIANT('Infinity') WHEN v_8 = CAST('-inf' AS FLOAT) THEN TO_VARIANT('-Infinity') ELSE TO_VARIANT(v_8) END, 'SEEN', v_9, 'TOKEN', v_10, 'VISITED', v_11))) END AS fields
FROM (
SELECT p.*,
  r.attempts AS r_attempts, r.first_failed_at AS r_first_failed_at, r.reason AS r_reason,
  CASE
    WHEN p.op NOT IN ('added', 'changed', 'removed') THEN 'none'
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN r.outcome IS NOT NULL THEN r.outcome
    WHEN p.op = 'removed' THEN 'succeeded'
    WHEN p.op = 'changed' THEN 'succeeded'
    WHEN p.op = 'added' THEN 'succeeded'
    ELSE 'aborted'
  END AS outcome
FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_PLAN" p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.row_id IS NOT NULL

) o
WHERE op NOT IN ('null_key', 'gone')
) a
WHERE NOT (op = 'removed' AND outcome = 'succeeded')
  AND NOT EXISTS (SELECT 1 FROM "HIGHTOUCH_AUDIT"."SYNC_SNAPSHOT" t WHERE t.sync_id = 'people' AND t.row_id = a.row_id);
