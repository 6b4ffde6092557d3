package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestStandbysFollowThePrimary(t *testing.T) {
	t.Parallel()
	c := Start(t, Options{Standbys: 2, SyncStandby: true, Conf: map[string]string{"work_mem": "5MB"}})
	c.Primary.Exec(t, "alter system set synchronous_commit = remote_apply", "select pg_reload_conf()", "create table t(a int)", "insert into t values (42)")
	for _, s := range append(c.Standbys, c.Primary) {
		err := poll(startTimeout, func() (bool, error) {
			rows, err := s.query("select to_regclass('t'), current_setting('work_mem'), current_setting('cluster_name')")
			return err == nil && rows[0][0] == "t" && rows[0][1] == "5MB" && rows[0][2] == s.Name(), err
		})
		if err != nil {
			t.Errorf("%s: %v", s.Name(), err)
		}
	}
	got := c.Primary.Query(t, "select application_name, sync_state from pg_stat_replication order by 1")
	if want := "standby1 sync standby2 async"; got[0][0]+" "+got[0][1]+" "+got[1][0]+" "+got[1][1] != want {
		t.Errorf("replication is %v, want %s", got, want)
	}

	c.Primary.Kill(t)
	c.Standbys[0].Promote(t)
	c.Standbys[0].Exec(t, "alter system set synchronous_standby_names = ''", "select pg_reload_conf()", "insert into t values (43)")
	if got := c.Standbys[0].Query(t, "select max(a) from t"); got[0][0] != "43" {
		t.Errorf("the promoted standby has %v, want 43", got)
	}
}

func TestServerComesBackWhereItWas(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{}).Primary
	addr := s.Addr()
	s.Exec(t, "create table t as select 7 as a")
	s.Stop(t)
	if _, err := s.query("select 1"); err == nil {
		t.Fatal("a stopped server answers")
	}
	s.Start(t)
	if got := s.Query(t, "select a from t"); got[0][0] != "7" || s.Addr() != addr {
		t.Fatalf("after the restart %v at %s, want 7 at %s", got, s.Addr(), addr)
	}
}

func TestPauseFreezesOpenConnections(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{}).Primary
	conn := s.Connect(t, "postgres", "postgres")
	s.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(ctx, "select 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused server answered: %v", err)
	}
	s.Resume(t)
	s.Exec(t, "select 1")
	s.Pause(t) // left so: the end of the test must manage
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{HBA: []string{"host all old all md5", "host all new all scram-sha-256"}}).Primary
	s.CreateRole(t, "old", "sesame", "md5")
	s.CreateRole(t, "new", "it's", "scram-sha-256")
	tests := []struct {
		user, password, state string
	}{
		{"old", "sesame", ""},
		{"new", `it\'s`, ""},
		{"new", "wrong", "28P01"},
		{"postgres", "", "28000"},
	}
	for _, tt := range tests {
		conn, err := pgx.Connect(t.Context(), s.DSN("postgres", tt.user)+" password='"+tt.password+"'")
		if err == nil {
			conn.Close(t.Context())
		}
		var pgErr *pgconn.PgError
		if state := ""; errors.As(err, &pgErr) {
			state = pgErr.Code
			if state != tt.state {
				t.Errorf("%s/%s: %v, want %q", tt.user, tt.password, err, tt.state)
			}
		} else if tt.state != "" || err != nil {
			t.Errorf("%s/%s: %v, want %q", tt.user, tt.password, err, tt.state)
		}
	}
}

func TestParallelStarts(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			c, err := New(Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if fileExists(c.dir) {
				t.Errorf("%s is left", c.dir)
			}
		})
	}
	wg.Wait()
}

func TestBadSettingIsTold(t *testing.T) {
	t.Parallel()
	c, err := New(Options{Conf: map[string]string{"no_such_setting": "1"}})
	if err == nil {
		c.Close()
		t.Fatal("a cluster with an unknown setting started")
	}
	if !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("the error does not show the server's log: %v", err)
	}
}

// TestKilledOwnerLeavesNothing kills a test process that runs a cluster; the server ends, and the next cluster's start
// removes the data.
func TestKilledOwnerLeavesNothing(t *testing.T) {
	if os.Getenv("PGCLUSTER_CHILD") != "" {
		c := Start(t, Options{})
		fmt.Println(c.Dir(), c.Primary.proc.pid)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledOwnerLeavesNothing$")
	cmd.Env = append(os.Environ(), "PGCLUSTER_CHILD=1")
	out, err := cmd.Output()
	var dir string
	var pid int
	if n, _ := fmt.Sscan(string(out), &dir, &pid); n != 2 || err == nil {
		t.Fatalf("the child said %q and ended with %v", out, err)
	}
	if err := poll(startTimeout, func() (bool, error) {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), nil
	}); err != nil {
		t.Errorf("the server of a killed owner runs on: %v", err)
	}
	Start(t, Options{})
	if fileExists(dir) {
		t.Errorf("%s was not swept", dir)
	}
}
