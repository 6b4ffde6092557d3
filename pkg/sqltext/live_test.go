package sqltext_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// Texts are made of statements with gaps between and tails behind them, and now and then of a scrap that breaks what is
// around it. Where a text is not valid, PostgreSQL says so and nothing is compared.
var (
	statements = []string{
		"", "select 1", "SELECT 2 as a", "values (1), (2)", "(select 1)", "select ';'", "select 'a'';b'", `select '\'`, `select '\';'`, `select E'\';'`,
		`select e'\\'`, `select E'a'`, `select b'01'`, `select b'01''1'`, `select X'1F'`, `select N'\'`, `select n'a'`, `select U&'\0041;'`, "select date'2000-01-01'",
		"select $$;'$$", "select $a$;$$;$b$a$", "select $a_1$$$a_1$", "select $ä$;$ä$", "select 1 as a$b$", "select 1$$;$$", "select 1.5$$;$$", "select 1e3",
		"do $$ begin null; end $$", "do 'begin end;'", "do $do$ declare a int; begin a := 1; end $do$ language plpgsql", "explain select 1",
		"create or replace function pg_temp.f() returns int begin atomic select 1; select case when true then 2 end; end",
		"create or replace function pg_temp.f() returns int language sql return 1", "create or replace procedure pg_temp.p() begin atomic end",
		"create or replace function pg_temp.g(begin int) returns int begin /* ; */ atomic select begin as end; select 1 end; end",
		"create or replace function pg_temp.h() returns int language sql as 'select 1;'", "create or replace temp view v as select 1",
		"create or replace rule r as on insert to rules do also (select 1; select ';')", "create or replace rule r as on insert to rules do (select 1;)",
		"create or replace rule r as on insert to rules do nothing", "set work_mem = 1024", "set time zone 'UTC'", "begin", "commit", "begin; savepoint a",
	}
	tails = []string{
		" as b", ", 3", ", E'\\';'", ` as ";"`, ` as "a""'"`, ` as U&"d\0061t;"`, ` as u&";\\"`, " as é$$", " as ä", " 'c'", "'b'", "\n'\\';'", "\r\n'd;'",
		" -- '\n -- ;\r'e'", " /**/\n'f'", ` uescape '!'`, " -1", "+-- ;\n1", "*/*;*/2", "- -1", "/2", " end", " case",
	}
	gaps   = []string{"", "", " ", "\n", "\t\r\f", "-- ; '\n", "--'\r", "/* ; */", "/* /* ' */ ; */", "/**/", "/*/ ; */", "/***/", ";", " ; "}
	scraps = []string{"'", `"`, "$$", "$a$", "$1", "/*", "*/", "--", `\`, ";", "begin atomic", "end", "(", ")", "E", "U&", "b"}
)

// randomText returns a text, valid more often than not.
func randomText(rng *rand.Rand) string {
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	var b strings.Builder
	for n := 1 + rng.IntN(4); n > 0; n-- {
		b.WriteString(pick(gaps) + pick(statements))
		if rng.IntN(4) == 0 {
			b.WriteString(pick(tails))
		}
		b.WriteString(pick(gaps))
		if rng.IntN(20) == 0 {
			b.WriteString(pick(scraps))
		}
		if n > 1 || rng.IntN(2) == 0 {
			b.WriteString(";")
		}
	}
	return b.String()
}

// TestSplitIsPostgreSQLs sends random texts as simple queries and compares the number of results.
func TestSplitIsPostgreSQLs(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	server.Exec(t, "create table rules (a int)")
	ctx := t.Context()
	conn := connect(t, server, "options='-c standard_conforming_strings=on -c client_min_messages=error'")
	off := connect(t, server, "options='-c standard_conforming_strings=off -c client_min_messages=error -c escape_string_warning=off'")
	rng := rand.New(rand.NewPCG(1, 2))
	compared, refused := 0, 0
	for range 15_000 {
		text, c, std := randomText(rng), conn, true
		if rng.IntN(2) == 0 {
			c, std = off, false
		}
		sum := sqltext.Classify([]byte(text), std)
		n, err := results(ctx, c, text)
		if err != nil {
			if refused++; !isRefusal(err) {
				t.Fatalf("%q: %v", text, err)
			}
			continue
		}
		if compared++; n != sum.Statements {
			t.Errorf("%q: PostgreSQL runs %d statements, Classify says %+v (standard_conforming_strings %t)", text, n, sum, std)
		}
		if sum.Flags&sqltext.FlagUnfollowable != 0 && !strings.Contains(strings.ToLower(text), `u&"`) {
			t.Errorf("%q: PostgreSQL takes it, and yet it cannot be followed", text)
		}
	}
	t.Logf("%d texts compared, %d refused by the server", compared, refused)
	if compared < 4000 {
		t.Errorf("only %d texts were valid", compared)
	}
}

// results runs a text and returns how many statements completed. What it began is undone.
func results(ctx context.Context, conn *pgconn.PgConn, text string) (int, error) {
	n := 0
	r := conn.Exec(ctx, text)
	for r.NextResult() {
		if tag, err := r.ResultReader().Close(); err == nil && tag.String() != "" { // an empty text has one result without a tag
			n++
		}
	}
	err := r.Close()
	if conn.TxStatus() != 'I' {
		if _, err := conn.Exec(ctx, "rollback").ReadAll(); err != nil {
			return 0, fmt.Errorf("undo %q: %w", text, err)
		}
	}
	return n, err
}

func isRefusal(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal)
}

