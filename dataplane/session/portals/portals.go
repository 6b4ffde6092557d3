// Package portals is what a session has bound: what executing a portal will do to the session, and of which statement the unnamed one is.
package portals

import "github.com/heliosproxy/heliosproxy/dataplane/state/statement"

// Portals are those of a session. They belong to its loop.
type Portals struct {
	// Bound is what the unnamed portal is of.
	Bound Bound

	unnamed *statement.Effects
	named   map[string]*statement.Effects // of those that have some
}

// Bound is a statement that was bound.
type Bound struct {
	Statement *statement.Statement // nil where it has no name
	As        []byte               // what the client calls it
	Told      bool                 // the client was told what it returns
	Made      uint64               // the ID of the unnamed statement; 0 where it is another one
}

// Open notes what executing a portal will do, nil for most.
func (p *Portals) Open(name []byte, fx *statement.Effects) {
	if len(name) == 0 {
		p.unnamed = fx
		return
	}
	p.openNamed(name, fx)
}

func (p *Portals) openNamed(name []byte, fx *statement.Effects) {
	if fx == nil {
		delete(p.named, string(name))
		return
	}
	if p.named == nil {
		p.named = map[string]*statement.Effects{}
	}
	p.named[string(name)] = fx
}

// Bind notes that the unnamed portal is of the statement st that the client calls name, and of which it was told what it returns or
// was not. Where st is nil it is of the unnamed statement, whose ID unnamed is, or of one that the session does not have.
func (p *Portals) Bind(st *statement.Statement, name []byte, told bool, unnamed uint64) {
	switch {
	case st != nil:
		p.Bound = Bound{Statement: st, As: append(p.Bound.As[:0], name...), Told: told}
	case len(name) == 0:
		p.BindUnnamed(unnamed)
	default:
		p.BindUnnamed(0)
	}
}

// BindUnnamed notes that it is of the unnamed statement with that ID, or, with 0, of one that the session does not have.
func (p *Portals) BindUnnamed(made uint64) {
	p.Bound.Statement, p.Bound.Made = nil, made
}

// Any says whether executing any of the portals does anything.
func (p *Portals) Any() bool { return p.unnamed != nil || len(p.named) > 0 }

// Does is what executing a portal will do.
func (p *Portals) Does(name []byte) *statement.Effects {
	if len(name) == 0 {
		return p.unnamed
	}
	return p.named[string(name)]
}

// EndUnnamed forgets the unnamed portal, as a Query does.
func (p *Portals) EndUnnamed() { p.unnamed = nil }

// End forgets all of them: the transaction is over.
func (p *Portals) End() {
	if p.Any() {
		p.unnamed = nil
		clear(p.named)
	}
}
