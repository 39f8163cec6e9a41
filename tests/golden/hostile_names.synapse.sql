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
LEFT JOIN (SELECT * FROM [hightouch_planner].[people_00000000000000000000000001_rejections] WHERE (chunk >= 0 AND chunk < 3)) r ON CAST(HASHBYTES('SHA2_256', r.row_id) AS VARBINARY(32)) = CAST(HASHBYTES('SHA2_256', p.row_id) AS VARBINARY(32))
WHERE p.op IN ('added', 'changed', 'removed') OR p.copies > 1

) o
WHERE op NOT IN ('null_key', 'gone')
) a;
