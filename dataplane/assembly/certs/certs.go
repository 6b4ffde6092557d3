// Package certs has the certificates, keys and authorities of this machine that the configuration names, and reads them again when their files change. It never decides whom they are good for.
package certs

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// filesPeriod is how often it is looked whether files have changed, unless told otherwise.
const filesPeriod = 5 * time.Second

// Store has what is read. What the configuration says as before is not read anew: its session tickets stay good, and server
// connections stay of use. Any thread may use it.
type Store struct {
	log   *zap.Logger
	files tlsconf.Files
	stop  chan struct{}
	done  chan struct{}

	mu  sync.Mutex
	now Loaded
}

// Loaded is what one configuration names.
type Loaded struct {
	Doors map[string]*tlsconf.Server // by listener
	Links map[string]*tlsconf.Client // by node
	specs map[string]any             // of both, by kind and name
}

// New makes a Store that looks at the files so often; 0 is five seconds.
func New(log *zap.Logger, period time.Duration) *Store {
	if period == 0 {
		period = filesPeriod
	}
	s := &Store{log: log, stop: make(chan struct{}), done: make(chan struct{})}
	go s.watch(period)
	return s
}

// Load reads what a configuration names, for use.
func (s *Store) Load(snap *snapshot.Snapshot) (Loaded, []*heliosv1.Fault) {
	s.mu.Lock()
	old := s.now
	s.mu.Unlock()
	now := Loaded{map[string]*tlsconf.Server{}, map[string]*tlsconf.Client{}, map[string]any{}}
	var faults []*heliosv1.Fault
	for _, name := range slices.Sorted(maps.Keys(snap.Listeners)) {
		spec, key := snap.Listeners[name].TLS, "listener "+name
		if !spec.Mode.Offered() {
			continue
		}
		now.specs[key] = spec
		have, err := old.Doors[name], error(nil)
		if have != nil && reflect.DeepEqual(old.specs[key], any(spec)) {
			err = have.Reload()
		} else {
			have, err = s.files.LoadServer(spec)
		}
		if err != nil {
			faults = append(faults, &heliosv1.Fault{Kind: string(resource.KindListener), Name: name, Field: "tls", Reason: err.Error()})
			continue
		}
		now.Doors[name] = have
		s.warn(key, have.Warnings())
	}
	for name, spec := range snap.Links {
		key := "node " + name
		if !spec.Mode.Offered() {
			continue
		}
		now.specs[key] = spec
		have, err := old.Links[name], error(nil)
		if have != nil && reflect.DeepEqual(old.specs[key], any(spec)) {
			err = have.Reload()
		} else {
			have, err = s.files.LoadClient(spec)
		}
		if err != nil {
			faults = append(faults, &heliosv1.Fault{Kind: string(resource.KindNode), Name: name, Field: "tls", Reason: err.Error()})
			continue
		}
		now.Links[name] = have
		s.warn(key, have.Warnings())
	}
	return now, faults
}

func (s *Store) warn(of string, words []string) {
	for _, w := range words {
		s.log.Warn("TLS", zap.String("of", of), zap.String("warning", w))
	}
}

// Use makes what was loaded what is looked after.
func (s *Store) Use(l Loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = l
}

// Door returns the TLS of a listener; nil is none.
func (s *Store) Door(name string) *tlsconf.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.Doors[name]
}

// watch looks after the files until close.
func (s *Store) watch(period time.Duration) {
	defer close(s.done)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			_ = s.look(false) // it has logged what is wrong
		}
	}
}

// Read reads all again, at once. The error says what could not be read: what was read of it before stays in force.
func (s *Store) Read() error { return s.look(true) }

// look reads again what has changed, or all. What cannot be read stays as it was until it has changed.
func (s *Store) look(all bool) error {
	var failed []error
	s.mu.Lock()
	now := s.now
	s.mu.Unlock()
	type source interface {
		Changed() bool
		Reload() error
		Warnings() []string
	}
	look := func(of string, x source) {
		if !x.Changed() && !all {
			return
		}
		if err := x.Reload(); err != nil {
			s.log.Error("cannot read a changed file: what was read before stays in force", zap.String("of", of), zap.Error(err))
			failed = append(failed, fmt.Errorf("%s: %w", of, err))
			return
		}
		s.log.Info("certificates were read again", zap.String("of", of))
		s.warn(of, x.Warnings())
	}
	for name, x := range now.Doors {
		look("listener "+name, x)
	}
	for name, x := range now.Links {
		look("node "+name, x)
	}
	return errors.Join(failed...)
}

func (s *Store) Close() {
	close(s.stop)
	<-s.done
}
