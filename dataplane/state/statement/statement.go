// Package statement is what is known of prepared statements: each distinct one once, and which of them a server connection holds. It never sends anything.
package statement

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
)

// Key is what makes two prepared statements the same: text and parameter types, and the settings under
// which the text was parsed.
type Key struct {
	Pool    string // where it is prepared: its objects are those of one database
	Body    string // of a Parse message behind the name: text, NUL, number of types, types
	Planner settings.Set
}

// Statement is a prepared statement. It is immutable and lives as long as a session or a server
// connection holds it.
type Statement struct {
	Key
	Name    string   // at servers
	Private bool     // of one session, and of one Parse
	Effects *Effects // of executing it on the session; nil for most

	// Accepted says that a server has parsed it. Any thread may set it.
	Accepted atomic.Bool
}

// Effects are what executing a text does to the session, beyond the database. They are immutable.
type Effects struct {
	Sets    []string // the parameters that it may change
	SetsAll bool     // it may change any parameter
	Taints  bool     // what it sets cannot be followed
	Pins    bool     // it leaves something on the server connection that the session needs
	Steps   []Step
}

// Step is what one statement of a text does when it has succeeded.
type Step struct {
	Ordinal int    // which statement of the text, from 0
	Tag     string // what its CommandComplete shall say instead; empty: what it says
	Do      Action
	Name    string // the prepared statement that goes
}

// Action is what a statement does to the session's prepared statements.
type Action uint8

// Actions.
const (
	Nothing       Action = iota
	Deallocate           // one goes
	DeallocateAll        // all go
	DiscardAll           // all go, and the settings are the session's first
)

// Registry finds the statements that sessions share. Any thread may use it.
type Registry struct {
	prefix string
	serial atomic.Uint64
	mu     sync.Mutex
	shared map[Key]weak.Pointer[Statement]
}

// NewRegistry makes a registry whose statements are called prefix and a number at servers.
func NewRegistry(prefix string) *Registry {
	return &Registry{prefix: prefix, shared: map[Key]weak.Pointer[Statement]{}}
}

// Prefix returns what the names of all statements begin with.
func (r *Registry) Prefix() string { return r.prefix }

// Serial returns a number that no other call returns.
func (r *Registry) Serial() uint64 { return r.serial.Add(1) }

// Shared returns the statement with the key, made with those effects if there was none.
func (r *Registry) Shared(k Key, fx *Effects) *Statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	if have := r.shared[k].Value(); have != nil {
		return have
	}
	made := &Statement{Key: k, Name: r.name(), Effects: fx}
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

// Own returns a statement that nobody else will find.
func (r *Registry) Own(k Key, fx *Effects) *Statement {
	return &Statement{Key: k, Name: r.name(), Effects: fx, Private: true}
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
