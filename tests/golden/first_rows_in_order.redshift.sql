-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan"
DISTKEY (row_id)
SORTKEY (op, bucket) AS
WITH wcdc_model AS (
select id as "id", email as "email", ltv as "ltv" from sales.people
order by id
limit 9
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    CAST("email" AS VARCHAR(65535)) AS v_2,
    "ltv" AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR(65535)) AS row_id, FARMFINGERPRINT64(CASE WHEN v_1 IS NOT NULL THEN CAST(FNV_HASH(v_1) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_2 IS NOT NULL THEN CAST(OCTET_LENGTH(v_2) AS VARCHAR(20)) || ':' || CAST(FARMFINGERPRINT64(v_2) AS VARCHAR(20)) || ',' ELSE '-,' END || CASE WHEN v_3 IS NOT NULL THEN CAST(FARMFINGERPRINT64(CASE WHEN strpos(CAST(v_3 AS VARCHAR(65535)), '.') > 0 THEN rtrim(rtrim(CAST(v_3 AS VARCHAR(65535)), '0'), '.') ELSE CAST(v_3 AS VARCHAR(65535)) END) AS VARCHAR(20)) || ',' ELSE '-,' END) AS hash, TRUE AS in_model
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
SELECT "id" AS v_1, CAST("email" AS VARCHAR(65535)) AS v_2, "ltv" AS v_3 FROM (
select id as "id", email as "email", ltv as "ltv" from sales.people
order by id
limit 9
) wcdc_model;
