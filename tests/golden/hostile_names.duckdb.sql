-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan" AS
WITH wcdc_model AS (
select id as "[first] key", email as "second ""key""", ltv as "it's", ltv as "back`tick", ltv as "back\slash", ltv as "dot.ted", ltv as "select", ltv as "CamelCase", ltv as "naïve 名", ltv as "per%cent %s", ltv as ":name", ltv as "{{ braces }}", ltv as "semi;colon", ltv as "-- dashes", ltv as "/* stars" from sales.people
),
wcdc_stored AS (
  SELECT
    "[first] key" AS v_1,
    ("second ""key""") COLLATE "binary" AS v_2,
    "-- dashes" AS v_3,
    "/* stars" AS v_4,
    ":name" AS v_5,
    "CamelCase" AS v_6,
    "back\slash" AS v_7,
    "back`tick" AS v_8,
    "dot.ted" AS v_9,
    "it's" AS v_10,
    "naïve 名" AS v_11,
    "per%cent %s" AS v_12,
    "select" AS v_13,
    "semi;colon" AS v_14,
    "{{ braces }}" AS v_15
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (('[' || CASE WHEN contains(CAST(to_json(CAST(v_1 AS VARCHAR)) AS VARCHAR), '\u00') THEN concat('"', array_to_string([CASE WHEN x < ' ' THEN lower(CAST(to_json(x) AS VARCHAR)[2:-2]) ELSE CAST(to_json(x) AS VARCHAR)[2:-2] END FOR x IN string_split(CAST(v_1 AS VARCHAR), '')], ''), '"') ELSE CAST(to_json(CAST(v_1 AS VARCHAR)) AS VARCHAR) END || ',' || CASE WHEN contains(CAST(to_json(CAST(v_2 AS VARCHAR)) AS VARCHAR), '\u00') THEN concat('"', array_to_string([CASE WHEN x < ' ' THEN lower(CAST(to_json(x) AS VARCHAR)[2:-2]) ELSE CAST(to_json(x) AS VARCHAR)[2:-2] END FOR x IN string_split(CAST(v_2 AS VARCHAR), '')], ''), '"') ELSE CAST(to_json(CAST(v_2 AS VARCHAR)) AS VARCHAR) END || ']')) COLLATE "binary" AS row_id, hash(hash(v_1, v_2, v_3, v_4, v_5, v_6, v_7, v_8, v_9, v_10, v_11, v_12, v_13, v_14, v_15)) AS hash, TRUE AS in_model
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
    m.v_12 AS v_12,
    m.v_13 AS v_13,
    m.v_14 AS v_14,
    m.v_15 AS v_15,
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
  CAST(hash(row_id) >> 50 AS INTEGER) AS bucket,
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
  v_12,
  v_13,
  v_14,
  v_15
FROM wcdc_joined;

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
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN json_object('[first] key', p_1, 'second "key"', p_2, '-- dashes', p_3, '/* stars', p_4, ':name', p_5, 'CamelCase', p_6, 'back\slash', p_7, 'back`tick', p_8, 'dot.ted', p_9, 'it''s', p_10, 'naïve 名', p_11, 'per%cent %s', p_12, 'select', p_13, 'semi;colon', p_14, '{{ braces }}', p_15) ELSE json_object('[first] key', v_1, 'second "key"', v_2, '-- dashes', v_3, '/* stars', v_4, ':name', v_5, 'CamelCase', v_6, 'back\slash', v_7, 'back`tick', v_8, 'dot.ted', v_9, 'it''s', v_10, 'naïve 名', v_11, 'per%cent %s', v_12, 'select', v_13, 'semi;colon', v_14, '{{ braces }}', v_15) END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS VARCHAR) AS was, CAST(NULL AS BOOLEAN) AS pending, CAST(NULL AS UBIGINT) AS base_hash, CAST(NULL AS UBIGINT) AS was_hash, CAST(NULL AS VARCHAR) AS was_version, CAST(NULL AS BOOLEAN) AS confirmed, CAST(NULL AS VARCHAR) AS key_run, CAST(NULL AS VARCHAR) AS try_run, CAST(NULL AS VARCHAR) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS VARCHAR) AS p_2, CAST(NULL AS DECIMAL(12, 2)) AS p_3, CAST(NULL AS DECIMAL(12, 2)) AS p_4, CAST(NULL AS DECIMAL(12, 2)) AS p_5, CAST(NULL AS DECIMAL(12, 2)) AS p_6, CAST(NULL AS DECIMAL(12, 2)) AS p_7, CAST(NULL AS DECIMAL(12, 2)) AS p_8, CAST(NULL AS DECIMAL(12, 2)) AS p_9, CAST(NULL AS DECIMAL(12, 2)) AS p_10, CAST(NULL AS DECIMAL(12, 2)) AS p_11, CAST(NULL AS DECIMAL(12, 2)) AS p_12, CAST(NULL AS DECIMAL(12, 2)) AS p_13, CAST(NULL AS DECIMAL(12, 2)) AS p_14, CAST(NULL AS DECIMAL(12, 2)) AS p_15 FROM "hightouch_planner"."people_00000000000000000000000001_plan" wcdc_lean) p
LEFT JOIN (SELECT * FROM "hightouch_planner"."people_00000000000000000000000001_rejections" WHERE (chunk >= 0 AND chunk < 3)) r ON r.row_id = p.row_id
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
