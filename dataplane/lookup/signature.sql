-- Whether the catalogue has changed since: of each catalogue that a reading reads, how many rows there are, and two sums over the
-- transactions that wrote them. A change writes rows, and every row has its writer. Statistics and sizes, which VACUUM and
-- ANALYZE write in place, count as no change, and neither does what is temporary. What never changes without one of these, as
-- an index without its relation, is not among them.
WITH passing AS MATERIALIZED (
	SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg\_temp\_%' OR nspname LIKE 'pg\_toast\_temp\_%'
), lasting AS MATERIALIZED (
	SELECT oid, xmin FROM pg_class WHERE relpersistence <> 't'
), x (what, n) AS (
	SELECT 1, xmin FROM lasting
	UNION ALL SELECT 2, xmin FROM pg_proc
	UNION ALL SELECT 3, xmin FROM pg_type
	WHERE typnamespace NOT IN (SELECT oid FROM passing) OR typrelid = 0 AND typcategory <> 'A' -- those of temporary tables
	UNION ALL SELECT 4, xmin FROM pg_namespace WHERE oid NOT IN (SELECT oid FROM passing)
	UNION ALL SELECT 5, i.xmin FROM pg_inherits i JOIN lasting ON lasting.oid = inhrelid
	UNION ALL SELECT 6, t.xmin FROM pg_trigger t JOIN lasting ON lasting.oid = tgrelid
	UNION ALL SELECT 7, r.xmin FROM pg_rewrite r JOIN lasting ON lasting.oid = ev_class
	UNION ALL SELECT 8, xmin FROM pg_policy
	UNION ALL SELECT 9, xmin FROM pg_constraint WHERE connamespace NOT IN (SELECT oid FROM passing)
	UNION ALL SELECT 10, a.xmin FROM pg_attrdef a JOIN lasting ON lasting.oid = adrelid
	UNION ALL SELECT 11, xmin FROM pg_statistic_ext WHERE stxnamespace NOT IN (SELECT oid FROM passing)
	UNION ALL SELECT 12, xmin FROM pg_operator
	UNION ALL SELECT 13, xmin FROM pg_cast
	UNION ALL SELECT 14, xmin FROM pg_amproc
	UNION ALL SELECT 15, xmin FROM pg_amop
	UNION ALL SELECT 16, xmin FROM pg_am
	UNION ALL SELECT 17, xmin FROM pg_conversion
	UNION ALL SELECT 18, xmin FROM pg_ts_parser
	UNION ALL SELECT 19, xmin FROM pg_ts_template
	UNION ALL SELECT 20, xmin FROM pg_depend WHERE refclassid = 'pg_extension'::regclass
	UNION ALL SELECT 21, oid::text::xid FROM pg_roles WHERE rolsuper
)
SELECT string_agg(s, ' ' ORDER BY what)
FROM (
	SELECT what, what || ':' || count(*) || ',' || sum(w) || ',' || sum(hashint8(w)) AS s
	FROM (SELECT what, n::text::bigint AS w FROM x) y GROUP BY what
) g
