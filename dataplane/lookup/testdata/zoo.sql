-- Every way that a statement can reach code of which its text says nothing. leak() stands for all such code.
CREATE FUNCTION leak() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('work_mem', '1MB', false); RETURN 1; END$$;
CREATE FUNCTION leaks(int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$BEGIN PERFORM leak(); RETURN true; END$$;
CREATE FUNCTION leaked(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM leak(); RETURN $1; END$$;
CREATE FUNCTION inlined() RETURNS int LANGUAGE sql STABLE AS 'SELECT leak()';
CREATE FUNCTION declared(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM leak(); RETURN NEW; END$$;
CREATE PROCEDURE proc() LANGUAGE plpgsql AS $$BEGIN PERFORM leak(); END$$;

CREATE TABLE plain (id int PRIMARY KEY, t text DEFAULT upper('a'), at timestamptz DEFAULT now() CHECK (at > '2000-01-01'));
CREATE TABLE numbered (id serial, t text);
CREATE TABLE identified (id int GENERATED ALWAYS AS IDENTITY, t text);

CREATE TABLE triggered (id int, t text);
CREATE TRIGGER z AFTER INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION fired();
CREATE TABLE triggered_d (id int);
CREATE TRIGGER z AFTER DELETE ON triggered_d FOR EACH STATEMENT EXECUTE FUNCTION fired();
CREATE TABLE triggered_t (id int);
CREATE TRIGGER z BEFORE TRUNCATE ON triggered_t EXECUTE FUNCTION fired();
CREATE TABLE triggered_off (id int);
CREATE TRIGGER z AFTER INSERT ON triggered_off FOR EACH ROW EXECUTE FUNCTION fired();
ALTER TABLE triggered_off DISABLE TRIGGER z;
CREATE TABLE conditional (id int);
CREATE TRIGGER z BEFORE UPDATE ON conditional FOR EACH ROW WHEN (leaks(OLD.id)) EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TABLE conditional_b (id int);
CREATE TRIGGER z BEFORE UPDATE ON conditional_b FOR EACH ROW WHEN (set_config('a.b', 'c', false) = OLD.id::text) EXECUTE FUNCTION suppress_redundant_updates_trigger();

CREATE TABLE defaulted (id int DEFAULT leak(), t text);
CREATE TABLE defaulted_b (id text DEFAULT set_config('work_mem', '2MB', false), t text);
CREATE TABLE checked (id int CHECK (leaks(id)));
CREATE TABLE checked_b (id int CHECK (set_config('a.b', 'c', false) = 'c'));
CREATE TABLE generated (id int, g int GENERATED ALWAYS AS (leaked(id)) STORED);
CREATE TABLE indexed (id int, t text);
CREATE INDEX ON indexed (leaked(id));
CREATE TABLE indexed_p (id int, t text);
CREATE INDEX ON indexed_p (t) WHERE leaked(id) = 1;
CREATE TABLE counted (a int, b int);

CREATE TABLE guarded (id int);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY z ON guarded USING (leaks(id));
CREATE TABLE guarded_b (id int);
ALTER TABLE guarded_b ENABLE ROW LEVEL SECURITY;
CREATE POLICY z ON guarded_b FOR SELECT USING (set_config('work_mem', '2MB', false) IS NOT NULL);
CREATE TABLE guarded_r (id int);
ALTER TABLE guarded_r ENABLE ROW LEVEL SECURITY;
CREATE POLICY z ON guarded_r USING (EXISTS (SELECT FROM guarded g WHERE g.id = guarded_r.id));

CREATE VIEW seen AS SELECT id, leak() AS l FROM plain;
CREATE VIEW seen_b AS SELECT id, set_config('work_mem', '2MB', false) FROM plain;
CREATE VIEW seen_through AS SELECT id FROM seen;
CREATE VIEW seen_plain AS SELECT id, upper(t) AS u FROM plain;
CREATE VIEW seen_current AS SELECT currval('numbered_id_seq') AS c;
CREATE VIEW seen_prepared AS SELECT name FROM pg_prepared_statements;
CREATE VIEW updatable AS SELECT id, t FROM triggered;
CREATE VIEW instead AS SELECT id FROM plain;
CREATE TRIGGER z INSTEAD OF DELETE ON instead FOR EACH ROW EXECUTE FUNCTION fired();
CREATE MATERIALIZED VIEW stored AS SELECT id, leak() AS l FROM plain;

CREATE TABLE ruled (id int);
CREATE RULE z AS ON INSERT TO ruled DO ALSO SELECT leak();
CREATE TABLE ruled_w (id int);
CREATE RULE z AS ON DELETE TO ruled_w DO ALSO INSERT INTO triggered VALUES (OLD.id);
CREATE TABLE ruled_s (id int);
CREATE RULE z AS ON UPDATE TO ruled_s DO INSTEAD UPDATE pg_settings SET setting = '1MB' WHERE name = 'work_mem';

CREATE TABLE divided (id int, t text) PARTITION BY RANGE (id);
CREATE TABLE divided_1 PARTITION OF divided FOR VALUES FROM (0) TO (10);
CREATE TABLE divided_2 PARTITION OF divided FOR VALUES FROM (10) TO (20);
CREATE TRIGGER z BEFORE INSERT ON divided_2 FOR EACH ROW EXECUTE FUNCTION fired();
CREATE TABLE keyed (id int) PARTITION BY RANGE (leaked(id));
CREATE TABLE keyed_1 PARTITION OF keyed FOR VALUES FROM (0) TO (10);
CREATE TABLE parent (id int);
CREATE TABLE child (x int) INHERITS (parent);
CREATE TRIGGER z AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION fired();

CREATE TABLE owner (id int PRIMARY KEY);
CREATE TABLE owned (id int REFERENCES owner ON DELETE CASCADE);
CREATE TRIGGER z AFTER DELETE ON owned FOR EACH ROW EXECUTE FUNCTION fired();
CREATE TABLE owner_n (id int PRIMARY KEY);
CREATE TABLE owned_n (id int REFERENCES owner_n ON DELETE SET NULL);
CREATE TRIGGER z AFTER UPDATE ON owned_n FOR EACH ROW EXECUTE FUNCTION fired();
CREATE TABLE owner_p (id int PRIMARY KEY);
CREATE TABLE owned_p (id int REFERENCES owner_p ON UPDATE CASCADE);
CREATE TRIGGER z AFTER UPDATE ON owned_p FOR EACH ROW EXECUTE FUNCTION fired();

CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl, COMMUTATOR = ###);
CREATE FUNCTION leakop(int, int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN PERFORM leak(); RETURN true; END$$;
CREATE OPERATOR <#> (LEFTARG = int, RIGHTARG = int, FUNCTION = leakop, NEGATOR = >#<);
CREATE OPERATOR >#< (LEFTARG = int, RIGHTARG = int, FUNCTION = int4ne, NEGATOR = <#>);
CREATE TABLE operated (id int CHECK (id <#> 3));

CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE FUNCTION leakstep(int, int) RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN leak(); END$$;
CREATE AGGREGATE leaktotal (int) (SFUNC = leakstep, STYPE = int, INITCOND = '0');

CREATE TYPE pair AS (a int, b int);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION whole(plain) RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN leak(); END$$;

CREATE SCHEMA other;
CREATE FUNCTION other.lower(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM leak(); RETURN $1; END$$;
CREATE TABLE other.plain2 (id int DEFAULT leak());
CREATE TABLE plain2 (id int);
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION dblink;
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE foreign_t (line text) SERVER files OPTIONS (filename '/etc/hostname');

SET session_replication_role = replica;
INSERT INTO plain VALUES (1, 'x');
INSERT INTO triggered VALUES (1, 'x');
INSERT INTO triggered_d VALUES (1);
INSERT INTO conditional VALUES (1);
INSERT INTO conditional_b VALUES (1);
INSERT INTO defaulted VALUES (1, 'x');
INSERT INTO guarded VALUES (1);
INSERT INTO guarded_b VALUES (1);
INSERT INTO guarded_r VALUES (1);
INSERT INTO ruled_w VALUES (1);
INSERT INTO ruled_s VALUES (1);
INSERT INTO divided VALUES (1), (11);
INSERT INTO child VALUES (1);
INSERT INTO owner VALUES (1);
INSERT INTO owned VALUES (1);
INSERT INTO owner_n VALUES (1);
INSERT INTO owned_n VALUES (1);
INSERT INTO owner_p VALUES (1);
INSERT INTO owned_p VALUES (1);
INSERT INTO indexed_p VALUES (1, 'x');
RESET session_replication_role;
RESET work_mem;
