// Package memory is a store that lives and dies with the process: for standalone, whose source of truth is a file, and for tests. It never touches a disk.
package memory

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

const (
	// history is how many changes are kept for reads in the past and for watches.
	history = 10_000
	// progress is how often a watch says that it lives, where nothing else is said.
	progress = 3 * time.Second
)

// Store is a store in memory. It is closed like any other, though nothing is lost if it is not.
type Store struct {
	// Progress is how often a watch says that it lives; 0 is 3 s. It is set before the store is used.
	Progress time.Duration

	mu        sync.Mutex
	keys      map[string][]version // the newest last; a deleted key ends with a deletion
	sorted    []string             // all keys of keys, in order
	log       []store.Batch        // of revisions after compacted, one each
	revision  int64
	compacted int64         // what is older cannot be read
	changed   chan struct{} // closed at the next change
	closed    chan struct{}
}

// version is what a key held from a revision on.
type version struct {
	kv      store.KV
	deleted bool
}

// New makes an empty store. Its first revision is 1, as etcd's.
func New() *Store {
	return &Store{keys: map[string][]version{}, revision: 1, changed: make(chan struct{}), closed: make(chan struct{})}
}

// Name is "memory".
func (s *Store) Name() string { return "memory" }

// open says whether the store may be used.
func (s *Store) open(ctx context.Context) error {
	select {
	case <-s.closed:
		return fmt.Errorf("the store is closed: %w", store.ErrUnavailable)
	default:
		return ctx.Err()
	}
}

// at returns what a key held at a revision.
func (s *Store) at(key string, revision int64) (store.KV, bool) {
	all := s.keys[key]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].kv.Changed <= revision {
			return all[i].kv, !all[i].deleted
		}
	}
	return store.KV{}, false
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, r store.Range) (store.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return store.Page{}, err
	}
	p := store.Page{Revision: r.Revision}
	switch {
	case r.Revision == 0:
		p.Revision = s.revision
	case r.Revision > s.revision:
		return store.Page{}, fmt.Errorf("revision %d has not come yet: %w", r.Revision, store.ErrUnavailable)
	case r.Revision < s.compacted:
		return store.Page{}, &store.CompactedError{Revision: s.compacted}
	}
	from := sort.SearchStrings(s.sorted, r.Prefix)
	if r.After >= r.Prefix && r.After != "" {
		from = sort.SearchStrings(s.sorted, r.After+"\x00")
	}
	for _, key := range s.sorted[from:] {
		if !strings.HasPrefix(key, r.Prefix) {
			break
		}
		kv, ok := s.at(key, p.Revision)
		if !ok {
			continue
		}
		if r.Limit > 0 && len(p.KVs) == r.Limit {
			p.More = true
			break
		}
		if r.KeysOnly {
			kv.Value = nil
		}
		p.KVs = append(p.KVs, kv)
	}
	return p, nil
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, t store.Txn) (store.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return store.Result{}, err
	}
	if err := t.Check(); err != nil {
		return store.Result{}, err
	}
	if err := overlaps(t); err != nil {
		return store.Result{}, err
	}
	for _, c := range t.If {
		kv, ok := s.at(c.Key, s.revision)
		if ok && kv.Changed != c.Changed || !ok && c.Changed != 0 {
			return store.Result{Revision: s.revision}, nil
		}
	}
	next := s.revision + 1
	var events []store.Event
	for _, op := range t.Then {
		events = append(events, s.apply(op, next)...)
	}
	if len(events) == 0 { // nothing but deletions of what is not there
		return store.Result{Held: true, Revision: s.revision}, nil
	}
	s.revision = next
	s.log = append(s.log, store.Batch{Events: events, Revision: next})
	if len(s.log) > 2*history {
		s.compact(s.log[len(s.log)-history].Revision)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return store.Result{Held: true, Revision: next}, nil
}

