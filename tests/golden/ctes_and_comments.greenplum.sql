-- first_plan
CREATE TABLE "hightouch_planner"."people_00000000000000000000000001_plan" AS
WITH wcdc_model AS (
-- a model; with 'comments' "of" every `kind
with everyone as (
  select id, email, ltv from sales.people -- all of them; no WHERE
), /* ; */ few as (
  select /*+ a hint */ id, email, ltv from everyone where id > 0 -- don't stop here
)
select id as "id", email as "email", ltv as "ltv" from few -- no line ends this
),
wcdc_stored AS (
  SELECT
    "id" AS v_1,
    ("email")::text COLLATE "C" AS v_2,
    "ltv" AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (((v_1)::text) COLLATE "C") COLLATE "C" AS row_id, hashtextextended(coalesce(CAST(length(((v_1)::text) COLLATE "C") AS TEXT) || ':' || ((v_1)::text) COLLATE "C", '-') || coalesce(CAST(length(((v_2)::text) COLLATE "C") AS TEXT) || ':' || ((v_2)::text) COLLATE "C", '-') || coalesce(CAST(length(CASE WHEN strpos(CAST(v_3 AS TEXT), '.') > 0 THEN rtrim(rtrim(CAST(v_3 AS TEXT), '0'), '.') ELSE CAST(v_3 AS TEXT) END) AS TEXT) || ':' || CASE WHEN strpos(CAST(v_3 AS TEXT), '.') > 0 THEN rtrim(rtrim(CAST(v_3 AS TEXT), '0'), '.') ELSE CAST(v_3 AS TEXT) END, '-'), 0) AS hash, TRUE AS in_model
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
  (hashtextextended(row_id, 0) & 16383)::integer AS bucket,
  hash,
  v_1,
  v_2,
  v_3
FROM wcdc_joined
DISTRIBUTED BY (row_id);
