// Package statement is what is known of prepared statements: each distinct one once, and which of them a server connection holds. It never sends anything.
package statement

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"

	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
)

// Key is what makes two prepared statements the same: text and parameter types, and the settings under
// which the text was parsed.
type Key struct {
	Pool    string // where it is prepared: its objects are those of one database
	Body    string // of a Parse message behind the name: text, NUL, number of types, types
	Planner settings.Set
	// Custom are the custom parameters of the session, where the statement reaches functions that somebody has written: one that is
	// declared immutable is evaluated when the statement is planned, whatever it reads.
	Custom settings.Set
	// What is parsed after the catalogue has changed is another statement: as its epoch says, where it is known, and as many
	// changes as were sent.
	Epoch, Change uint64

	// steps is what it does to a session, where the text does not say that: the proxy has put the same one in place of several.
	steps string
}

// Statement is a prepared statement. It is immutable and lives as long as a session or a server
// connection holds it.
type Statement struct {
	Key
	Meaning
	Name    string // at servers
	Private bool   // of one session, and of one Parse

	// Accepted says that a server has parsed it. Any thread may set it.
	Accepted atomic.Bool
	// Told is the shape of the result that clients were told; 0: none. Any thread may set it, once.
	Told atomic.Uint64
	// Stale says that the result has another shape by now: who was told the old one may not use it any more.
	Stale atomic.Bool

	parameters atomic.Pointer[parameters]
}

// nameSize is how many bytes of a statement's name count, as NAMEDATALEN has it.
const nameSize = 63

// Cut returns what counts of a statement's name.
func Cut(name []byte) []byte { return name[:min(len(name), nameSize)] }

// Rename puts the client's name of the statement in place of the server's, in quotes, in the body of an error; the body is the
// one given where that does not name it.
func (st *Statement) Rename(body []byte, name string) []byte {
	quoted := []byte("\"" + st.Name + "\"")
	if !bytes.Contains(body, quoted) {
		return body
	}
	return bytes.ReplaceAll(body, quoted, []byte("\""+name+"\""))
}

// Meaning is what is known of a text: what executing it does. Any thread may use it.
type Meaning struct {
	Effects *Effects        // on the session; nil for most
	SQL     *sqlparse.Facts // what the grammar says; nil where it does not know the text

	changes bool
	verdict *atomic.Uint64 // of the catalogue of the pool's database: epoch and reach
}

// NewMeaning makes a meaning. changes says that the text may change the catalogue.
func NewMeaning(fx *Effects, sql *sqlparse.Facts, changes bool) Meaning {
	return Meaning{Effects: fx, SQL: sql, changes: changes, verdict: new(atomic.Uint64)}
}

// Facts returns what the grammar says of the text.
func (m *Meaning) Facts() *sqlparse.Facts { return m.SQL }

// Changes says whether the text may change the catalogue.
func (m *Meaning) Changes() bool { return m.changes }

// Reach is what the text can reach by the catalogue j, always the same for one meaning, and of which of its epochs
// the answer is.
func (m *Meaning) Reach(j catalog.Judge) (catalog.Reach, uint64) {
	if v := m.verdict.Load(); v>>reachBits == j.Epoch() && v != 0 {
		return catalog.Reach(v & (1<<reachBits - 1)), v >> reachBits
	}
	r, epoch := j.Judge(m.SQL)
	m.verdict.Store(epoch<<reachBits | uint64(r))
	return r, epoch
}

const reachBits = 8 // of a verdict

// Effects are what executing a text does to the session, beyond the database. They are immutable.
type Effects struct {
	Sets    []string // the parameters that it may change
	SetsAll bool     // it may change any parameter
	Suspect bool     // what it leaves cannot be followed
	Leaves  pin.Set  // on the server connection, for the session alone
	Steps   []Step
	Uses    []*Statement // that it names, and the server connection has to have
}

// Listens says whether one of the statements is a LISTEN that another connection says.
func (fx *Effects) Listens() bool {
	for i := range fx.Steps {
		if fx.Steps[i].Do == Listen {
			return true
		}
	}
	return false
}

