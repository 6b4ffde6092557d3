// Package residue is what a transaction may leave on its server connection, as far as its texts say and the catalogue knows what they reach. It never asks the server.
package residue

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
)

// Residue is what the transaction of one session may leave. It belongs to the loop of the session.
type Residue struct {
	Suspect bool    // anything: the connection is to be looked through
	Maybe   pin.Set // what its texts say, of pin.Found: the connection tells whether it is so

	open    bool // something is noted in what follows
	because Text // what the catalogue made suspect first
	judged  bool // verdicts of the catalogue were relied on, of the epoch
	epoch   uint64
	changes bool   // the catalogue
	changed func() // ends a change of the catalogue, for those who read it
}

// Any says whether the transaction may have left something, or there is something else to be done at its end.
func (r *Residue) Any() bool {
	return r.Suspect || r.Maybe != 0 || r.open
}

// Text is what is known of a statement's text.
type Text interface {
	Facts() *sqlparse.Facts
	Changes() bool
	Reach(j catalog.Judge) (catalog.Reach, uint64)
}

// Changes hears of changes of a catalogue: what is parsed from then on may be something else.
type Changes interface{ Changed() }

// Reach asks the catalogue what a text that is sent now can reach, of which f are the facts, and keeps in mind of when the answer is. j may be nil: then
// it is what the text itself says.
func (r *Residue) Reach(t Text, f *sqlparse.Facts, j catalog.Judge, to Changes) catalog.Reach {
	if t.Changes() && (f == nil || f.Does&sqlparse.MakesTemp == 0) {
		to.Changed() // and again when the transaction is over
		r.changes, r.open = true, true
	}
	if j == nil {
		return ofText(f)
	}
	if t.Changes() && r.changed == nil {
		r.changed = j.Change()
	}
	reach, epoch := t.Reach(j)
	if !r.judged {
		r.judged, r.open, r.epoch = true, true, epoch
	}
	return reach
}

// ofText is what a text can reach as far as it says itself.
func ofText(f *sqlparse.Facts) (r catalog.Reach) {
	if f == nil || len(f.Functions) > 0 || f.Does&(sqlparse.Writes|sqlparse.RunsCode|sqlparse.Calls|sqlparse.Executes|sqlparse.Other) != 0 {
		r |= catalog.Sequences
	}
	if f == nil {
		return r
	}
	for _, n := range f.Functions {
		if n.Name == "currval" || n.Name == "lastval" {
			r |= catalog.Sessions
		}
	}
	return r
}

// Blame notes that it is the text that is suspect, unless another one was before.
func (r *Residue) Blame(t Text) {
	if r.because == nil {
		r.because, r.open = t, true
	}
}

// Doubtful says whether the server connection has to be looked through, now that the transaction is over.
func (r *Residue) Doubtful(j catalog.Judge) bool {
	return r.Suspect || r.Maybe != 0 || r.judged && j != nil && j.Epoch() != r.epoch
}

// Because says in words what the catalogue finds suspect in the transaction, "" where it is something else that is.
func (r *Residue) Because(j catalog.Judge) string {
	if r.because == nil || j == nil {
		return ""
	}
	return j.Why(r.because.Facts())
}

// End forgets everything: the transaction is over, and what it may have left is dealt with.
func (r *Residue) End(to Changes) {
	if r.changed != nil {
		r.changed()
	}
	if r.changes {
		to.Changed()
	}
	*r = Residue{}
}
