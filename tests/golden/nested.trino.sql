-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan" AS
WITH wcdc_model AS (
select id as "id", stops as "stops", marks as "marks", extra as "extra" from sales.people
),
wcdc_stored AS (
  SELECT
    CAST("id" AS BIGINT) AS v_1,
    json_format("extra") AS v_2,
    json_format(CAST(transform_values(transform_keys("marks", (k1, e1) -> CAST(k1 AS VARCHAR)), (k1, e1) -> CAST(e1 AS JSON)) AS JSON)) AS v_3,
    json_format(CAST(transform("stops", e1 -> CASE WHEN e1 IS NOT NULL THEN CAST(CAST(ROW(CAST(e1[1] AS JSON), CAST(CAST(e1[2] AS VARCHAR) AS JSON)) AS ROW("a" JSON, "b" JSON)) AS JSON) END) AS JSON)) AS v_4
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, from_big_endian_64(xxhash64(to_utf8(concat(coalesce(CAST(v_1 AS VARCHAR), '') || ',', coalesce(CAST(length(v_2) AS VARCHAR) || ':' || v_2, ','), coalesce(CAST(length(v_3) AS VARCHAR) || ':' || v_3, ','), coalesce(CAST(length(v_4) AS VARCHAR) || ':' || v_4, ','))))) AS hash, TRUE AS in_model
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
  CAST(bitwise_and(from_big_endian_64(xxhash64(to_utf8(row_id))), 16383) AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2,
  v_3,
  v_4
FROM wcdc_joined;

-- copy_model
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_model" AS
SELECT CAST("id" AS BIGINT) AS v_1, json_format("extra") AS v_2, json_format(CAST(transform_values(transform_keys("marks", (k1, e1) -> CAST(k1 AS VARCHAR)), (k1, e1) -> CAST(e1 AS JSON)) AS JSON)) AS v_3, json_format(CAST(transform("stops", e1 -> CASE WHEN e1 IS NOT NULL THEN CAST(CAST(ROW(CAST(e1[1] AS JSON), CAST(CAST(e1[2] AS VARCHAR) AS JSON)) AS ROW("a" JSON, "b" JSON)) AS JSON) END) AS JSON)) AS v_4 FROM (
select id as "id", stops as "stops", marks as "marks", extra as "extra" from sales.people
) wcdc_model;

-- first_changelog
INSERT INTO "hightouch_audit"."sync_changelog" (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN concat('{', '"id":', coalesce(CAST(p_1 AS VARCHAR), 'null'), ',"extra":', coalesce(p_2, 'null'), ',"marks":', coalesce(p_3, 'null'), ',"stops":', coalesce(p_4, 'null'), '}') ELSE concat('{', '"id":', coalesce(CAST(v_1 AS VARCHAR), 'null'), ',"extra":', coalesce(v_2, 'null'), ',"marks":', coalesce(v_3, 'null'), ',"stops":', coalesce(v_4, 'null'), '}') END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP(6) WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS VARCHAR) AS p_3, CAST(NULL AS VARCHAR) AS p_4 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
