package e2e

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// tally is server connections of one database.
type tally struct {
	active, idle int
	passing      int // being opened, cleaned, cancelled, closed
}

func (t tally) sum() int { return t.active + t.idle + t.passing }

// count is a pool as SHOW POOLS and helioctl pools show it, by column.
type count struct {
	Proxy, Database string
	Active          int `json:"sv_active"`
	ActiveCancel    int `json:"sv_active_cancel"`
	BeingCanceled   int `json:"sv_being_canceled"`
	Idle            int `json:"sv_idle"`
	Used            int `json:"sv_used"`
	Tested          int `json:"sv_tested"`
	Login           int `json:"sv_login"`
	Closing         int `json:"sv_closing"`
}

// tallies sums pools up by database.
func tallies(all []count) map[string]tally {
	sums := map[string]tally{}
	for _, c := range all {
		t := sums[c.Database]
		t.active += c.Active
		t.idle += c.Idle + c.Used
		t.passing += c.ActiveCancel + c.BeingCanceled + c.Tested + c.Login + c.Closing
		sums[c.Database] = t
	}
	maps.DeleteFunc(sums, func(_ string, t tally) bool { return t == tally{} })
	return sums
}

// differ says where a sample of the console or of helioctl is not what PostgreSQL has, when nothing moves.
func differ(what string, got, want map[string]tally) (found []string) {
	names := slices.Collect(maps.Keys(got))
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if got[name] != want[name] {
			found = append(found, fmt.Sprintf("%s, database %s: %+v, in pg_stat_activity %+v", what, name, got[name], want[name]))
		}
	}
	return found
}

// beyond says where a sample cannot be true that was taken between two looks at pg_stat_activity, while connections came and none went
// that had been idle: who was there both times is counted in some state, and who is counted as logged in was there at one time.
func beyond(what string, before, after map[uint32]string, got map[string]tally) (found []string) {
	least, most := map[string]int{}, map[string]int{}
	for pid, db := range before {
		most[db]++
		if after[pid] == db {
			least[db]++
		}
	}
	for pid, db := range after {
		if before[pid] != db {
			most[db]++
		}
	}
	for _, db := range slices.Sorted(maps.Keys(most)) {
		if t := got[db]; t.sum() < least[db] || t.active+t.idle > most[db] {
			found = append(found, fmt.Sprintf("%s, database %s: %+v, where there are from %d to %d", what, db, t, least[db], most[db]))
		}
	}
	return found
}

// observer looks at a server itself, at the consoles of proxies, and at what helioctl watches.
type observer struct {
	t        *testing.T
	direct   *pgx.Conn
	consoles []*pgconn.PgConn
	mu       sync.Mutex
	samples  int
	last     []count
	faults   []string
}

