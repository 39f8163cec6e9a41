-- first_plan
CREATE TABLE [hightouch_planner].[people_00000000000000000000000001_plan]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
WITH wcdc_model AS (
select id as [id], email as [email], ltv as [ltv] from sales.people where id < 2
union all
(select id as [id], email as [email], ltv as [ltv] from sales.people where id >= 2)
),
wcdc_stored AS (
  SELECT
    CAST([id] AS BIGINT) AS v_1,
    CAST([email] AS NVARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_2,
    CAST([ltv] AS DECIMAL(12, 2)) AS v_3
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, CAST(v_1 AS NVARCHAR(50)) AS row_id, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS NVARCHAR(50)), '') + ',' AS NVARCHAR(MAX)), COALESCE(CAST(DATALENGTH(v_2) AS NVARCHAR(50)) + ':' + v_2, ','), COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_3 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',')) AS VARBINARY(8)) AS BIGINT) AS hash, CAST(1 AS BIT) AS in_model
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
      WHEN (m.in_model = 1) AND m.row_id IS NULL THEN 'null_key'
      ELSE 'added'
    END AS op
  FROM wcdc_current m
)
SELECT
  row_id,
  op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(CAST(CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(8)) AS BIGINT) & 16383 AS INT) AS bucket,
  hash,
  v_1,
  v_2,
  v_3
FROM wcdc_joined;

-- copy_model
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_model]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
SELECT CAST([id] AS BIGINT) AS v_1, CAST([email] AS NVARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_2, CAST([ltv] AS DECIMAL(12, 2)) AS v_3 FROM (
select id as [id], email as [email], ltv as [ltv] from sales.people where id < 2
union all
(select id as [id], email as [email], ltv as [ltv] from sales.people where id >= 2)
) wcdc_model;
