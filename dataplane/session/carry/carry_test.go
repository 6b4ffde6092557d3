package carry

import (
	"reflect"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/channels"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
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
	s, _ := p.unpackBoth(t, c)
	return s
}

// unpackBoth makes a session and its server connection.
func (p *process) unpackBoth(t *testing.T, c *heliosv1.CarriedSession) (*session.Session, *serverstate.Server) {
	wire, err := proto.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	c = &heliosv1.CarriedSession{}
	if err := proto.Unmarshal(wire, c); err != nil {
		t.Fatal(err)
	}
	s := p.session(Startup(c))
	s.ID, s.Ear.Owner = 4711, &owner{}
	var srv *serverstate.Server
	if c.GetServer() != nil {
		srv = &serverstate.Server{Held: statement.NewHeld(10, 1<<16)}
		UnpackServer(srv, c.GetServer(), s)
	}
	Unpack(s, c, srv, p.shared.Registry, p.shared.Known)
	return s, srv
}

// owner is whoever has a session, and the connection that listens for it.
type owner struct{ kept []string }

func (o *owner) Join(*channels.Listening) channels.Listener { return o }
func (o *owner) Busy() bool                                 { return false }
func (o *owner) Encoding() string                           { return "" }
func (o *owner) Wake()                                      {}
func (o *owner) Tell()                                      {}
func (o *owner) Listen(string) uint64                       { return 1 }
func (o *owner) Catch() uint64                              { return 1 }
func (o *owner) Keep(names ...string)                       { o.kept = append(o.kept, names...) }
func (o *owner) Unlisten(string)                            {}
func (o *owner) Leave()                                     {}

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
	s.Told = settings.Of(settings.Pair{Name: "datestyle", Value: "ISO, MDY"})
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
	if got.Startup != s.Startup || got.Want != s.Want || got.Told != s.Told || len(got.Names.All) != 4 || got.Names.Bytes != s.Names.Bytes {
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

// TestWithServer packs a session with the server connection that it keeps: what is prepared there under a name of the old process goes on
// under that if it has to, and is closed if not.
func TestWithServer(t *testing.T) {
	old, young := newProcess("old_"), newProcess("young_")
	s := old.session(settings.Set{})
	srv := &serverstate.Server{
		Status: pgwire.Idle, Settings: settings.Of(settings.Pair{Name: "work_mem", Value: "5MB"}), Held: statement.NewHeld(10, 1<<16),
		Params: []settings.Pair{{Name: "TimeZone", Value: "UTC"}, {Name: "DateStyle", Value: "ISO"}}, Spoiled: true, Owner: s.ID,
	}
	s.Sequences = srv.UseSequences(6)
	reg := old.shared.Registry
	moment, plain := reg.Own(key("SELECT 'now'::timestamptz"), meaning(nil)), reg.Shared(key("SELECT 1"), meaning(nil))
	for name, st := range map[string]*statement.Statement{"moment": moment, "plain": plain} {
		s.Names.Add(name, st)
		srv.Held.Add(st)
	}
	srv.Held.SetShape(moment, 55)
	srv.Held.Stale, srv.Held.Looks = []string{"old_gone"}, true
	s.Reasons.Have = pin.Temporary | pin.Lasting
	s.Reasons.Add(moment.Name, pin.Moment)
	fx := &statement.Effects{
		Sets: []string{"work_mem"}, SetsAll: true, Suspect: true, Leaves: pin.Lock,
		Steps: []statement.Step{{Ordinal: 2, Tag: "RESET", Do: statement.DeallocateAll, Name: "x"}},
	}
	s.Kept.Set("mine", fx)
	s.Names.Add("resets", reg.Shared(key("DO 1"), meaning(fx)))

	c, ok := Pack(s)
	if !ok {
		t.Fatal("a session that keeps its server connection cannot be packed")
	}
	PackServer(s, c, srv)
	got, is := young.unpackBoth(t, c)
	if got.Keeps || got.Reasons.All() != s.Reasons.All() || got.Sequences != 7 || !reflect.DeepEqual(got.Kept, s.Kept) {
		t.Errorf("keeps %t, for %v, sequences %d, own statements %v", got.Keeps, got.Reasons.All(), got.Sequences, got.Kept)
	}
	if now := got.Names.All["resets"]; !reflect.DeepEqual(now.Effects, fx) {
		t.Errorf("a statement that stands in place of another does %+v", now.Effects)
	}
	if now := got.Names.All["moment"]; now.Name != moment.Name || !is.Held.Has(now) || is.Held.Shape(now) != 55 || got.Reasons.Of(now.Name) != pin.Moment {
		t.Errorf("a statement that is bound to the connection is %v, for %v", now, got.Reasons.Of(now.Name))
	}
	if now := got.Names.All["plain"]; now.Name == plain.Name || is.Held.Has(now) {
		t.Error("a statement that others have too is taken for that of the old process")
	}
	slices.Sort(is.Held.Stale)
	if want := []string{plain.Name, "old_gone"}; !slices.Equal(is.Held.Stale, want) || !is.Held.Looks {
		t.Errorf("to be closed are %v, want %v", is.Held.Stale, want)
	}
	if is.Status != pgwire.Idle || is.Settings != srv.Settings || !slices.Equal(is.Params, srv.Params) || !is.Spoiled || is.Tainted || is.IsForeign(4711, 7) || !is.IsForeign(4711, 8) {
		t.Errorf("the server connection is %+v", is)
	}

	s = old.session(settings.Set{})
	s.Keeps, s.Ear.Here = true, true
	if c, ok = Pack(s); !ok {
		t.Fatal("a session in pool mode session cannot be packed")
	}
	PackServer(s, c, srv)
	if got, _ := young.unpackBoth(t, c); !got.Keeps || !got.Ear.Here {
		t.Error("the mode is lost")
	}
}

// TestListening goes on listening in another process.
func TestListening(t *testing.T) {
	old, young := newProcess("old_"), newProcess("young_")
	s := old.session(settings.Set{})
	s.Ear.Owner = &owner{}
	s.Ear.Restore([]string{"a", "b"}, "LATIN1")
	c, ok := Pack(s)
	if !ok {
		t.Fatal("a session that listens cannot be packed")
	}
	got := young.unpack(t, c)
	if kept := got.Ear.Owner.(*owner).kept; !slices.Equal(kept, []string{"a", "b"}) || got.Ear.Hears.SpokenIn() != "LATIN1" {
		t.Errorf("kept are %v, spoken is %s", kept, got.Ear.Hears.SpokenIn())
	}
}

// TestStays packs nothing that is under way, or that another process would not understand.
func TestStays(t *testing.T) {
	p := newProcess("p_")
	for name, edit := range map[string]func(*session.Session){
		"in a transaction":      func(s *session.Session) { s.Status = pgwire.InTransaction },
		"half a message":        func(s *session.Session) { s.Preload([]byte("Q")) },
		"a transaction has set": func(s *session.Session) { s.Changes.Add("work_mem") },
		"one of its own that names another": func(s *session.Session) {
			s.Kept.Set("x", &statement.Effects{Uses: []*statement.Statement{{}}})
		},
		"kept for a statement that it has no name of": func(s *session.Session) { s.Reasons.Add("helios_7", pin.Moment) },
		"kept for an unnamed statement":               func(s *session.Session) { s.Reasons.Add("", pin.Unknown) },
		"waits for a channel": func(s *session.Session) {
			s.Ear.Owner = &owner{}
			s.Ear.Await(&statement.Effects{Steps: []statement.Step{{Do: statement.Listen, Name: "x"}}}, true)
		},
		"has something to hear": func(s *session.Session) {
			s.Ear.Owner = &owner{}
			s.Ear.Restore([]string{"x"}, "UTF8")
			s.Ear.Hears.Lost()
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
