-- first_plan
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000001_plan`
USING DELTA AS
WITH wcdc_model AS (
select id as `id`, email as `email`, ltv as `ltv` from sales.people where id < 2
union all
(select id as `id`, email as `email`, ltv as `ltv` from sales.people where id >= 2)
order by 1 desc
),
wcdc_stored AS (
  SELECT
    `id` AS v_1,
    `email` AS v_2,
    `ltv` AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS STRING) AS row_id, xxhash64(concat(concat(coalesce(CAST(v_1 AS STRING), ''), ','), coalesce(concat(CAST(octet_length(v_2) AS STRING), ':', v_2), ','), concat(coalesce(trim(TRAILING '.' FROM trim(TRAILING '0' FROM CAST(v_3 AS STRING))), ''), ','))) AS hash, TRUE AS in_model
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
  CAST(xxhash64(row_id) & 16383 AS INT) AS bucket,
  hash,
  v_1,
  v_2,
  v_3
FROM wcdc_joined;

-- copy_model
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_model`
USING DELTA
TBLPROPERTIES ('delta.columnMapping.mode' = 'name') AS
SELECT `id` AS v_1, `email` AS v_2, `ltv` AS v_3 FROM (
select id as `id`, email as `email`, ltv as `ltv` from sales.people where id < 2
union all
(select id as `id`, email as `email`, ltv as `ltv` from sales.people where id >= 2)
order by 1 desc
) wcdc_model;
