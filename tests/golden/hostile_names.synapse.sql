-- first_plan
CREATE TABLE [hightouch_planner].[people_00000000000000000000000001_plan]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
WITH wcdc_model AS (
select id as [[first]] key], email as [second "key"], ltv as [it's], ltv as [back`tick], ltv as [back\slash], ltv as [dot.ted], ltv as [select], ltv as [CamelCase], ltv as [naïve 名], ltv as [per%cent %s], ltv as [:name], ltv as [{{ braces }}], ltv as [semi;colon], ltv as [-- dashes], ltv as [/* stars] from sales.people
),
wcdc_stored AS (
  SELECT
    CAST([[first]] key] AS BIGINT) AS v_1,
    CAST([second "key"] AS NVARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_2,
    CAST([-- dashes] AS DECIMAL(12, 2)) AS v_3,
    CAST([/* stars] AS DECIMAL(12, 2)) AS v_4,
    CAST([:name] AS DECIMAL(12, 2)) AS v_5,
    CAST([CamelCase] AS DECIMAL(12, 2)) AS v_6,
    CAST([back\slash] AS DECIMAL(12, 2)) AS v_7,
    CAST([back`tick] AS DECIMAL(12, 2)) AS v_8,
    CAST([dot.ted] AS DECIMAL(12, 2)) AS v_9,
    CAST([it's] AS DECIMAL(12, 2)) AS v_10,
    CAST([naïve 名] AS DECIMAL(12, 2)) AS v_11,
    CAST([per%cent %s] AS DECIMAL(12, 2)) AS v_12,
    CAST([select] AS DECIMAL(12, 2)) AS v_13,
    CAST([semi;colon] AS DECIMAL(12, 2)) AS v_14,
    CAST([{{ braces }}] AS DECIMAL(12, 2)) AS v_15
  FROM wcdc_model
),
wcdc_current AS (
  SELECT x.*, (CAST('[' AS NVARCHAR(MAX)) + CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CAST(v_1 AS NVARCHAR(50)) COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"' + ',' + CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_2 COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"' + ']') COLLATE DATABASE_DEFAULT AS row_id, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS NVARCHAR(50)), '') + ',' AS NVARCHAR(MAX)), COALESCE(CAST(DATALENGTH(v_2) AS NVARCHAR(50)) + ':' + v_2, ','), COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_3 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_4 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_5 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_6 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_7 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_8 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_9 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_10 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_11 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_12 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_13 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_14 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_15 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',')) AS VARBINARY(8)) AS BIGINT) AS hash, CAST(1 AS BIT) AS in_model
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

-- copy_model
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_model]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
SELECT CAST([[first]] key] AS BIGINT) AS v_1, CAST([second "key"] AS NVARCHAR(MAX)) COLLATE DATABASE_DEFAULT AS v_2, CAST([-- dashes] AS DECIMAL(12, 2)) AS v_3, CAST([/* stars] AS DECIMAL(12, 2)) AS v_4, CAST([:name] AS DECIMAL(12, 2)) AS v_5, CAST([CamelCase] AS DECIMAL(12, 2)) AS v_6, CAST([back\slash] AS DECIMAL(12, 2)) AS v_7, CAST([back`tick] AS DECIMAL(12, 2)) AS v_8, CAST([dot.ted] AS DECIMAL(12, 2)) AS v_9, CAST([it's] AS DECIMAL(12, 2)) AS v_10, CAST([naïve 名] AS DECIMAL(12, 2)) AS v_11, CAST([per%cent %s] AS DECIMAL(12, 2)) AS v_12, CAST([select] AS DECIMAL(12, 2)) AS v_13, CAST([semi;colon] AS DECIMAL(12, 2)) AS v_14, CAST([{{ braces }}] AS DECIMAL(12, 2)) AS v_15 FROM (
select id as [[first]] key], email as [second "key"], ltv as [it's], ltv as [back`tick], ltv as [back\slash], ltv as [dot.ted], ltv as [select], ltv as [CamelCase], ltv as [naïve 名], ltv as [per%cent %s], ltv as [:name], ltv as [{{ braces }}], ltv as [semi;colon], ltv as [-- dashes], ltv as [/* stars] from sales.people
) wcdc_model;

-- plan
CREATE TABLE [hightouch_planner].[people_00000000000000000000000002_plan]
WITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS
WITH wcdc_model AS (
SELECT * FROM [hightouch_planner].[people_00000000000000000000000002_model]
),
wcdc_stored AS (
  SELECT
    v_1 AS v_1,
    v_2 AS v_2,
    v_3 AS v_3,
    v_4 AS v_4,
    v_5 AS v_5,
    v_6 AS v_6,
    v_7 AS v_7,
    v_8 AS v_8,
    v_9 AS v_9,
    v_10 AS v_10,
    v_11 AS v_11,
    v_12 AS v_12,
    v_13 AS v_13,
    v_14 AS v_14,
    v_15 AS v_15
  FROM wcdc_model
),
wcdc_found AS (
  SELECT x.*, k.row_id
  FROM wcdc_stored x
  JOIN [hightouch_planner].[people_00000000000000000000000002_keys] k ON x.v_1 = k.k_1 AND CAST(HASHBYTES('SHA2_256', x.v_2) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', k.k_2) AS VARBINARY(32))
),
wcdc_current AS (
  SELECT x.*, CAST(CAST(HASHBYTES('SHA2_256', CONCAT(CAST(COALESCE(CAST(v_1 AS NVARCHAR(50)), '') + ',' AS NVARCHAR(MAX)), COALESCE(CAST(DATALENGTH(v_2) AS NVARCHAR(50)) + ':' + v_2, ','), COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_3 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_4 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_5 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_6 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_7 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_8 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_9 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_10 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_11 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_12 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_13 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_14 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_15 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), '') + ',')) AS VARBINARY(8)) AS BIGINT) AS hash, CAST(1 AS BIT) AS in_model
  FROM wcdc_found x
),
wcdc_prior AS (
SELECT
  row_id,
  state,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN 'd91bd0dd4ba29d1f' ELSE was_version END AS version,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN hash ELSE was_hash END AS hash,
  CASE WHEN op = 'unchanged' OR outcome = 'succeeded' THEN CAST(1 AS BIT) ELSE coalesce(confirmed, CAST(0 AS BIT)) END AS confirmed,
  CAST(CASE WHEN op = 'removed' THEN 1 ELSE 0 END AS BIT) AS gone,
  CASE WHEN outcome = 'unknown' THEN coalesce(key_run, N'00000000000000000000000001') WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_run END AS try_run,
  CASE WHEN outcome = 'unknown' THEN CAST(op AS NVARCHAR(MAX)) + ':' + coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS NVARCHAR(MAX)), '') + ':d91bd0dd4ba29d1f' WHEN op = 'unchanged' OR outcome = 'succeeded' THEN NULL ELSE try_of END AS try_of,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_attempts, coalesce(tries, 0) + 1)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN tries END AS tries,
  CASE WHEN outcome IN ('failed', 'unknown') THEN coalesce(r_first_failed_at, failed_since)
       WHEN outcome IN ('aborted', 'none') AND op <> 'unchanged' THEN failed_since END AS failed_since,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_1 ELSE p_1 END AS p_1,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_2 ELSE p_2 END AS p_2,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_3 ELSE p_3 END AS p_3,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_4 ELSE p_4 END AS p_4,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_5 ELSE p_5 END AS p_5,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_6 ELSE p_6 END AS p_6,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_7 ELSE p_7 END AS p_7,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_8 ELSE p_8 END AS p_8,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_9 ELSE p_9 END AS p_9,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_10 ELSE p_10 END AS p_10,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_11 ELSE p_11 END AS p_11,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_12 ELSE p_12 END AS p_12,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_13 ELSE p_13 END AS p_13,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_14 ELSE p_14 END AS p_14,
  CASE WHEN op = 'unchanged' OR (takes_new = 1) THEN v_15 ELSE p_15 END AS p_15
FROM (
  SELECT o.*,
    CASE
      WHEN op = 'unchanged' THEN 'present'
      WHEN op = 'kept' THEN coalesce(was, 'absent')
      WHEN op = 'removed' THEN
        CASE WHEN outcome = 'succeeded' THEN NULL
             WHEN outcome = 'unknown' OR was = 'unconfirmed' THEN 'unconfirmed'
             ELSE 'stale' END
      WHEN outcome = 'succeeded' THEN 'present'
      WHEN op = 'changed' THEN 'stale'
      WHEN op = 'added' AND outcome = 'unknown' THEN 'unconfirmed'
      WHEN op = 'added' THEN coalesce(was, 'absent')
    END AS state,
    CAST(CASE WHEN (op IN ('added', 'changed') AND outcome = 'succeeded')
      OR (op = 'added' AND outcome = 'unknown' AND NOT (coalesce(confirmed, CAST(0 AS BIT)) = 1)) THEN 1 ELSE 0 END AS BIT) AS takes_new
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS NVARCHAR(MAX)) AS was, CAST(NULL AS BIT) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS NVARCHAR(MAX)) AS was_version, CAST(NULL AS BIT) AS confirmed, CAST(NULL AS NVARCHAR(MAX)) AS key_run, CAST(NULL AS NVARCHAR(MAX)) AS try_run, CAST(NULL AS NVARCHAR(MAX)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS DATETIME2(6)) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS NVARCHAR(MAX)) AS p_2, CAST(NULL AS DECIMAL(12, 2)) AS p_3, CAST(NULL AS DECIMAL(12, 2)) AS p_4, CAST(NULL AS DECIMAL(12, 2)) AS p_5, CAST(NULL AS DECIMAL(12, 2)) AS p_6, CAST(NULL AS DECIMAL(12, 2)) AS p_7, CAST(NULL AS DECIMAL(12, 2)) AS p_8, CAST(NULL AS DECIMAL(12, 2)) AS p_9, CAST(NULL AS DECIMAL(12, 2)) AS p_10, CAST(NULL AS DECIMAL(12, 2)) AS p_11, CAST(NULL AS DECIMAL(12, 2)) AS p_12, CAST(NULL AS DECIMAL(12, 2)) AS p_13, CAST(NULL AS DECIMAL(12, 2)) AS p_14, CAST(NULL AS DECIMAL(12, 2)) AS p_15 FROM [hightouch_planner].[people_00000000000000000000000001_plan] wcdc_lean) p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000001_rejections] WHERE chunk < 3) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))
WHERE p.row_id IN (SELECT row_id FROM [hightouch_planner].[people_00000000000000000000000002_keys])

  ) o
) states
WHERE state IS NOT NULL AND (state <> 'absent' OR tries IS NOT NULL OR outcome = 'failed')
),
wcdc_joined AS (
  SELECT
    k.row_id,
    k.base_hash,
    s.state AS was,
    s.try_run, s.try_of, s.tries, s.failed_since, s.gone AS pending,
    s.version AS was_version,
    s.hash AS was_hash,
    s.confirmed,
    s.p_1,
    s.p_2,
    s.p_3,
    s.p_4,
    s.p_5,
    s.p_6,
    s.p_7,
    s.p_8,
    s.p_9,
    s.p_10,
    s.p_11,
    s.p_12,
    s.p_13,
    s.p_14,
    s.p_15,
    k.k_1 AS v_1,
    k.k_2 AS v_2,
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
      WHEN (m.in_model = 1) AND m.row_id IS NULL THEN 'null_key'
      WHEN (m.in_model = 1) AND (s.state IS NULL OR s.state IN ('absent', 'unconfirmed')) THEN 'added'
      WHEN (m.in_model = 1) AND s.state = 'stale' THEN 'changed'
      WHEN (m.in_model = 1) AND (s.version IS NULL OR s.version <> 'd91bd0dd4ba29d1f') THEN 'changed'
      WHEN (m.in_model = 1) AND (
        (s.hash IS NULL OR s.hash <> m.hash) AND (((m.v_3 IS NOT NULL AND s.p_3 IS NOT NULL AND m.v_3 <> s.p_3) OR (m.v_3 IS NULL AND s.p_3 IS NOT NULL) OR (m.v_3 IS NOT NULL AND s.p_3 IS NULL)) OR ((m.v_4 IS NOT NULL AND s.p_4 IS NOT NULL AND m.v_4 <> s.p_4) OR (m.v_4 IS NULL AND s.p_4 IS NOT NULL) OR (m.v_4 IS NOT NULL AND s.p_4 IS NULL)) OR ((m.v_5 IS NOT NULL AND s.p_5 IS NOT NULL AND m.v_5 <> s.p_5) OR (m.v_5 IS NULL AND s.p_5 IS NOT NULL) OR (m.v_5 IS NOT NULL AND s.p_5 IS NULL)) OR ((m.v_6 IS NOT NULL AND s.p_6 IS NOT NULL AND m.v_6 <> s.p_6) OR (m.v_6 IS NULL AND s.p_6 IS NOT NULL) OR (m.v_6 IS NOT NULL AND s.p_6 IS NULL)) OR ((m.v_7 IS NOT NULL AND s.p_7 IS NOT NULL AND m.v_7 <> s.p_7) OR (m.v_7 IS NULL AND s.p_7 IS NOT NULL) OR (m.v_7 IS NOT NULL AND s.p_7 IS NULL)) OR ((m.v_8 IS NOT NULL AND s.p_8 IS NOT NULL AND m.v_8 <> s.p_8) OR (m.v_8 IS NULL AND s.p_8 IS NOT NULL) OR (m.v_8 IS NOT NULL AND s.p_8 IS NULL)) OR ((m.v_9 IS NOT NULL AND s.p_9 IS NOT NULL AND m.v_9 <> s.p_9) OR (m.v_9 IS NULL AND s.p_9 IS NOT NULL) OR (m.v_9 IS NOT NULL AND s.p_9 IS NULL)) OR ((m.v_10 IS NOT NULL AND s.p_10 IS NOT NULL AND m.v_10 <> s.p_10) OR (m.v_10 IS NULL AND s.p_10 IS NOT NULL) OR (m.v_10 IS NOT NULL AND s.p_10 IS NULL)) OR ((m.v_11 IS NOT NULL AND s.p_11 IS NOT NULL AND m.v_11 <> s.p_11) OR (m.v_11 IS NULL AND s.p_11 IS NOT NULL) OR (m.v_11 IS NOT NULL AND s.p_11 IS NULL)) OR ((m.v_12 IS NOT NULL AND s.p_12 IS NOT NULL AND m.v_12 <> s.p_12) OR (m.v_12 IS NULL AND s.p_12 IS NOT NULL) OR (m.v_12 IS NOT NULL AND s.p_12 IS NULL)) OR ((m.v_13 IS NOT NULL AND s.p_13 IS NOT NULL AND m.v_13 <> s.p_13) OR (m.v_13 IS NULL AND s.p_13 IS NOT NULL) OR (m.v_13 IS NOT NULL AND s.p_13 IS NULL)) OR ((m.v_14 IS NOT NULL AND s.p_14 IS NOT NULL AND m.v_14 <> s.p_14) OR (m.v_14 IS NULL AND s.p_14 IS NOT NULL) OR (m.v_14 IS NOT NULL AND s.p_14 IS NULL)) OR ((m.v_15 IS NOT NULL AND s.p_15 IS NOT NULL AND m.v_15 <> s.p_15) OR (m.v_15 IS NULL AND s.p_15 IS NOT NULL) OR (m.v_15 IS NOT NULL AND s.p_15 IS NULL)))
      ) THEN 'changed'
      WHEN (m.in_model = 1) THEN 'unchanged'
      WHEN s.state <> 'absent' THEN 'removed'
      ELSE 'gone'
    END AS op
  FROM [hightouch_planner].[people_00000000000000000000000002_keys] k
  LEFT JOIN wcdc_current m ON CAST(HASHBYTES('SHA2_256', m.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', k.row_id) AS VARBINARY(32))
  LEFT JOIN wcdc_prior s ON CAST(HASHBYTES('SHA2_256', s.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', k.row_id) AS VARBINARY(32))
)
SELECT
  row_id,
  op,
  CAST(NULL AS BIGINT) AS copies,
  CAST(CAST(CAST(HASHBYTES('SHA2_256', row_id) AS VARBINARY(8)) AS BIGINT) & 16383 AS INT) AS bucket,
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
  v_15,
  was,
  pending,
  base_hash,
  was_hash,
  was_version,
  confirmed,
  CASE WHEN try_of = CAST(op AS NVARCHAR(MAX)) + ':' + coalesce(CAST(CASE WHEN op = 'removed' THEN was_hash ELSE hash END AS NVARCHAR(MAX)), '') + ':d91bd0dd4ba29d1f' THEN try_run END AS key_run,
  try_run,
  try_of,
  tries,
  failed_since,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_1 END AS p_1,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_2 END AS p_2,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_3 END AS p_3,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_4 END AS p_4,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_5 END AS p_5,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_6 END AS p_6,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_7 END AS p_7,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_8 END AS p_8,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_9 END AS p_9,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_10 END AS p_10,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_11 END AS p_11,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_12 END AS p_12,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_13 END AS p_13,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_14 END AS p_14,
  CASE WHEN op NOT IN ('unchanged', 'gone') THEN p_15 END AS p_15
FROM wcdc_joined;

-- first_changelog
INSERT INTO [hightouch_audit].[sync_changelog] (sync_id, sync_run_id, op_type, row_id, status, failure_reason, fields)
SELECT N'people', N'00000000000000000000000001', op_type, row_id, status, failure_reason, fields
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
    WHEN copies > 1 THEN CAST('duplicate primary key (' AS NVARCHAR(MAX)) + CAST(copies AS NVARCHAR(MAX)) + ' rows)'
    WHEN outcome = 'unknown' THEN CAST('outcome unknown' AS NVARCHAR(MAX)) + coalesce(CAST(': ' AS NVARCHAR(MAX)) + r_reason, '')
    WHEN outcome = 'failed' THEN coalesce(r_reason, 'failed')
    WHEN outcome = 'aborted' THEN N'not sent'
  END AS failure_reason,
  CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) THEN CONCAT(CAST('{' AS NVARCHAR(MAX)), N'"[first] key":', COALESCE(CAST(p_1 AS NVARCHAR(50)), 'null'), N',"second \"key\"":', COALESCE(CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(p_2 COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"', 'null'), N',"-- dashes":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_3 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"/* stars":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_4 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',":name":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_5 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"CamelCase":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_6 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"back\\slash":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_7 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"back`tick":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_8 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"dot.ted":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_9 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"it''s":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_10 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"naïve 名":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_11 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"per%cent %s":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_12 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"select":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_13 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"semi;colon":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_14 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"{{ braces }}":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(p_15 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), '}') ELSE CONCAT(CAST('{' AS NVARCHAR(MAX)), N'"[first] key":', COALESCE(CAST(v_1 AS NVARCHAR(50)), 'null'), N',"second \"key\"":', COALESCE(CAST('"' AS NVARCHAR(MAX)) + REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(v_2 COLLATE Latin1_General_100_BIN2, '\', '\\'), '"', '\"'), NCHAR(0), '\u0000'), NCHAR(1), '\u0001'), NCHAR(2), '\u0002'), NCHAR(3), '\u0003'), NCHAR(4), '\u0004'), NCHAR(5), '\u0005'), NCHAR(6), '\u0006'), NCHAR(7), '\u0007'), NCHAR(8), '\b'), NCHAR(9), '\t'), NCHAR(10), '\n'), NCHAR(11), '\u000b'), NCHAR(12), '\f'), NCHAR(13), '\r'), NCHAR(14), '\u000e'), NCHAR(15), '\u000f'), NCHAR(16), '\u0010'), NCHAR(17), '\u0011'), NCHAR(18), '\u0012'), NCHAR(19), '\u0013'), NCHAR(20), '\u0014'), NCHAR(21), '\u0015'), NCHAR(22), '\u0016'), NCHAR(23), '\u0017'), NCHAR(24), '\u0018'), NCHAR(25), '\u0019'), NCHAR(26), '\u001a'), NCHAR(27), '\u001b'), NCHAR(28), '\u001c'), NCHAR(29), '\u001d'), NCHAR(30), '\u001e'), NCHAR(31), '\u001f') + '"', 'null'), N',"-- dashes":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_3 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"/* stars":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_4 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',":name":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_5 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"CamelCase":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_6 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"back\\slash":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_7 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"back`tick":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_8 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"dot.ted":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_9 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"it''s":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_10 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"naïve 名":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_11 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"per%cent %s":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_12 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"select":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_13 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"semi;colon":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_14 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), N',"{{ braces }}":', COALESCE(REPLACE(RTRIM(REPLACE(REPLACE(RTRIM(REPLACE(CAST(v_15 AS NVARCHAR(50)), '0', ' ')), ' ', '0'), '.', ' ')), ' ', '.'), 'null'), '}') END AS fields
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
FROM (SELECT wcdc_lean.*, CAST(NULL AS NVARCHAR(MAX)) AS was, CAST(NULL AS BIT) AS pending, CAST(NULL AS BIGINT) AS base_hash, CAST(NULL AS BIGINT) AS was_hash, CAST(NULL AS NVARCHAR(MAX)) AS was_version, CAST(NULL AS BIT) AS confirmed, CAST(NULL AS NVARCHAR(MAX)) AS key_run, CAST(NULL AS NVARCHAR(MAX)) AS try_run, CAST(NULL AS NVARCHAR(MAX)) AS try_of, CAST(NULL AS INTEGER) AS tries, CAST(NULL AS DATETIME2(6)) AS failed_since, CAST(NULL AS BIGINT) AS p_1, CAST(NULL AS NVARCHAR(MAX)) AS p_2, CAST(NULL AS DECIMAL(12, 2)) AS p_3, CAST(NULL AS DECIMAL(12, 2)) AS p_4, CAST(NULL AS DECIMAL(12, 2)) AS p_5, CAST(NULL AS DECIMAL(12, 2)) AS p_6, CAST(NULL AS DECIMAL(12, 2)) AS p_7, CAST(NULL AS DECIMAL(12, 2)) AS p_8, CAST(NULL AS DECIMAL(12, 2)) AS p_9, CAST(NULL AS DECIMAL(12, 2)) AS p_10, CAST(NULL AS DECIMAL(12, 2)) AS p_11, CAST(NULL AS DECIMAL(12, 2)) AS p_12, CAST(NULL AS DECIMAL(12, 2)) AS p_13, CAST(NULL AS DECIMAL(12, 2)) AS p_14, CAST(NULL AS DECIMAL(12, 2)) AS p_15 FROM [hightouch_planner].[people_00000000000000000000000001_plan] wcdc_lean) p
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000001_rejections] WHERE chunk < 3) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
