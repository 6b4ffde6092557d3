package carry

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

type willing struct{}

func (willing) Judge(*query.Query) query.Verdict { return query.Verdict{} }

// process is what the sessions of a process have in common.
type process struct {
	shared session.Shared
	limits session.Limits
	policy pin.Policy
}

func newProcess(prefix string) *process {
	var scratch []byte
	return &process{
		shared: session.Shared{Registry: statement.NewRegistry(prefix), Account: &meter.Account{}, Known: facts.NewCache(1 << 20), Scratch: &scratch},
		limits: session.Limits{Statements: 10, StatementBytes: 1 << 16, TextBytes: 1 << 12},
	}
}

func (p *process) session(startup settings.Set) *session.Session {
	s := session.New(&p.shared, willing{}, &p.limits, &p.policy, startup)
	s.Pool = "pool"
	return s
}

// unpack makes a session of what another process has packed, over the wire.
func (p *process) unpack(t *testing.T, c *heliosv1.CarriedSession) *session.Session {
	wire, err := proto.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	c = &heliosv1.CarriedSession{}
	if err := proto.Unmarshal(wire, c); err != nil {
		t.Fatal(err)
	}
	s := p.session(Startup(c))
	Unpack(s, c, p.shared.Registry, p.shared.Known)
	return s
}

func key(sql string, planner ...settings.Pair) statement.Key {
	return statement.Key{Pool: "pool", Body: sql + "\x00\x00\x00", Planner: settings.Of(planner...)}
}

func meaning(fx *statement.Effects) statement.Meaning { return statement.NewMeaning(fx, nil, false) }

// TestThereAndBack packs sessions, and finds in another process all that they were.
func TestThereAndBack(t *testing.T) {
	old, young := newProcess("old_"), newProcess("young_")
	startup := settings.Of(settings.Pair{Name: "timezone", Value: "UTC"})
	s := old.session(startup)
	s.Want = startup.Change([]settings.Pair{{Name: "work_mem", Value: "5MB"}}, nil)
	reg := old.shared.Registry
	told := reg.Shared(key("SELECT 1"), meaning(nil))
	told.Told.Store(77)
	told.Accepted.Store(true)
	stale := reg.Own(key("SELECT 2"), meaning(nil))
	stale.Told.Store(88)
	stale.Stale.Store(true)
	for name, st := range map[string]*statement.Statement{
		"told": told, "untold": told, "stale": stale,
		"sets": reg.Shared(key("SELECT set_config('work_mem', $1, false)", settings.Pair{Name: "datestyle", Value: "ISO, DMY"}), meaning(&statement.Effects{Suspect: true})),
	} {
		s.Names.Add(name, st)
	}
	s.Names.Tell("told")
	s.Names.Tell("stale")
	s.Unnamed = expect.Unnamed{ID: 5, Body: []byte("SELECT 3\x00\x00\x00"), Told: 99, Planner: startup}

	c, ok := Pack(s)
	if !ok {
		t.Fatal("a session at rest cannot be packed")
	}
	other := young.shared.Registry.Shared(key("SELECT 1"), meaning(nil)) // told of there by somebody else, as something else
	other.Told.Store(1)
	got := young.unpack(t, c)
	if got.Startup != s.Startup || got.Want != s.Want || len(got.Names.All) != 4 || got.Names.Bytes != s.Names.Bytes {
		t.Errorf("settings %v, %d statements of %d bytes", got.Want, len(got.Names.All), got.Names.Bytes)
	}
	for name, was := range s.Names.All {
		is := got.Names.All[name]
		if is == nil || is.Body != was.Body || is.Planner != was.Planner || is.Told.Load() != was.Told.Load() || is.Stale.Load() != was.Stale.Load() ||
			is.Accepted.Load() != was.Accepted.Load() || got.Names.Told(name) != s.Names.Told(name) || is.Name == was.Name {
			t.Errorf("%s is %v, was %v", name, is, was)
		}
	}
	if got.Names.All["told"] == other {
		t.Error("a client is held to what somebody else was told")
	}
	if fx := got.Names.All["sets"].Effects; fx == nil || !fx.Suspect {
		t.Errorf("a statement that may set anything does %v", fx)
	}
	if u := got.Unnamed; string(u.Body) != string(s.Unnamed.Body) || u.Told != 99 || u.Planner != startup || u.ID == 0 || u.Shape == nil {
		t.Errorf("the unnamed statement is %+v", u)
	}

	again := young.unpack(t, c)
	if again.Names.All["sets"] != got.Names.All["sets"] {
		t.Error("two sessions do not share a statement")
	}
}

// TestStays packs nothing that is under way, or that another process would not understand.
func TestStays(t *testing.T) {
	p := newProcess("p_")
	for name, edit := range map[string]func(*session.Session){
		"in a transaction":      func(s *session.Session) { s.Status = pgwire.InTransaction },
		"pool mode session":     func(s *session.Session) { s.Keeps = true },
		"half a message":        func(s *session.Session) { s.Preload([]byte("Q")) },
		"a transaction has set": func(s *session.Session) { s.Changes.Add("work_mem") },
		"a rewritten statement": func(s *session.Session) {
			s.Names.Add("x", p.shared.Registry.Own(key("x"), meaning(&statement.Effects{Steps: []statement.Step{{}}})))
		},
		"one that names another": func(s *session.Session) {
			s.Names.Add("x", p.shared.Registry.Own(key("x"), meaning(&statement.Effects{Uses: []*statement.Statement{{}}})))
		},
		"unnamed, of unknown sort": func(s *session.Session) { s.Unnamed = expect.Unnamed{ID: 1, Unknown: true} },
	} {
		s := p.session(settings.Set{})
		if _, ok := Pack(s); !ok {
			t.Fatal("a new session cannot be packed")
		}
		edit(s)
		if c, ok := Pack(s); ok {
			t.Errorf("%s: packed as %v", name, c)
		}
	}
}
