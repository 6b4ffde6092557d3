package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// shop is a database with something of everything that pg_dump treats in a way of its own.
const shop = `
create extension pg_trgm;
create type mood as enum ('sad', 'ok', 'happy');
create domain positive as int check (value > 0);
create table customers(id serial primary key, name text not null, feels mood default 'ok', born date, worth float8, note text);
create index on customers using gin (name gin_trgm_ops);
create table orders(id bigint generated always as identity primary key, customer int references customers, amount positive, placed timestamptz) partition by range (id);
create table orders_old partition of orders for values from (0) to (2000);
create table orders_new partition of orders default;
create table log(at timestamptz default now(), what text);
create function remember() returns trigger language plpgsql as $$ begin insert into log values ('2020-01-01', tg_op || new.id); return new; end $$;
create function total(int) returns numeric language sql stable as 'select sum(amount)::numeric from orders where customer = $1';
create view rich as select *, total(id) from customers where worth > 1e5;
create materialized view moods as select feels, count(*) from customers group by feels;
insert into customers(name, feels, born, worth, note)
	select 'c' || g, (array['sad', 'ok', 'happy'])[g % 3 + 1]::mood, date '1970-01-01' + g, pi() * g, repeat(md5(g::text), g % 50) from generate_series(1, 5000) g;
insert into orders(customer, amount, placed) select g % 5000 + 1, g, timestamptz '2020-01-01' + g * interval '1 minute' from generate_series(1, 5000) g;
create trigger remembers after insert on customers for each row execute function remember();
create rule nobody as on delete to log do instead nothing;
alter table log enable row level security;
create policy all_of_it on log using (true);
select lo_from_bytea(0, convert_to(repeat('large ', 100000), 'utf8')), lo_from_bytea(0, '\x00ff');
refresh materialized view moods;
alter table customers set (autovacuum_enabled = off);
comment on table customers is 'who buys; -- it''s';
alter database shop set datestyle to 'German';
`

// TestDumpAndRestore: what pg_dump writes and pg_restore reads through the proxy, four jobs at once, is what they write and read
// directly.
func TestDumpAndRestore(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	direct := Direct(server)
	server.Exec(t, "create database shop")
	if out := psql(t, append(direct, "PGDATABASE=shop"), "", shop); strings.Contains(out, "ERROR") {
		t.Fatalf("the database is not made:\n%s", out)
	}
	want := dump(t, direct, "shop")
	if len(want) < 1_000_000 || !strings.Contains(want, "remembers AFTER INSERT") {
		t.Fatalf("a dump of %d bytes: nothing would be compared", len(want))
	}
	jobs := func(env []string, dir string) string {
		run(t, env, "pg_dump", "-j", "4", "-F", "d", "-f", dir, "shop")
		path := dir + ".sql"
		run(t, direct, "pg_restore", "-f", path, dir)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	parallel := jobs(direct, filepath.Join(t.TempDir(), "directly"))
	for _, mode := range []string{"session", "transaction"} {
		t.Run(mode, func(t *testing.T) {
			proxy := StartProxy(t, server, Options{Mode: mode})
			if got := dump(t, proxy.Env(), "shop"); got != want {
				t.Errorf("pg_dump: directly %d bytes, through the proxy %d others: %s", len(want), len(got), firstDifference(want, got))
			}
			dir := filepath.Join(t.TempDir(), "through")
			if got := jobs(proxy.Env(), dir); unstamped(got) != unstamped(parallel) {
				t.Errorf("pg_dump -j: directly %d bytes, through the proxy %d others: %s", len(parallel), len(got), firstDifference(unstamped(parallel), unstamped(got)))
			}
			copied := "copied_" + mode
			server.Exec(t, "create database "+copied)
			run(t, proxy.Env(), "pg_restore", "-j", "4", "--exit-on-error", "-d", copied, dir)
			if got := strings.ReplaceAll(dump(t, direct, copied), copied, "shop"); got != want {
				t.Errorf("pg_restore -j: the copy differs: %s", firstDifference(want, got))
			}
		})
	}
}

// unstamped leaves out what no two dumps have in common: when they were made, and the keys of \restrict.
func unstamped(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "-- Started on") && !strings.HasPrefix(line, "-- Completed on") && !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// firstDifference returns the first line in which two texts differ.
func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want " + w[i] + ", got " + g[i]
		}
	}
	return "one goes on where the other ends"
}

// TestDumpOnFewConnections: each job of pg_dump holds a transaction, so a pool that has fewer connections than it has jobs, and its
// leader, refuses in the end. It says so and leaves nothing behind.
func TestDumpOnFewConnections(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	server.Exec(t, "create table a(x int)", "create table b(x int)", "create table c(x int)", "create table d(x int)")
	proxy := StartProxy(t, server, Options{More: "[[databases]]\nname = \"*\"\npool.max_connections = 3\npool.acquire_timeout_secs = 1\n"})
	out, err := try(t, proxy.Env(), "pg_dump", "-j", "4", "-F", "d", "-f", filepath.Join(t.TempDir(), "dump"), "postgres")
	if err == nil || !strings.Contains(out, "no server connection became free within 1s") {
		t.Errorf("pg_dump on 3 connections: %v\n%s", err, out)
	}
	Within(t, patience, "no transaction is open", func() bool { return server.Query(t, busy)[0][0] == "0" })
	dump(t, proxy.Env(), "postgres")
}