// Unlistens says whether one of the statements ends that something is listened to.
func (fx *Effects) Unlistens() bool {
	for i := range fx.Steps {
		switch fx.Steps[i].Do {
		case Unlisten, UnlistenAll, DiscardAll:
			return true
		}
	}
	return false
}

// Step is what one statement of a text does when it has succeeded.
type Step struct {
	Ordinal int    // which statement of the text, from 0
	Tag     string // what its CommandComplete shall say instead; empty: what it says
	Do      Action
	Name    string // the prepared statement that goes, the channel, the savepoint
}

// Action is what a statement does to the session: to its prepared statements, to the channels that it listens to by a connection
// that listens for all, to its savepoints.
type Action uint8

// Actions.
const (
	Nothing          Action = iota
	Deallocate              // one goes
	DeallocateAll           // all go
	DiscardAll              // all go, and the settings are the session's first
	DiscardSequences        // none goes, but what currval and lastval answer
	Listen
	Unlisten
	UnlistenAll
	Savepoint
	Release
	RollbackTo
)

// String writes the steps down; empty for most.
func (fx *Effects) String() string {
	if fx == nil || len(fx.Steps) == 0 {
		return ""
	}
	return fmt.Sprintf("%#v", fx.Steps)
}

// Registry finds the statements that sessions share. Any thread may use it.
type Registry struct {
	prefix  string
	serial  atomic.Uint64
	changes atomic.Uint64
	mu      sync.Mutex
	shared  map[Key]weak.Pointer[Statement]
}

// NewRegistry makes a registry whose statements are called prefix and a number at servers.
func NewRegistry(prefix string) *Registry {
	return &Registry{prefix: prefix, shared: map[Key]weak.Pointer[Statement]{}}
}

// Prefix returns what the names of all statements begin with.
func (r *Registry) Prefix() string { return r.prefix }

// Serial returns a number that no other call returns.
func (r *Registry) Serial() uint64 { return r.serial.Add(1) }

// Changes returns how many changes of a catalogue were noted.
func (r *Registry) Changes() uint64 { return r.changes.Load() }

// Changed notes that a catalogue may have changed: statements that are parsed from now on are not those from before.
func (r *Registry) Changed() { r.changes.Add(1) }

// Shared returns the statement with the key, made with that meaning if there was none.
func (r *Registry) Shared(k Key, m Meaning) *Statement {
	k.steps = m.Effects.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	if have := r.shared[k].Value(); have != nil {
		return have
	}
	made := &Statement{Key: k, Name: r.name(), Meaning: m}
	r.shared[k] = weak.Make(made)
	runtime.AddCleanup(made, r.forget, k)
	return made
}

// Find returns the statement with the key, nil where there is none.
func (r *Registry) Find(k Key) *Statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shared[k].Value()
}

// Retire notes that the statement is stale: it is not found any more, and a new one takes its key.
func (r *Registry) Retire(st *Statement) {
	st.Stale.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shared[st.Key].Value() == st {
		delete(r.shared, st.Key)
	}
}

// Own returns a statement that nobody else will find.
func (r *Registry) Own(k Key, m Meaning) *Statement {
	return &Statement{Key: k, Name: r.name(), Meaning: m, Private: true}
}

// Adopt is Own for a statement that servers know by a name of another process.
func (r *Registry) Adopt(k Key, m Meaning, name string) *Statement {
	return &Statement{Key: k, Name: name, Meaning: m, Private: true}
}

// Len returns how many shared statements there are.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.shared)
}

func (r *Registry) name() string { return r.prefix + strconv.FormatUint(r.serial.Add(1), 10) }

// forget drops the entry of a statement that nobody holds, unless a new one has taken its place.
func (r *Registry) forget(k Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.shared[k]; ok && p.Value() == nil {
		delete(r.shared, k)
	}
}

// String returns the statement's name and text.
func (st *Statement) String() string { return fmt.Sprintf("%s: %q", st.Name, st.Body) }
