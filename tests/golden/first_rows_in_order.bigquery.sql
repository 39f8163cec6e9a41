-- first_plan
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000001_plan`
DEFAULT COLLATE ''
CLUSTER BY op, bucket
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 36500 DAY)) AS
WITH wcdc_model AS (
select id as `id`, email as `email`, ltv as `ltv` from sales.people
order by id
limit 9
),
wcdc_stored AS (
  SELECT
    `id` AS v_1,
    CAST(CAST(`email` AS BYTES) AS STRING) AS v_2,
    `ltv` AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS STRING) AS row_id, FARM_FINGERPRINT(CONCAT(COALESCE(CONCAT(CAST(v_1 AS STRING), ','), ','), COALESCE(CONCAT(CAST(LENGTH(v_2) AS STRING), ':', v_2), ','), COALESCE(CONCAT(CAST(v_3 AS STRING), ','), ','))) AS `hash`, TRUE AS in_model
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
  (FARM_FINGERPRINT(row_id) & 16383) AS bucket,
  `hash`,
  v_1,
  v_2,
  v_3
FROM wcdc_joined;

-- copy_model
CREATE TABLE `hightouch_planner`.`people_00000000000000000000000002_model`
DEFAULT COLLATE ''
OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)) AS
SELECT `id` AS v_1, CAST(CAST(`email` AS BYTES) AS STRING) AS v_2, `ltv` AS v_3 FROM (
select id as `id`, email as `email`, ltv as `ltv` from sales.people
order by id
limit 9
) wcdc_model;
