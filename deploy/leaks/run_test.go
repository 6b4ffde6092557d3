package leaks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// digest is everything that a session can see of itself.
const digest = `SELECT concat_ws(' | ', current_setting('work_mem'), coalesce(current_setting('app.owner', true), ''), current_setting('search_path'),
	current_setting('default_transaction_read_only'), current_user, session_user,
	(SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'),
	(SELECT string_agg(name, ',' ORDER BY name) FROM pg_prepared_statements WHERE from_sql),
	(SELECT string_agg(name, ',' ORDER BY name) FROM pg_cursors WHERE is_holdable),
	(SELECT string_agg(objid::text, ',' ORDER BY objid) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
	(SELECT string_agg(c, ',' ORDER BY c) FROM pg_listening_channels() c))`

// glances are what a session can see that does not make it keep its server connection.
func glances() []string {
	return []string{
		"SHOW work_mem", "SELECT coalesce(current_setting('app.owner', true), '')", "SHOW search_path", "SELECT current_user", "SHOW default_transaction_read_only",
		"SELECT to_regclass('kept')", "SELECT to_regclass('dropped')",
	}
}

// twin is a session of the proxy and the one that does the same directly.
type twin struct {
	n               int
	proxied, direct *pgconn.PgConn
	inTransaction   bool
	keeps           bool
	seeded          bool
}

// world is a few twins, whose sessions share the server connections of one pool.
type world struct {
	r             *rand.Rand
	proxy, server string                      // addresses
	wires         *wires                      // what they are reached by
	most          int                         // server connections
	kept          func(inTransaction int) int // sessions that keep a server connection
	twins         []*twin
	alone         []*pgconn.PgConn // the direct twins' sessions
	serial        *int
	units         []unit
	story         []string
	seeded        string // what random() answers first to those who have set the seed
}

// connect logs in as worker.
func (w *world) connect(addr, database string) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://worker@%s/%s?sslmode=disable", addr, database))
	if err != nil {
		return nil, err
	}
	w.wires.use(cfg)
	return pgconn.ConnectConfig(context.Background(), cfg)
}

// open makes n twins. The direct ones are new as far as DISCARD ALL makes a session new.
func (w *world) open(n int) error {
	for len(w.alone) < n {
		d, err := w.connect(w.server, "direct")
		if err != nil {
			return err
		}
		w.alone = append(w.alone, d)
		w.seedOnce(d)
	}
	for i, d := range w.alone {
		p, err := w.connect(w.proxy, "proxied")
		if err != nil {
			return err
		}
		w.twins = append(w.twins, &twin{n: i + 1, proxied: p, direct: d})
	}
	return nil
}

// seedOnce finds out what random() answers first to those who have set the seed.
func (w *world) seedOnce(d *pgconn.PgConn) {
	run(d, "SELECT setseed(0.5)", false)
	w.seeded = run(d, "SELECT random()", false)
}

// close ends the sessions, and gives back what the direct ones have locked.
func (w *world) close() error {
	for _, t := range w.twins {
		t.proxied.Close(context.Background())
		for _, sql := range []string{"ROLLBACK", "DISCARD ALL"} {
			if _, err := t.direct.Exec(context.Background(), sql).ReadAll(); err != nil {
				return err
			}
		}
	}
	w.twins = nil
	return nil
}

// can says whether the twin gets a server connection without waiting for another one.
func (w *world) can(t *twin) bool {
	if t.holds() {
		return true
	}
	busy := 0
	for _, o := range w.twins {
		if o.holds() {
			busy++
		}
	}
	return busy < w.most
}

// step lets a twin do the next thing: begin a unit, or go on with one. It returns what is wrong.
func (w *world) step(t *twin, pending *[]string) string {
	if len(*pending) == 0 {
		u := w.units[w.r.IntN(len(w.units))]
		*w.serial++
		for _, sql := range u.sql {
			sql = strings.ReplaceAll(sql, "%d", fmt.Sprint(1000+*w.serial%100000))
			*pending = append(*pending, strings.ReplaceAll(sql, "$s", fmt.Sprint(t.n)))
		}
	}
	sql := (*pending)[0]
	*pending = (*pending)[1:]
	return w.do(t, sql, w.r.IntN(3) == 0)
}

// do runs a statement on both sides and compares.
func (w *world) do(t *twin, sql string, extended bool) string {
	direct := run(t.direct, sql, extended)
	proxied := run(t.proxied, sql, extended)
	w.story = append(w.story, fmt.Sprintf("%d: %s -> %s", t.n, sql, proxied))
	t.seeded = t.seeded || strings.Contains(sql, "seed")
	t.inTransaction = t.proxied.TxStatus() != 'I'
	if proxied == direct {
		return ""
	}
	return fmt.Sprintf("session %d: %s: got %s, its twin %s", t.n, sql, proxied, direct)
}

// stuck is how long a statement may take.
const stuck = 30 * time.Second

