-- What of a database's catalogue tells which statements reach which code: rows of package catalog's Row, in one snapshot.
-- It runs with search_path = pg_catalog, on PostgreSQL 12 to 18, as any user. $LISTED$ is an array of names.
--
-- pg_depend has no rows for what is built in and pinned, so the built-in functions that are listed are looked for in the
-- stored expressions themselves.
WITH listed AS MATERIALIZED (
	SELECT oid FROM pg_proc
	WHERE oid < 16384 AND pronamespace = 'pg_catalog'::regnamespace AND (proname = ANY ($LISTED$) OR proname LIKE 'binary\_upgrade\_%')
	UNION ALL SELECT 'pg_settings'::regclass UNION ALL SELECT 'pg_prepared_statements'::regclass
), extension AS MATERIALIZED (
	SELECT d.objid, e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
), constructor AS MATERIALIZED ( -- of a range type: PostgreSQL makes them
	SELECT objid FROM pg_depend WHERE classid = 'pg_proc'::regclass AND refclassid = 'pg_type'::regclass AND deptype = 'i'
), needs AS MATERIALIZED (
	SELECT classid, objid, objsubid, refobjid AS b,
		CASE refclassid WHEN 'pg_proc'::regclass THEN 'function' WHEN 'pg_operator'::regclass THEN 'operator' ELSE 'relation' END AS ref
	FROM pg_depend
	WHERE refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
		OR refclassid = 'pg_class'::regclass AND classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass)
), generated AS MATERIALIZED (
	SELECT attrelid, attnum, attgenerated::text AS x FROM pg_attribute WHERE attgenerated <> ''
), expression AS NOT MATERIALIZED ( -- what is stored: the row that it makes, and what has its needs
	SELECT 'default'::text AS what, a.adrelid AS a, ''::text AS n, coalesce(t.x, '') AS x,
		'pg_attrdef'::regclass::oid AS classid, a.oid AS objid, 0 AS objsubid, a.adbin::text AS tree
	FROM pg_attrdef a LEFT JOIN generated t ON t.attrelid = a.adrelid AND t.attnum = a.adnum
	UNION ALL -- before PostgreSQL 15 the column has what the expression of a generated column needs
	SELECT 'default', attrelid, '', x, 'pg_class'::regclass, attrelid, attnum, NULL FROM generated
	UNION ALL
	SELECT 'rule', ev_class, '', ev_type::text, 'pg_rewrite'::regclass, oid, 0, CASE WHEN oid >= 16384 THEN ev_action::text || ev_qual::text END
	FROM pg_rewrite
	UNION ALL
	SELECT CASE WHEN contypid = 0 THEN 'check' ELSE 'domain' END, CASE WHEN contypid = 0 THEN conrelid ELSE contypid END, conname, '',
		'pg_constraint'::regclass, oid, 0, conbin::text
	FROM pg_constraint WHERE contype = 'c'
	UNION ALL
	SELECT 'domain', oid, typname, '', 'pg_type'::regclass, oid, 0, typdefaultbin::text FROM pg_type WHERE typdefaultbin IS NOT NULL
	UNION ALL
	SELECT 'policy', polrelid, polname, '', 'pg_policy'::regclass, oid, 0, coalesce(polqual::text, '') || coalesce(polwithcheck::text, '') FROM pg_policy
	UNION ALL
	SELECT 'condition', tgrelid, tgname, tgtype::text, 'pg_trigger'::regclass, oid, 0, tgqual::text
	FROM pg_trigger WHERE tgqual IS NOT NULL AND tgenabled <> 'D'
	UNION ALL -- what is immutable needs nothing that is listed
	SELECT 'index', indrelid, '', '', 'pg_class'::regclass, indexrelid, 0, NULL FROM pg_index
	UNION ALL
	SELECT 'partition key', partrelid, '', '', 'pg_class'::regclass, partrelid, 0, NULL FROM pg_partitioned_table
	UNION ALL
	SELECT 'statistics', stxrelid, stxname, '', 'pg_statistic_ext'::regclass, oid, 0, NULL FROM pg_statistic_ext
)
SELECT 'function'::text AS what, p.oid AS a, (p.pronargs > 0 AND p.pronargs - p.pronargdefaults < 2 AND EXISTS (
		SELECT FROM pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype IN ('c', 'p', 'd')))::int AS b,
	s.nspname::text AS s, p.proname::text AS n,
	CASE WHEN p.oid < 16384 AND (l.lanname IN ('internal', 'c') OR l.lanname = 'sql' AND p.xmin::text::bigint < 16384) THEN 'builtin'
		WHEN p.oid IN (SELECT objid FROM constructor) THEN 'constructor'
		WHEN x.extname IS NOT NULL AND (l.lanname IN ('internal', 'c') OR l.lanname = 'sql' AND o.rolsuper) THEN 'extension ' || x.extname
		ELSE '' END AS x
