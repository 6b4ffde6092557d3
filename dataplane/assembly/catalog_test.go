package assembly_test

import (
	"context"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestCatalogs reads a database once for all who declare the same functions safe, and no longer than pools lead to it.
func TestCatalogs(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE FUNCTION written() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'", "CREATE ROLE other LOGIN")
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 5)
	p, addr := stage.Start(t, set)
	a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "other")
	stage.Want(t, a, "SELECT written()", "1")
	stage.Want(t, b, "SELECT written()", "1")
	target := func(user string) *backend.Target {
		r, ok := p.Snapshot().Route(snapshot.Asked{Database: "postgres"}, user)
		if !ok {
			t.Fatal("no route")
		}
		return r.Target
	}
	j := p.Catalogs().Judge(target("postgres"), nil)
	if p.Catalogs().Judge(target("other"), nil) != j {
		t.Error("a database is read for each of its users")
	}
	declared := p.Catalogs().Judge(target("postgres"), []string{"written"})
	text, err := sqlparse.Parse("SELECT written()")
	if err != nil {
		t.Fatal(err)
	}
	known := func(j catalog.Judge) func() bool {
		return func() bool {
			reach, _ := j.Judge(&sqlparse.Facts{})
			return reach == 0
		}
	}
	stage.Eventually(t, time.Minute, "the catalogue is known", known(j))
	stage.Eventually(t, time.Minute, "the catalogue is known", known(declared))
	if reach, _ := j.Judge(text); reach != catalog.Suspect {
		t.Errorf("a function that is written reaches %b", reach)
	}
	if reach, _ := declared.Judge(text); reach != 0 {
		t.Errorf("a function that is declared safe reaches %b", reach)
	}
	if readings, _ := p.Catalogs().Readings(); readings != 2 {
		t.Errorf("%d readings for two lists of functions", readings)
	}

	if err := a.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	delete(set.Databases, "*")
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	stage.Eventually(t, time.Minute, "the catalogue is forgotten", func() bool { return !known(j)() && !known(declared)() })
	if _, n := p.Catalogs().Readings(); n != 0 {
		t.Errorf("%d readers are left", n)
	}
}
