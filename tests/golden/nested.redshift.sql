-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan"
DISTKEY (row_id)
SORTKEY (op, bucket) AS
WITH wcdc_model AS (
select id as "id", stops as "stops", extra as "extra" from sales.people
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    JSON_SERIALIZE("extra") AS v_2,
    JSON_SERIALIZE("stops") AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR(65535)) AS row_id, FARMFINGERPRINT64(CASE WHEN v_1 IS NOT NULL THEN CAST(FNV_HASH(v_1) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_2 IS NOT NULL THEN CAST(OCTET_LENGTH(v_2) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_2) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_3 IS NOT NULL THEN CAST(OCTET_LENGTH(v_3) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_3) AS VARCHAR(20)) || ',' ELSE '-,' END) AS hash, TRUE AS in_model
  FROM wcdc_stored x
),
wcdc_joined AS (
  SELECT
    m.row_id AS row_id,
    m.v_1 AS v_1,
    m.v_2 AS v_2,
    m.v_3 AS v_3,
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
  CAST(FARMFINGERPRINT64(row_id) & 16383 AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2,
  v_3
FROM wcdc_joined;

-- copy_model
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_model" AS
SELECT "id" AS v_1, JSON_SERIALIZE("extra") AS v_2, JSON_SERIALIZE("stops") AS v_3 FROM (
select id as "id", stops as "stops", extra as "extra" from sales.people
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
    WHEN copies > 1 THEN 'duplicate primary key (' || CAST(copies AS VARCHAR(65535)) || ' rows)'
    WHEN outcome = 'unknown' THEN 'outcome unknown' || coalesce(': ' || r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN 'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CASE WHEN COALESCE(OCTET_LENGTH(p_2), 0) + COALESCE(OCTET_LENGTH(p_3), 0) <= 65271 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"extra":' || COALESCE(p_2, 'null') || ',' || '"stops":' || COALESCE(p_3, 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(p_1 AS VARCHAR(65535)), 'null') || ',' || '"extra":' || COALESCE(CASE WHEN COALESCE(OCTET_LENGTH(p_2), 0) <= 32635 THEN p_2 ELSE JSON_SERIALIZE(CAST(LEFT(p_2, 5439) AS SUPER)) END, 'null') || ',' || '"stops":' || COALESCE(CASE WHEN COALESCE(OCTET_LENGTH(p_3), 0) <= 32635 THEN p_3 ELSE JSON_SERIALIZE(CAST(LEFT(p_3, 5439) AS SUPER)) END, 'null') || '}') END ELSE CASE WHEN COALESCE(OCTET_LENGTH(v_2), 0) + COALESCE(OCTET_LENGTH(v_3), 0) <= 65271 THEN JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"extra":' || COALESCE(v_2, 'null') || ',' || '"stops":' || COALESCE(v_3, 'null') || '}') ELSE JSON_PARSE('{' || '"id":' || COALESCE(CAST(v_1 AS VARCHAR(65535)), 'null') || ',' || '"extra":' || COALESCE(CASE WHEN COALESCE(OCTET_LENGTH(v_2), 0) <= 32635 THEN v_2 ELSE JSON_SERIALIZE(CAST(LEFT(v_2, 5439) AS SUPER)) END, 'null') || ',' || '"stops":' || COALESCE(CASE WHEN COALESCE(OCTET_LENGTH(v_3), 0) <= 32635 THEN v_3 ELSE JSON_SERIALIZE(CAST(LEFT(v_3, 5439) AS SUPER)) END, 'null') || '}') END END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR(65535)) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS VARCHAR(65535)) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR(65535)) AS key_run, CAST(NULL AS VARCHAR(65535)) AS try_run, CAST(NULL AS VARCHAR(65535)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMPTZ) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR(65535)) AS p_2, CAST(NULL AS VARCHAR(65535)) AS p_3 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON (r.row_id = p.row_id AND SHA2(r.row_id, 256) = SHA2(p.row_id, 256))
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
