-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan" AS
WITH wcdc_model AS (
select id as "id", email as "email", ltv as "ltv" from sales.people where id < 2
union all
(select id as "id", email as "email", ltv as "ltv" from sales.people where id >= 2)
order by 1 desc
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    ("email") COLLATE "binary" AS v_2,
    "ltv" AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (CAST(v_1 AS VARCHAR)) COLLATE "binary" AS row_id, hash(hash(v_1, v_2, v_3)) AS hash, TRUE AS in_model
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
  CAST(hash(row_id) >> 50 AS INTEGER) AS bucket,
  hash,
  v_1,
  v_2,
  v_3
FROM wcdc_joined;

-- copy_model
CREATE TABLE "hightouch_planner"."people_00000000000000000000000002_model" AS
SELECT "id" AS v_1, ("email") COLLATE "binary" AS v_2, "ltv" AS v_3 FROM (
select id as "id", email as "email", ltv as "ltv" from sales.people where id < 2
union all
(select id as "id", email as "email", ltv as "ltv" from sales.people where id >= 2)
order by 1 desc
) wcdc_model;
