// Package hosts is what is known of where hosts are: the addresses of names, for as long as they are good or their zones are as they were, and which host of a server has answered last, or is the next one where connections are spread. It never asks by itself: whoever makes a book says how names are looked up.
package hosts

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// Options say how a book is kept.
type Options struct {
	Log *zap.Logger
	// Lookup finds the addresses of a name and how long they are good. It waits for as long as it takes, on a goroutine.
	Lookup Lookup
	// Serial finds the serial number of a zone, in the same way.
	Serial Serial
	// None says of an error of Lookup that somebody who knows has said that there is no such host.
	None func(error) bool
	// Changed is called when an address is gone that a name has had. On any goroutine.
	Changed func()
}

// Policy is how long answers are kept.
type Policy struct {
	MaxTTL  time.Duration // of an answer, whatever it says itself; a second at least
	NoneTTL time.Duration // of there being no such host
	// ZonePeriod is how often it is looked whether the serial number of a zone has changed, whose names are asked for anew then: a second
	// at least; 0 never looks.
	ZonePeriod time.Duration
}

// Book knows hosts. Any thread may use it.
type Book struct {
	o    Options
	ctx  context.Context // ends with the book
	stop context.CancelFunc

	mu      sync.Mutex
	policy  Policy
	names   map[string]*name
	servers map[key]*Server
	zones   map[string]*zone   // of names that were asked for
	period  time.Duration      // in which zones are looked at now; 0: they are not
	rest    context.CancelFunc // ends that
}

// New makes an empty book.
func New(o Options) *Book {
	b := &Book{o: o, names: map[string]*name{}, servers: map[key]*Server{}, zones: map[string]*zone{}}
	b.ctx, b.stop = context.WithCancel(context.Background())
	return b
}

// Close ends the questions.
func (b *Book) Close() {
	b.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.names {
		n.forget()
	}
}

// Use says how long answers are kept from now on.
func (b *Book) Use(p Policy) {
	b.mu.Lock()
	b.policy = p
	b.tend()
	all := slices.Collect(maps.Values(b.names))
	b.mu.Unlock()
	for _, n := range all {
		n.shorten(p)
	}
}

// Retain forgets all servers but these, and the names that none of them has.
func (b *Book) Retain(servers map[*Server]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	used := map[*name]bool{}
	for k, s := range b.servers {
		if !servers[s] {
			delete(b.servers, k)
			continue
		}
		for _, p := range s.places {
			used[p.name] = true
		}
	}
	for k, n := range b.names {
		if !used[n] {
			n.forget()
			delete(b.names, k)
		}
	}
	b.tend()
}

func (b *Book) keeps() Policy {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.policy
}

// Server returns the server at hosts, the same one for the same hosts. spread says whether its connections are spread over these, and
// over the addresses of each.
func (b *Book) Server(list []resource.Host, spread bool) *Server {
	k := key{textOf(list), spread}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.servers[k]; s != nil {
		return s
	}
	s := newServer(k.hosts, list, spread, b.name)
	b.servers[k] = s
	return s
}

// name returns what is known of a name. The book is locked.
func (b *Book) name(text string) *name {
	n := b.names[text]
	if n == nil {
		n = &name{book: b, text: text}
		b.names[text] = n
		b.tend()
	}
	return n
}

// Known is what is known of a name.
type Known struct {
	Name      string
	TTL       time.Duration // for how long still; not below 0
	Addresses []string
}

// Known returns the names that were asked for, in order.
func (b *Book) Known() []Known {
	b.mu.Lock()
	all := slices.Collect(maps.Values(b.names))
	b.mu.Unlock()
	var ks []Known
	for _, n := range all {
		if k, ok := n.known(); ok {
			ks = append(ks, k)
		}
	}
	slices.SortFunc(ks, func(a, b Known) int { return cmp.Compare(a.Name, b.Name) })
	return ks
}

// Pending is how many names are being looked up.
func (b *Book) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, x := range b.names {
		if x.busy() {
			n++
		}
	}
	return n
}

var errNoBook = errors.New("there is nobody to ask for the addresses of names")