// activity is the pool's backends by process id.
func (o *observer) activity() (states map[string]tally, backends map[uint32]string) {
	o.t.Helper()
	rows, err := o.direct.Query(context.Background(), "select pid, datname, state"+clientBackends)
	if err != nil {
		o.t.Fatal(err)
	}
	states, backends = map[string]tally{}, map[uint32]string{}
	var pid uint32
	var db, state *string
	_, err = pgx.ForEachRow(rows, []any{&pid, &db, &state}, func() error {
		if db == nil || state == nil {
			return nil // it has not logged in yet
		}
		backends[pid] = *db
		t := states[*db]
		if *state == "idle" {
			t.idle++
		} else {
			t.active++
		}
		states[*db] = t
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return states, backends
}

// console is SHOW POOLS of all proxies.
func (o *observer) console() (all []count) {
	o.t.Helper()
	for _, c := range o.consoles {
		r, err := c.Exec(context.Background(), "SHOW POOLS").ReadAll()
		if err != nil {
			o.t.Fatal(err)
		}
		for _, row := range r[0].Rows {
			object := map[string]any{}
			for i, f := range r[0].FieldDescriptions {
				if f.DataTypeOID == 25 {
					object[f.Name] = string(row[i])
				} else {
					object[f.Name] = json.Number(row[i])
				}
			}
			var x count
			text, err := json.Marshal(object)
			if err == nil {
				err = json.Unmarshal(text, &x)
			}
			if err != nil {
				o.t.Fatal(err)
			}
			all = append(all, x)
		}
	}
	return all
}

// watch reads what helioctl pools --watch prints, until the test ends.
func (o *observer) watch(p *processes) {
	o.t.Helper()
	cmd := exec.Command(cmp.Or(os.Getenv("HELIOCTL"), "../../bin/helioctl"), "pools", "--watch", "--interval", "100ms", "-o", "json")
	cmd.Env = append(os.Environ(), "HELIOCTL_CONFIG=/dev/null", "HELIOCTL_SERVER="+p.admin, "HELIOCTL_TOKEN_FILE="+p.dir+"/cp/admin.token")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		o.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var s struct {
				Pools  []count
				Errors []any
			}
			err := json.Unmarshal(lines.Bytes(), &s)
			o.mu.Lock()
			if o.samples, o.last = o.samples+1, s.Pools; err != nil || len(s.Errors) > 0 {
				o.faults = append(o.faults, fmt.Sprintf("%v: %s", err, lines.Text()))
			}
			o.mu.Unlock()
		}
	}()
	o.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		<-ended
		if err := cmd.Wait(); err != nil {
			o.t.Errorf("helioctl pools --watch, interrupted: %v", err)
		}
		if o.faults != nil {
			o.t.Errorf("helioctl pools --watch: %s", strings.Join(o.faults, "\n"))
		}
	})
}

// helioctl is a sample that was begun after the call.
func (o *observer) helioctl() []count {
	o.t.Helper()
	o.mu.Lock()
	begun := o.samples
	o.mu.Unlock()
	var last []count
	Within(o.t, patience, "two samples of helioctl pools --watch", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		last = o.last
		return o.samples >= begun+2 // the first may have been under way
	})
	return last
}

// TestPoolsAgree lets clients come and go at two proxies. Whenever nothing moves, what helioctl pools --watch and the consoles show is
// what is in pg_stat_activity, state by state and database by database; under load it is within what that allows.
func TestPoolsAgree(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	server.Exec(t, "create database shop")
	init := exec.Command(postgresProgram(t, "pgbench"), "-i", "-q")
	init.Env = append(Direct(server), "PGHOST="+server.SocketDir()) // its own connection is not to be counted
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := startProcesses(t, "a", "b")
	p.want(0, resources(server, 6), []string{"apply", "-f", "-"}, `^revision 1$`)
	p.synced(patience, "a", "b")
	o := &observer{t: t, direct: server.Connect(t, "postgres", "postgres")}
	for _, name := range []string{"a", "b"} {
		o.consoles = append(o.consoles, connected(t, p.ports[name], "pgbouncer"))
	}
	o.watch(p)
	exec := func(c *pgconn.PgConn, sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	quiet := func(want map[string]tally) {
		t.Helper()
		// A client has its answer a moment before the connection that it came by is looked through and free, or gone. When that is
		// over nothing moves, so from then on every sample is the same.
		var have, shown map[string]tally
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if have, _ = o.activity(); maps.Equal(have, want) {
				if shown = tallies(o.console()); maps.Equal(shown, want) {
					break
				}
			}
			if time.Now().After(end) {
				t.Fatalf("not within %v:\n%s", patience, strings.Join(append(differ("PostgreSQL", have, want), differ("the consoles", shown, want)...), "\n"))
			}
		}
		faults := slices.Concat(differ("the consoles", tallies(o.console()), want), differ("helioctl", tallies(o.helioctl()), want))
		have, _ = o.activity()
		if faults = append(faults, differ("afterwards", have, want)...); len(faults) > 0 {
			t.Errorf("with %v:\n%s", want, strings.Join(faults, "\n"))
		}
	}
	var in []*pgconn.PgConn
	begin := func(proxy, db string, n int) {
		for range n {
			c := connected(t, p.ports[proxy], db)
			exec(c, "begin; select 1")
			in = append(in, c)
		}
	}
	end := func(n int, how string) {
		for _, c := range in[:n] {
			exec(c, how)
		}
		in = in[n:]
	}
	quiet(map[string]tally{})
	begin("a", "shop", 3)
	quiet(map[string]tally{"shop": {active: 3}})
	begin("b", "shop", 2)
	begin("b", "postgres", 4)
	quiet(map[string]tally{"shop": {active: 5}, "postgres": {active: 4}})
	end(2, "commit")
	quiet(map[string]tally{"shop": {active: 3, idle: 2}, "postgres": {active: 4}})
	begin("a", "postgres", 6)
	end(3, "rollback")
	quiet(map[string]tally{"shop": {idle: 5}, "postgres": {active: 10}})
	in[0].Conn().Close() // gone without a word: its connection is closed, or free after a ROLLBACK
	in = in[1:]
	Within(t, patience, "the connection of a client that has vanished is not active", func() bool {
		have, _ := o.activity()
		return have["postgres"].active == 9
	})
	have, _ := o.activity()
	quiet(map[string]tally{"shop": {idle: 5}, "postgres": {active: 9, idle: have["postgres"].idle}})
	end(len(in), "commit")
	have, _ = o.activity()
	total := have["postgres"].sum()
	quiet(map[string]tally{"shop": {idle: 5}, "postgres": {idle: total}})
	p.want(0, "", strings.Fields("pause shop --proxy a"), `^a: paused$`)
	quiet(map[string]tally{"shop": {idle: 2}, "postgres": {idle: total}})
	p.want(0, "", strings.Fields("resume shop --proxy a"), `^a: resumed$`)

	o.load(func() (stop func()) {
		a, b := p.load(p.ports["a"]), p.load(p.ports["b"])
		return func() { a(); b() }
	})
}