FROM pg_proc p JOIN pg_namespace s ON s.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
	LEFT JOIN pg_roles o ON o.oid = p.proowner LEFT JOIN extension x ON x.objid = p.oid
UNION ALL
SELECT 'aggregate', aggfnoid, f, '', '', ''
FROM pg_aggregate, unnest(ARRAY[aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn]::oid[]) f
WHERE aggfnoid >= 16384 AND f <> 0
UNION ALL
SELECT 'aggregate', aggfnoid, aggsortop, '', '', 'operator' FROM pg_aggregate WHERE aggfnoid >= 16384 AND aggsortop <> 0
UNION ALL
SELECT 'operator', o.oid, 0, s.nspname, o.oprname, '' FROM pg_operator o JOIN pg_namespace s ON s.oid = o.oprnamespace
UNION ALL
SELECT 'operates', o.oid, f, '', '', '' FROM pg_operator o, unnest(ARRAY[oprcode, oprrest, oprjoin]::oid[]) f WHERE o.oid >= 16384 AND f <> 0
UNION ALL
SELECT 'twin', o.oid, f, '', '', '' FROM pg_operator o, unnest(ARRAY[oprcom, oprnegate]) f WHERE f <> 0 AND (o.oid >= 16384 OR f >= 16384)
UNION ALL
SELECT 'type', t.oid, 0, s.nspname, t.typname, '' FROM pg_type t JOIN pg_namespace s ON s.oid = t.typnamespace
WHERE (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
	AND NOT (t.oid >= 16384 AND EXISTS (SELECT FROM pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid))
UNION ALL
SELECT 'relation', c.oid, 0, s.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
UNION ALL
SELECT 'inherits', inhparent, inhrelid, '', '', '' FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
UNION ALL
SELECT 'references', conrelid, confrelid, '', '', confupdtype::text || confdeltype::text FROM pg_constraint WHERE contype = 'f'
UNION ALL
SELECT 'trigger', tgrelid, tgfoid, '', tgname, tgtype::text FROM pg_trigger WHERE tgenabled <> 'D' AND (tgfoid >= 16384 OR tgfoid IN (SELECT oid FROM listed))
UNION ALL
SELECT 'identity', d.refobjid, 0, '', '', '' FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
UNION ALL
SELECT e.what, e.a, n.b, n.ref, e.n, e.x FROM expression e JOIN needs n ON n.classid = e.classid AND n.objid = e.objid AND n.objsubid = e.objsubid
UNION ALL
SELECT e.what, e.a, l.oid, field, e.n, e.x
FROM expression e, unnest(CASE WHEN e.what IN ('rule', 'policy') THEN ARRAY['funcid', 'aggfnoid', 'winfnoid', 'relid'] ELSE ARRAY['funcid'] END) field,
	unnest(string_to_array(e.tree, ':' || field || ' ')) part JOIN listed l ON l.oid::text = split_part(translate(part, '}', ' '), ' ', 1)
WHERE e.tree IS NOT NULL
UNION ALL
SELECT 'type needs', n.objid, n.b, n.ref, format_type(n.objid, NULL), '' FROM needs n WHERE n.classid = 'pg_type'::regclass
UNION ALL
SELECT 'cast', oid, castfunc, 'function', format_type(castsource, NULL) || ' to ' || format_type(casttarget, NULL), ''
FROM pg_cast WHERE castfunc >= 16384 OR castfunc IN (SELECT oid FROM listed)
UNION ALL
SELECT 'operator class', c.oid, p.amproc, 'function', c.opfname, '' FROM pg_amproc p JOIN pg_opfamily c ON c.oid = p.amprocfamily
WHERE p.amproc >= 16384 OR p.amproc IN (SELECT oid FROM listed)
UNION ALL
SELECT 'operator class', c.oid, p.amopopr, 'operator', c.opfname, '' FROM pg_amop p JOIN pg_opfamily c ON c.oid = p.amopfamily WHERE p.amopopr >= 16384
UNION ALL
SELECT 'needs', n.objid, n.b, n.ref, n.classid::regclass::text, '' FROM needs n
WHERE n.classid IN ('pg_am'::regclass, 'pg_conversion'::regclass, 'pg_ts_parser'::regclass, 'pg_ts_template'::regclass)
UNION ALL
SELECT DISTINCT 'parameter', 0, 0, '', lower(m[1]), ''
FROM pg_proc p, regexp_matches(p.prosrc, '(?:set_config\s*\(\s*''+|\mset\s+(?:local\s+|session\s+)?)([a-z_][a-z0-9_$]*(?:\.[a-z_][a-z0-9_$]*)+)', 'gi') m
WHERE p.oid >= 16384
