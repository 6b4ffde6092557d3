package carry

import (
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// PackServer writes down what is so on the server connection that a session keeps, of which c was packed: there too what concerns both.
func PackServer(s *session.Session, c *heliosv1.CarriedSession, srv *serverstate.Server) {
	c.Server = &heliosv1.CarriedServer{
		ForGood: s.Keeps, Settings: pairs(srv.Settings), Tainted: srv.Tainted, Spoiled: srv.Spoiled,
		Foreign: uint32(srv.Foreign), Sequences: srv.Sequences, Looks: srv.Held.Looks, Hears: s.Ear.Here,
	}
	for _, p := range srv.Params {
		c.Server.Parameters = append(c.Server.Parameters, &heliosv1.CarriedSetting{Name: p.Name, Value: p.Value})
	}
	used := map[string]bool{}
	for _, x := range c.GetStatements() {
		if x.GetAtServer() != "" {
			used[x.GetAtServer()] = true
			x.ServerShape = srv.Held.Shape(s.Names.All[x.GetName()])
		}
	}
	c.Server.Stale = srv.Held.Names(used)
}

// UnpackServer makes srv what the server connection was that c was packed of. s is the session that keeps it.
func UnpackServer(srv *serverstate.Server, c *heliosv1.CarriedServer, s *session.Session) {
	srv.Status, srv.Settings, srv.Tainted, srv.Spoiled = s.Status, set(c.GetSettings()), c.GetTainted(), c.GetSpoiled()
	srv.Owner, srv.Foreign, srv.Sequences = s.ID, settings.Foreign(c.GetForeign()), c.GetSequences()
	srv.Held.Stale, srv.Held.Looks = c.GetStale(), c.GetLooks()
	for _, p := range c.GetParameters() {
		srv.SetParam([]byte(p.GetName()), []byte(p.GetValue()))
	}
	s.Keeps, s.Ear.Here = c.GetForGood(), c.GetHears()
}