// load samples while clients run.
func (o *observer) load(start func() (stop func())) {
	o.t.Helper()
	stop := start()
	defer stop()
	for i := range full(100, 10) {
		_, before := o.activity()
		console := tallies(o.console())
		_, after := o.activity()
		faults := beyond("the consoles", before, after, console)
		helioctl := tallies(o.helioctl())
		_, later := o.activity()
		if faults = append(faults, beyond("helioctl", after, later, helioctl)...); len(faults) > 0 {
			o.t.Errorf("under load, sample %d:\n%s", i, strings.Join(faults, "\n"))
		}
	}
	if c := tallies(o.console())["postgres"]; c.sum() == 0 {
		o.t.Error("there was no load")
	}
}

// TestPoolsAgreeFindsFaults plants wrong counts: each is found.
func TestPoolsAgreeFindsFaults(t *testing.T) {
	pool := func(change func(*count)) []count {
		c := count{Proxy: "a", Database: "shop", Active: 2, Idle: 1}
		change(&c)
		return []count{c, {Proxy: "b", Database: "shop", Active: 1}}
	}
	want := map[string]tally{"shop": {active: 3, idle: 1}}
	backends := map[uint32]string{1: "shop", 2: "shop", 3: "shop", 4: "shop"}
	for name, tt := range map[string]struct {
		change       func(*count)
		quiet, loose bool // found when nothing moves, and under load
	}{
		"true":         {func(*count) {}, false, false},
		"one too many": {func(c *count) { c.Active++ }, true, true},
		"one too few":  {func(c *count) { c.Idle-- }, true, true},
		"other state":  {func(c *count) { c.Active--; c.Idle++ }, true, false},
		"on its way":   {func(c *count) { c.Login++ }, true, false},
		"other name":   {func(c *count) { c.Database = "shop2" }, true, true},
		"all of them":  {func(c *count) { *c = count{Database: "shop"} }, true, true},
	} {
		got := tallies(pool(tt.change))
		if found := differ("x", got, want); (len(found) > 0) != tt.quiet {
			t.Errorf("%s: %v", name, found)
		}
		if found := beyond("x", backends, backends, got); (len(found) > 0) != tt.loose {
			t.Errorf("%s, under load: %v", name, found)
		}
	}
}
