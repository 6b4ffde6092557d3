package pin

import (
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// Policy says what the sessions of a database may do to a server connection that they share. It is
// immutable.
type Policy struct {
	Guard        Guard
	Pinning      Pinning
	OneStatement bool // pool mode statement: a transaction has one statement
	DeferBegin   bool // BEGIN waits for the statement behind it
}

// Restricts says whether any statement is refused.
func (p *Policy) Restricts() bool { return p.OneStatement || p.Pinning == Refuse }

// Refuses returns why a statement with these flags is refused, which would leave why on its server connection; nil for most.
func (p *Policy) Refuses(f sqltext.Flags, why Set) *pgerr.Error {
	switch {
	case p.OneStatement && f&sqltext.FlagBegin != 0:
		return pgerr.New(pgerr.OneStatement)
	case p.Pinning == Refuse && why != 0:
		return pgerr.New(pgerr.PinRefused, why.String())
	}
	return nil
}

// Unseen returns why a statement is refused whose text is too large to be looked at, nil for most. It may begin a transaction block, and
// where it is prepared under a name it would keep its server connection.
func (p *Policy) Unseen(named bool) *pgerr.Error {
	switch {
	case p.OneStatement:
		return pgerr.New(pgerr.OneStatementUnseen)
	case p.Pinning == Refuse && named:
		return pgerr.New(pgerr.PinRefused, Unknown.String())
	}
	return nil
}

// Guard is how far it is looked for what a transaction may have left on its server connection.
type Guard uint8

// The guards.
const (
	Text    Guard = iota // what the text says
	Catalog              // and what it can reach
	Always               // and the connection is reset after every transaction
)

// Pinning is what becomes of what only one server connection has.
type Pinning uint8

// The ways.
const (
	Keep   Pinning = iota // the session keeps the connection
	Refuse                // a statement that would need that is refused
	Drop                  // it is dropped at the end of the transaction, with a warning
)