// call is what FUNCTION NAME(TYPES) VALUE|VALUE... is answered with, a FunctionCall.
func call(ctx context.Context, c *pgconn.PgConn, what string) string {
	name, rest, _ := strings.Cut(what, ")")
	r, err := c.Exec(ctx, "SELECT '"+name+")'::regprocedure::oid").ReadAll()
	if pe, ok := err.(*pgconn.PgError); ok {
		return pe.Code
	} else if err != nil {
		return err.Error()
	}
	oid, _ := strconv.ParseUint(string(r[0].Rows[0][0]), 10, 32)
	m := &pgproto3.FunctionCall{Function: uint32(oid)}
	for v := range strings.SplitSeq(strings.TrimSpace(rest), "|") {
		m.Arguments = append(m.Arguments, []byte(v))
	}
	c.Frontend().Send(m)
	if err := c.Frontend().Flush(); err != nil {
		return err.Error()
	}
	said := ""
	for {
		m, err := c.ReceiveMessage(ctx)
		if err != nil {
			return err.Error()
		}
		switch m := m.(type) {
		case *pgproto3.FunctionCallResponse:
			said = fmt.Sprintf("%q", m.Result)
		case *pgproto3.ErrorResponse:
			said = m.Code
		case *pgproto3.ReadyForQuery:
			return said
		}
	}
}

// maxText is how large texts are that the proxy looks at, in bytes: longer than all but those with $big in them.
const maxText = 4096

// run is what a statement is answered with.
func run(c *pgconn.PgConn, sql string, extended bool) string {
	sql = strings.ReplaceAll(sql, "$big", "/*"+strings.Repeat("x", maxText)+"*/")
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	if what, ok := strings.CutPrefix(sql, "FUNCTION "); ok {
		return call(ctx, c, what)
	}
	if what, ok := strings.CutPrefix(sql, "PIPE "); ok {
		return pipe(ctx, c, what)
	}
	var rs []*pgconn.Result
	var err error
	if extended && !strings.HasPrefix(sql, "COPY") {
		r := c.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
		rs, err = []*pgconn.Result{r}, r.Err
	} else {
		rs, err = c.Exec(ctx, sql).ReadAll()
	}
	var b strings.Builder
	for _, r := range rs {
		for _, row := range r.Rows {
			for _, v := range row {
				fmt.Fprintf(&b, "%q ", v)
			}
		}
		b.WriteString(r.CommandTag.String())
	}
	if pe, ok := err.(*pgconn.PgError); ok {
		return pe.Code
	} else if err != nil {
		return err.Error()
	}
	return b.String()
}

// glance compares something that a twin can see.
func (w *world) glance(t *twin) string {
	all := glances()
	return w.do(t, all[w.r.IntN(len(all))], w.r.IntN(3) == 0)
}

// last compares everything that a twin can see, at the end of its life.
func (w *world) last(t *twin) string {
	if t.inTransaction {
		if wrong := w.do(t, "ROLLBACK", false); wrong != "" {
			return wrong
		}
	}
	for _, sql := range []string{"SELECT currval('s')", "SELECT currval('numbered_id_seq')", "SELECT lastval()"} {
		direct, proxied := run(t.direct, sql, false), run(t.proxied, sql, false)
		if w.story = append(w.story, fmt.Sprintf("%d: %s -> %s", t.n, sql, proxied)); proxied != direct && proxied != "55000" {
			return fmt.Sprintf("session %d: %s: got %s, its twin %s", t.n, sql, proxied, direct)
		}
	}
	const random = "SELECT random()"
	direct, proxied := run(t.direct, random, false), run(t.proxied, random, false)
	if t.seeded && proxied != direct || !t.seeded && proxied == w.seeded {
		return fmt.Sprintf("session %d, which has set a seed: %v, gets %s from random(), its twin %s", t.n, t.seeded, proxied, direct)
	}
	return w.do(t, digest, false)
}

// play lets twins do things in turn, and returns what went wrong.
func (w *world) play(steps int) string {
	pending := make([][]string, len(w.twins))
	for range steps {
		t := w.twins[w.r.IntN(len(w.twins))]
		if !w.can(t) {
			continue
		}
		var wrong string
		if len(pending[t.n-1]) == 0 && w.r.IntN(3) == 0 {
			wrong = w.glance(t)
		} else {
			wrong = w.step(t, &pending[t.n-1])
		}
		if wrong != "" {
			return wrong
		}
		w.look(t)
	}
	// Those who hold a server connection make room for the others.
	slices.SortStableFunc(w.twins, func(a, b *twin) int {
		switch {
		case a.holds() == b.holds():
			return 0
		case a.holds():
			return -1
		}
		return 1
	})
	for _, t := range w.twins {
		if wrong := w.last(t); wrong != "" {
			return wrong
		}
		t.proxied.Close(context.Background())
	}
	return ""
}

// holds says whether the twin has a server connection.
func (t *twin) holds() bool { return t.keeps || t.inTransaction }

// look finds out whether the twin that did something keeps its server connection.
func (w *world) look(t *twin) {
	inTransaction, others := 0, 0
	for _, o := range w.twins {
		switch {
		case o.inTransaction:
			inTransaction++
		case o != t && o.keeps:
			others++
		}
	}
	if kept := w.kept(inTransaction); !t.inTransaction {
		t.keeps = kept > others
	}
}

func (w *world) tell(t testing.TB, wrong string) {
	t.Errorf("%s\n\t%s", wrong, strings.Join(w.story, "\n\t"))
}
