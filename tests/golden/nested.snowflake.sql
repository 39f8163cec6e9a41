-- first_plan
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" AS
WITH wcdc_model AS (
select id as "id", stops as "stops", marks as "marks", extra as "extra" from sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    TO_JSON(TO_VARIANT("extra")) AS v_2,
    TO_JSON(TO_VARIANT("marks")) AS v_3,
    TO_JSON(TO_VARIANT("stops")) AS v_4
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_2) AS VARCHAR) || ':' || v_2, ','), COALESCE(CAST(LENGTH(v_3) AS VARCHAR) || ':' || v_3, ','), COALESCE(CAST(LENGTH(v_4) AS VARCHAR) || ':' || v_4, ','))) - 9223372036854775808) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id AS row_id,
    m.v_1 AS v_1,
    m.v_2 AS v_2,
    m.v_3 AS v_3,
    m.v_4 AS v_4,
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
  v_4
FROM wcdc_joined;

-- copy_model
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_MODEL" AS
SELECT "id" AS v_1, TO_JSON(TO_VARIANT("extra")) AS v_2, TO_JSON(TO_VARIANT("marks")) AS v_3, TO_JSON(TO_VARIANT("stops")) AS v_4 FROM (
select id as "id", stops as "stops", marks as "marks", extra as "extra" from sales.people
) wcdc_model;

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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('id', p_1, 'extra', COALESCE(TRY_PARSE_JSON(p_2), TO_VARIANT(p_2)), 'marks', COALESCE(TRY_PARSE_JSON(p_3), TO_VARIANT(p_3)), 'stops', COALESCE(TRY_PARSE_JSON(p_4), TO_VARIANT(p_4)))) ELSE TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL('id', v_1, 'extra', COALESCE(TRY_PARSE_JSON(v_2), TO_VARIANT(v_2)), 'marks', COALESCE(TRY_PARSE_JSON(v_3), TO_VARIANT(v_3)), 'stops', COALESCE(TRY_PARSE_JSON(v_4), TO_VARIANT(v_4)))) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS NUMBER(38, 0)) AS base_hash, CAST(NULL AS NUMBER(38, 0)) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP_LTZ(9)) AS failed_since, CAST(NULL AS NUMBER(38, 0)) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS VARCHAR) AS p_3, CAST(NULL AS VARCHAR) AS p_4 FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" wcdc_lean) p
LEFT JOIN (SELECT * FROM "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_REJECTIONS" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