// overlaps refuses what etcd refuses too: a key that is put and deleted with its prefix, and one without a name.
func overlaps(t store.Txn) error {
	for _, op := range t.Then {
		if op.Key == "" {
			return fmt.Errorf("a transaction changes a key without a name: %w", store.ErrUnavailable)
		}
		for _, put := range t.Then {
			if op.DeletePrefix && !put.Delete && !put.DeletePrefix && strings.HasPrefix(put.Key, op.Key) {
				return fmt.Errorf("a transaction puts %s and deletes all keys that begin with %s: %w", put.Key, op.Key, store.ErrUnavailable)
			}
		}
	}
	return nil
}

// apply carries one operation out.
func (s *Store) apply(op store.Op, revision int64) []store.Event {
	if !op.Delete && !op.DeletePrefix {
		kv := store.KV{Key: op.Key, Value: slices.Clone(op.Value), Created: revision, Changed: revision}
		if old, ok := s.at(op.Key, revision); ok {
			kv.Created = old.Created
		}
		s.push(version{kv: kv})
		return []store.Event{{KV: kv}}
	}
	var gone []string
	if op.Delete {
		gone = []string{op.Key}
	} else {
		for _, key := range s.sorted[sort.SearchStrings(s.sorted, op.Key):] {
			if !strings.HasPrefix(key, op.Key) {
				break
			}
			gone = append(gone, key)
		}
	}
	var events []store.Event
	for _, key := range gone {
		if _, ok := s.at(key, revision); ok {
			v := version{kv: store.KV{Key: key, Changed: revision}, deleted: true}
			s.push(v)
			events = append(events, store.Event{KV: v.kv, Deleted: true})
		}
	}
	return events
}

func (s *Store) push(v version) {
	if _, known := s.keys[v.kv.Key]; !known {
		i := sort.SearchStrings(s.sorted, v.kv.Key)
		s.sorted = slices.Insert(s.sorted, i, v.kv.Key)
	}
	s.keys[v.kv.Key] = append(s.keys[v.kv.Key], v)
}

// Compact forgets what was before a revision.
func (s *Store) Compact(_ context.Context, revision int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compact(min(revision, s.revision))
	return nil
}

func (s *Store) compact(revision int64) {
	if revision <= s.compacted {
		return
	}
	s.compacted = revision
	s.log = slices.DeleteFunc(s.log, func(b store.Batch) bool { return b.Revision < revision })
	s.sorted = slices.DeleteFunc(s.sorted, func(key string) bool {
		all := s.keys[key]
		for len(all) > 1 && all[1].kv.Changed <= revision {
			all = all[1:]
		}
		if len(all) == 1 && all[0].deleted && all[0].kv.Changed <= revision {
			delete(s.keys, key)
			return true
		}
		s.keys[key] = slices.Clone(all)
		return false
	})
}

// Watch implements [store.Store].
func (s *Store) Watch(ctx context.Context, prefix string, from int64) (<-chan store.Batch, func() error) {
	out := make(chan store.Batch)
	var why error
	go func() {
		defer close(out)
		why = s.watch(ctx, prefix, from, out)
	}()
	return out, func() error { return why }
}

func (s *Store) watch(ctx context.Context, prefix string, from int64, out chan<- store.Batch) error {
	every := s.Progress
	if every == 0 {
		every = progress
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		b, changed, err := s.since(ctx, prefix, from)
		if err != nil {
			return err
		}
		if len(b.Events) == 0 {
			from = max(from, b.Revision+1)
			select {
			case <-changed:
				continue
			case <-tick.C:
			case <-s.closed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case out <- b:
			from = max(from, b.Revision+1)
		case <-s.closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// since returns the events from a revision on, and a channel that is closed at the next change.
func (s *Store) since(ctx context.Context, prefix string, from int64) (store.Batch, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return store.Batch{}, nil, err
	}
	if from < s.compacted {
		return store.Batch{}, nil, &store.CompactedError{Revision: s.compacted}
	}
	b := store.Batch{Revision: s.revision}
	i := sort.Search(len(s.log), func(i int) bool { return s.log[i].Revision >= from })
	for _, past := range s.log[i:] {
		for _, e := range past.Events {
			if strings.HasPrefix(e.Key, prefix) {
				b.Events = append(b.Events, e)
			}
		}
	}
	return b, s.changed, nil
}

// Close ends all watches; the store is not available from then on.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return nil
}

var _ store.Store = (*Store)(nil)
