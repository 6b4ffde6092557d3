// Package carry makes a session at rest, and the state of the server connection that it keeps, into a message and a message into both, for a process that takes the place of another. It never moves a descriptor.
package carry

import (
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/effects"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Pack writes down what a session is. ok is false for one that is not at rest, or has what only its own process understands.
func Pack(s *session.Session) (c *heliosv1.CarriedSession, ok bool) {
	if !s.Rests() || s.Ear.Waiting() || s.Reasons.Of("") != 0 {
		return nil, false
	}
	c = &heliosv1.CarriedSession{Startup: pairs(s.Startup), Settings: pairs(s.Want), Pins: uint32(s.Reasons.Have), Sequences: s.Sequences, Told: pairs(s.Told)}
	bound := 0
	for name, st := range s.Names.All {
		if !tellable(st.Effects) {
			return nil, false
		}
		x := &heliosv1.CarriedStatement{
			Name: name, Body: []byte(st.Body), Planner: pairs(st.Planner), Shape: st.Told.Load(), Told: s.Names.Told(name),
			Private: st.Private || st.Custom != (settings.Set{}), Stale: st.Stale.Load(), Accepted: st.Accepted.Load(), Effects: untold(st.Effects), Parameters: st.Types(),
		}
		if why := s.Reasons.Of(st.Name); why != 0 {
			x.AtServer, x.Pins = st.Name, uint32(why)
			bound++
		}
		c.Statements = append(c.Statements, x)
	}
	if bound != s.Reasons.Statements() { // there is one that the client does not know by its name any more
		return nil, false
	}
	for name, fx := range s.Kept {
		if !tellable(fx) {
			return nil, false
		}
		c.Own = append(c.Own, &heliosv1.OwnStatement{Name: name, Effects: packEffects(fx)})
	}
	if u := &s.Unnamed; u.ID != 0 {
		if u.Unknown || !tellable(u.Effects) {
			return nil, false
		}
		c.Unnamed = &heliosv1.CarriedStatement{Body: slices.Clone(u.Body), Planner: pairs(u.Planner), Shape: u.Told, Effects: untold(u.Effects), Parameters: u.Types}
	}
	if l := s.Ear.Hears; l != nil {
		if l.Asking() {
			return nil, false
		}
		c.Listening = &heliosv1.CarriedListening{Channels: l.Names(), Encoding: l.SpokenIn()}
	}
	return c, true
}

// Unpack makes s, a new session with the start-up settings of c, what the one was that c was packed of. Its pool is set, and srv is the
// server connection that came with it; nil where none did.
func Unpack(s *session.Session, c *heliosv1.CarriedSession, srv *serverstate.Server, reg *statement.Registry, known *facts.Cache) {
	s.Sequences, s.Told = c.GetSequences(), set(c.GetTold())
	if !planted.Is(planted.Unset) {
		s.Want = set(c.GetSettings())
	}
	s.Reasons.Have = pin.Set(c.GetPins()) & pin.Every
	for _, x := range c.GetStatements() {
		st := find(s, x, reg, known)
		if why := pin.Set(x.GetPins()) & pin.Every; why != 0 {
			s.Reasons.Add(st.Name, why)
			if srv != nil {
				srv.Held.Add(st)
				srv.Held.SetShape(st, x.GetServerShape())
				srv.Held.SetTyped(st)
			}
		}
		s.Names.Add(x.GetName(), st)
		if x.GetTold() {
			s.Names.Tell(x.GetName())
		}
	}
	for _, own := range c.GetOwn() {
		s.Kept.Set(own.GetName(), unpackEffects(own.GetEffects()))
	}
	if u := c.GetUnnamed(); u != nil {
		planner := set(u.GetPlanner())
		t, fx := read(s, u, planner, known)
		s.Unnamed = expect.Unnamed{ID: reg.Serial(), Body: slices.Clone(u.GetBody()), Planner: planner, Effects: fx, Shape: t.Shape, Told: u.GetShape(), Types: u.GetParameters()}
	}
	if l := c.GetListening(); l != nil {
		s.Ear.Restore(l.GetChannels(), l.GetEncoding())
	}
}

// find returns the statement that others have too, or one of the session's own where theirs is not quite it.
func find(s *session.Session, c *heliosv1.CarriedStatement, reg *statement.Registry, known *facts.Cache) *statement.Statement {
	k := statement.Key{Pool: s.Pool, Body: string(c.GetBody()), Planner: set(c.GetPlanner()), Change: reg.Changes()}
	if s.Catalog != nil {
		k.Epoch = s.Catalog.Epoch()
	}
	t, fx := read(s, c, k.Planner, known)
	m := statement.NewMeaning(fx, t.SQL, t.Changes())
	if !c.GetPrivate() && !c.GetStale() && c.GetAtServer() == "" || planted.Is(planted.Unbound) {
		st := reg.Shared(k, m)
		shape, types := c.GetShape(), c.GetParameters()
		if (len(types) == 0 || st.Learn(types)) && (shape == 0 || st.Told.CompareAndSwap(0, shape) || st.Told.Load() == shape) {
			if c.GetAccepted() {
				st.Accepted.Store(true)
			}
			return st
		}
	}
	st := (*statement.Statement)(nil)
	if name := c.GetAtServer(); name != "" {
		st = reg.Adopt(k, m, name)
	} else {
		st = reg.Own(k, m)
	}
	if types := c.GetParameters(); len(types) > 0 {
		st.Learn(types)
	}
	st.Told.Store(c.GetShape())
	st.Stale.Store(c.GetStale())
	st.Accepted.Store(c.GetAccepted())
	return st
}

// read finds out what is known of the text in the body of a Parse, which was parsed under some settings, and what it does.
func read(s *session.Session, c *heliosv1.CarriedStatement, under settings.Set, known *facts.Cache) (facts.Text, *statement.Effects) {
	text, _, _ := pgwire.CString(c.GetBody())
	t := known.Of(text, under.StdStrings())
	if c.GetEffects() != nil {
		return t, unpackEffects(c.GetEffects())
	}
	flags := t.Flags
	var r settings.Reading
	if !r.Followable(s.Want) {
		flags |= sqltext.FlagUnfollowable
	}
	q := effects.Text{SQL: text, StdStrings: under.StdStrings(), Flags: flags, Single: t.Statements == 1, Facts: t.SQL}
	q.Leaves = pin.Leaves(text, under.StdStrings(), flags, t.SQL)
	fx, _, _ := effects.Of(q, effects.Session{Startup: s.Startup})
	return t, fx
}

func pairs(s settings.Set) (ps []*heliosv1.CarriedSetting) {
	for name, value := range s.All() {
		ps = append(ps, &heliosv1.CarriedSetting{Name: name, Value: value})
	}
	return ps
}

func set(ps []*heliosv1.CarriedSetting) settings.Set {
	var all []settings.Pair
	for _, p := range ps {
		all = append(all, settings.Pair{Name: p.GetName(), Value: p.GetValue()})
	}
	return settings.Of(all...)
}

// Startup is what the client asked for when it logged in.
func Startup(c *heliosv1.CarriedSession) settings.Set { return set(c.GetStartup()) }
