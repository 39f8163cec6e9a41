-- first_plan
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000001_PLAN" AS
WITH wcdc_model AS (
select id as "id", email as "email", ltv as "ltv" from sales.people where id < 2
union all
(select id as "id", email as "email", ltv as "ltv" from sales.people where id >= 2)
order by 1 desc
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    COLLATE("email", '') AS v_2,
    "ltv" AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS VARCHAR) AS row_id, (MD5_NUMBER_LOWER64(CONCAT(COALESCE(CAST(v_1 AS VARCHAR), '') || ',', COALESCE(CAST(LENGTH(v_2) AS VARCHAR) || ':' || v_2, ','), COALESCE(CAST(v_3 AS VARCHAR), '') || ',')) - 9223372036854775808) AS hash, TRUE AS in_model
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
  CAST(MOD(MD5_NUMBER_LOWER64(row_id), 16384) AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2,
  v_3
FROM wcdc_joined;

-- copy_model
CREATE TRANSIENT TABLE "HIGHTOUCH_PLANNER"."PEOPLE_00000000000000000000000002_MODEL" AS
SELECT "id" AS v_1, COLLATE("email", '') AS v_2, "ltv" AS v_3 FROM (
select id as "id", email as "email", ltv as "ltv" from sales.people where id < 2
union all
(select id as "id", email as "email", ltv as "ltv" from sales.people where id >= 2)
order by 1 desc
) wcdc_model;
