package assembly_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// age makes what a proxy knows of a name as old as that, and returns what it was.
func age(t *testing.T, p *assembly.Proxy, name string, old time.Duration) {
	t.Helper()
	var at users.Place
	var k users.Known
	p.Hub().Users.Each(func(place users.Place, n string, x users.Known) bool {
		if n == name {
			at, k = place, x
		}
		return true
	})
	if k.Asked == 0 {
		t.Fatalf("nothing is known of %s", name)
	}
	k.Asked = time.Now().Add(-old).UnixNano()
	p.Hub().Users.Put(at, name, k)
}

// young says whether what a proxy knows of all names is younger than that.
func young(p *assembly.Proxy, old time.Duration) bool {
	yes := true
	p.Hub().Users.Each(func(_ users.Place, _ string, k users.Known) bool {
		yes = yes && time.Since(time.Unix(0, k.Asked)) < old
		return true
	})
	return yes
}

// questions is how often databases were asked for users.
func questions(p *assembly.Proxy) (n uint64) {
	for _, u := range p.Inquirers() {
		n += u.Asked()
	}
	return n
}

// TestRenewed lets a client log in by an answer that is kept, while the database is asked again behind it, which may take as long as it likes,
// and fail.
func TestRenewed(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	s := pg.Primary
	s.CreateRole(t, "ann", "first", "scram-sha-256")
	s.Exec(t, "CREATE FUNCTION who(n text, OUT u text, OUT s text, OUT v timestamptz) LANGUAGE sql AS "+
		"'SELECT rolname::text, rolpassword, rolvaliduntil FROM pg_authid, pg_advisory_xact_lock_shared(7) WHERE rolname = n AND rolcanlogin'")
	const good = time.Hour
	set := stage.Asking(pg, good)
	set.Databases["*"].AuthQuery.Query = "SELECT * FROM public.who($1) WHERE u IS NOT NULL"
	px, addr := stage.Start(t, set)
	check := func(what, password, want string, asked uint64) {
		t.Helper()
		if got := stage.Psql(t, addr, stage.As("ann", password), "SELECT current_user"); got != want && (want == "ann" || !strings.Contains(got, want)) {
			t.Errorf("%s: %s; want %s", what, got, want)
		}
		if n := questions(px); n != asked && asked > 0 {
			t.Errorf("%s: %d questions were asked, want %d", what, n, asked)
		}
	}
	const wrong = `password authentication failed for user "ann"`
	check("the first time", "first", "ann", 1)
	age(t, px, "ann", good/2-time.Minute)
	check("a young answer", "first", "ann", 1)

	// Nobody waits for the question, and it is one.
	holder := s.Connect(t, "postgres", "postgres")
	hold := func(sql string) {
		t.Helper()
		if _, err := holder.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	hold("SELECT pg_advisory_lock(7)")
	age(t, px, "ann", good/2+time.Minute)
	check("while it is asked", "first", "ann", 2)
	check("while it is asked, once more", "first", "ann", 2)
	if young(px, good/2) {
		t.Error("there is an answer already")
	}
	hold("SELECT pg_advisory_unlock(7)")
	stage.Eventually(t, 10*time.Second, "the answer", func() bool { return young(px, good/2) })
	check("after it", "first", "ann", 2)

	// What it says is what counts.
	s.Exec(t, "ALTER ROLE ann PASSWORD 'second'")
	age(t, px, "ann", good/2+time.Minute)
	check("the old password", "first", "ann", 3)
	stage.Eventually(t, 10*time.Second, "the new verifier", func() bool { return young(px, good/2) })
	check("the new password", "second", "ann", 3)
	s.Exec(t, "ALTER ROLE ann VALID UNTIL '2001-01-01'")
	age(t, px, "ann", good/2+time.Minute)
	check("before it is known", "second", "ann", 4)
	stage.Eventually(t, 10*time.Second, "the end of its time", func() bool { return young(px, good/2) })
	age(t, px, "ann", time.Second) // a wrong proof makes the proxy ask again
	check("whose time is over", "second", wrong, 5)
	s.Exec(t, "ALTER ROLE ann VALID UNTIL 'infinity'")
	age(t, px, "ann", time.Second)
	check("which it is no more, but the salt was another one", "second", wrong, 6)
	check("which it is no more", "second", "ann", 6)

	// Without an answer the old one is good for the rest of its time.
	s.Exec(t, "ALTER FUNCTION who RENAME TO whoever")
	age(t, px, "ann", good-time.Minute)
	check("while it cannot be asked", "second", "ann", 7)
	stage.Eventually(t, 10*time.Second, "the failure", func() bool {
		return strings.Contains(stage.Psql(t, addr, stage.As("ann", "second"), "SELECT 1"), "1") && questions(px) > 7
	})
	age(t, px, "ann", good+time.Minute)
	check("when its time is over", "second", "users cannot be looked up at the moment", 0)
}