func connect(t *testing.T, server *pgcluster.Server, options string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), server.DSN("postgres", "postgres")+" "+options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// TestSessionIsPostgreSQLs runs what ParseSession reads, and compares the parameter that it names.
func TestSessionIsPostgreSQLs(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	conn := server.Connect(t, "postgres", "postgres")
	server.Exec(t, "create role joe", "create role \"Joe\"")
	for _, stmt := range []string{
		"set work_mem = '2MB'", "SET Work_Mem TO 4097", `set "WORK_MEM" = 4097`, "set local work_mem to '3MB'", "set session work_mem = 3333", "set sort_mem = 4444",
		"set my.Param = 'x'", `set my . "Param" . c = on`, `set "my.other" = 1`, "set a$1.b = 1", "set search_path = a, \"B\" , 'c d'",
		"set schema 'a'", "set time zone 'Europe/Berlin'", "set TIME zone -7", "set time zone interval '-08:00' hour to minute", "set names 'latin1'",
		"set role joe", `set role "Joe"`, "set session role 'Joe'", "set session authorization joe", "set session session authorization joe",
		"set local session authorization joe", "set xml option document", "set datestyle = iso, dmy", "set local role joe", "set names 'sql_ascii'",
		"set session characteristics as transaction isolation level repeatable read", "set session characteristics as transaction read only not deferrable read write",
		"set session characteristics as transaction deferrable, read only",
	} {
		t.Run(stmt, func(t *testing.T) {
			defer exec(t, conn, "rollback")
			exec(t, conn, "begin")
			s, ok := sqltext.ParseSession([]byte(stmt), true, nil)
			if !ok {
				t.Fatal("not read")
			}
			exec(t, conn, stmt)
			if s.Kind == sqltext.SetCharacteristics {
				for name, want := range map[string]string{"isolation": s.Modes.Isolation, "read_only": s.Modes.ReadOnly, "deferrable": s.Modes.Deferrable} {
					if got := show(t, conn, "default_transaction_"+name); want != "" && got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
				return
			}
			set := show(t, conn, string(s.Name))
			exec(t, conn, "rollback")
			exec(t, conn, "begin")
			if before := show(t, conn, string(s.Name)); before == set {
				t.Errorf("%s is %q as before: another parameter was set", s.Name, before)
			}
			value := stmt[s.ValueStart:s.ValueEnd]
			if strings.HasPrefix(value, "interval") {
				return // only SET TIME ZONE takes it
			}
			exec(t, conn, fmt.Sprintf("set %s to %s", sqltext.QuoteIdent(nil, string(s.Name)), value))
			if got := show(t, conn, string(s.Name)); got != set {
				t.Errorf("%s set to the value %s is %q, want %q", s.Name, value, got, set)
			}
		})
	}
}

// TestRefusals holds what ParseSession refuses of the grammar against PostgreSQL's.
func TestRefusals(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	conn := connect(t, server, "")
	words := []string{
		"set", "set", "set", "reset", "discard", "deallocate", "session", "local", "transaction", "characteristics", "as", "isolation", "level", "read", "only",
		"write", "committed", "serializable", "not", "deferrable", "time", "zone", "names", "role", "none", "authorization", "xml", "option", "document", "all", "prepare", "plans",
		"constraints", "deferred", "to", "=", "=", "=", "default", "from", "current", "work_mem", "a.b", "'a'", "1", "-1", ",", "schema", "snapshot", "temp",
	}
	rng := rand.New(rand.NewPCG(3, 4))
	taken := 0
	for range 20_000 {
		text := words[rng.IntN(6)]
		for range 1 + rng.IntN(5) {
			text += " " + words[rng.IntN(len(words))]
		}
		_, ok := sqltext.ParseSession([]byte(text), true, nil)
		_, err := results(t.Context(), conn, text)
		var refusal *pgconn.PgError
		if err != nil && !errors.As(err, &refusal) {
			t.Fatalf("%s: %v", text, err)
		}
		if refused := err != nil && refusal.Code == "42601"; !refused {
			if taken++; !ok {
				t.Errorf("%s: PostgreSQL takes it (%v), ParseSession does not", text, err)
			}
		}
	}
	t.Logf("%d statements taken", taken)
	if taken < 500 {
		t.Errorf("only %d statements were valid", taken)
	}
}

// TestQuotedIsWhatWasMeant lets PostgreSQL read what was quoted.
func TestQuotedIsWhatWasMeant(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	for _, std := range []string{"on", "off"} {
		conn := connect(t, server, "options='-c standard_conforming_strings="+std+"'")
		for _, s := range []string{"a", "it's", `\`, `\'`, `a"b`, `''\\""`, "Select", "ä$$ ;--", "x\ny", "/*"} {
			text := "select " + string(sqltext.QuoteLiteral(nil, s)) + " as " + string(sqltext.QuoteIdent(nil, s))
			rs, err := conn.Exec(t.Context(), text).ReadAll()
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got := string(rs[0].Rows[0][0]); got != s || rs[0].FieldDescriptions[0].Name != s {
				t.Errorf("%s: got %q named %q, want %q", text, got, rs[0].FieldDescriptions[0].Name, s)
			}
		}
	}
}

func exec(t *testing.T, conn *pgx.Conn, text string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(context.Background(), text).ReadAll(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// show returns a parameter's value, "" if there is none.
func show(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	rs, err := conn.PgConn().Exec(context.Background(), "select current_setting("+string(sqltext.QuoteLiteral(nil, name))+", true)").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return string(rs[0].Rows[0][0])
}
