// Package desired is the desired state in the store: read from a mirror, changed by writes that are there whole or not at all and leave a valid whole. It never tells proxies of it: that is what releases are for.
//
// Every write compares and swaps one key, the head, because a write is judged against the whole: two that
// touch different resources may be wrong together. A write that does not fit into one transaction puts its
// resources beside the state first, as a stage, and the swap of the head makes them part of it; whoever
// comes next moves them to their keys.
package desired

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Mirror follows the configuration part of the store.
type Mirror interface {
	// Config is the newest view; false before there is one.
	Config() (View, bool)
	// WaitFor returns when the mirror has come to a revision of the store, or with ctx's error.
	WaitFor(ctx context.Context, revision int64) error
}

// Options are what a Desired is made with.
type Options struct {
	Store    store.Store
	Mirror   Mirror
	MaxBytes int // of the whole configuration
	Log      *zap.Logger
	Now      func() time.Time
}

// Desired reads and writes the desired state. Several goroutines may use it at once.
type Desired struct {
	Options

	writing chan struct{} // one write of this process at a time; holds one element
	mu      sync.Mutex    // of what follows
	state   *State
}

// New makes a Desired.
func New(o Options) *Desired {
	return &Desired{Options: o, writing: make(chan struct{}, 1)}
}

// ErrNotRead is that the store was not read yet.
var ErrNotRead = fmt.Errorf("the configuration was not read yet: %w", store.ErrUnavailable)

// State returns the newest state that the mirror has.
func (d *Desired) State() (*State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.Mirror.Config()
	if !ok {
		return nil, ErrNotRead
	}
	// Nothing changes the state without changing the head.
	if head, ok := v.Get(keyspace.ConfigHead); ok && d.state != nil && d.state.changed == head.Changed {
		return d.state, nil
	}
	s, err := read(v, d.state)
	if err != nil {
		return nil, fmt.Errorf("desired state: %w", err)
	}
	d.state = s
	return s, nil
}

// Request is a write.
type Request struct {
	ID               string // made by the client; a request that comes again is carried out once
	Actor            string
	Message          string
	DryRun           bool
	AllowDestructive bool
	ReplaceAll       bool   // what the changes do not name is removed
	UndoTo           uint64 // for the audit record: the release whose content the changes are
	Changes          []Change
}

// Result is what a write did, or would do.
type Result struct {
	Revision uint64 // of the desired state now
	Changed  bool
	Effects  []Effect // none of a request that had been carried out before
}

const (
	// attempts is how often a write is tried that other writers come in the way of.
	attempts = 200
	// longest is the longest pause before another try: who is slow gets a turn among those who are fast.
	longest = 100 * time.Millisecond
)

// Write carries a request out. Errors are of the types of this package, or the store's; where nobody can say
// whether it was carried out it wraps [store.ErrOutcomeUnknown].
func (d *Desired) Write(ctx context.Context, r Request) (*Result, error) {
	select {
	case d.writing <- struct{}{}:
		defer func() { <-d.writing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("write: %w", ctx.Err())
	}
	for n := range attempts {
		if !r.DryRun {
			if done, err := d.Outcome(ctx, r.ID); err != nil {
				return nil, err
			} else if done != nil {
				return &Result{Revision: done.GetRevision(), Changed: true}, nil
			}
		}
		s, err := d.basis(ctx, r)
		if err != nil {
			return nil, err
		}
		p, err := d.plan(s, r)
		if err != nil {
			return nil, err
		}
		if p.difference.Empty() || r.DryRun {
			return &Result{Revision: s.Revision, Effects: p.effects, Changed: !p.difference.Empty()}, nil
		}
		res, err := d.commit(ctx, s, r, p)
		if err != nil {
			return nil, err
		}
		// Whoever reads next sees what was written, or at least what came in the way.
		if err := d.Mirror.WaitFor(ctx, res.Revision); err != nil && !res.Held {
			return nil, fmt.Errorf("write: %w", err)
		}
		if res.Held {
			d.Log.Info("configuration written", zap.Uint64("revision", s.Revision+1), zap.String("actor", r.Actor), zap.Int("resources", len(p.difference.Upserts)+len(p.difference.Removes)))
			return &Result{Revision: s.Revision + 1, Changed: true, Effects: p.effects}, nil
		}
		select {
		case <-time.After(mrand.N(min(time.Duration(n+1)*5*time.Millisecond, longest))):
		case <-ctx.Done():
			return nil, fmt.Errorf("write: %w", ctx.Err())
		}
	}
	return nil, fmt.Errorf("write: %d times another write was faster: %w", attempts, store.ErrUnavailable)
}

// basis is the state that a request is judged against. What is written takes the place of the head, and of the large write that it may
// name: so that is settled in the state which is returned, not in one before it.
func (d *Desired) basis(ctx context.Context, r Request) (*State, error) {
	if r.DryRun {
		return d.State()
	}
	return d.settled(ctx)
}

// commit writes the plan: at their keys if that is one transaction, else beside them.
func (d *Desired) commit(ctx context.Context, s *State, r Request, p *plan) (store.Result, error) {
	head := &heliosv1.ConfigHead{Revision: s.Revision + 1}
	ops, err := writes(p.difference.Upserts, p.difference.Removes, head.GetRevision())
	if err != nil {
		return store.Result{}, err
	}
	if len(ops) > maxDirect || size(ops) > store.MaxTxnBytes/2 {
		if head.Stage, head.StageParts, err = d.stage(ctx, p); err != nil {
			return store.Result{}, err
		}
		ops = nil
	}
	record := audit(r, p, head.GetRevision(), d.Now())
	for key, m := range map[string]proto.Message{
		keyspace.ConfigHead:                      head,
		keyspace.AuditRecord(head.GetRevision()): record,
		keyspace.Request(r.ID):                   &heliosv1.StoredRequest{Revision: head.GetRevision()},
	} {
		value, err := proto.Marshal(m)
		if err != nil {
			return store.Result{}, fmt.Errorf("encode %s: %w", key, err)
		}
		ops = append(ops, store.Op{Key: key, Value: value})
	}
	res, err := d.Store.Commit(ctx, store.Txn{
		If:   []store.Condition{{Key: keyspace.ConfigHead, Changed: s.changed}, {Key: keyspace.Request(r.ID)}},
		Then: ops,
	})
	if errors.Is(err, store.ErrOutcomeUnknown) {
		return d.ask(ctx, r.ID, err)
	}
	if err != nil {
		return store.Result{}, fmt.Errorf("write: %w", err)
	}
	return res, nil
}

// askFor is how long the store is asked whether it has carried out what it did not answer to.
const askFor = 3 * time.Second

// ask finds out about a write that the store did not answer to. That it is not there says nothing: it may
// still be on its way.
func (d *Desired) ask(ctx context.Context, id string, cause error) (store.Result, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), askFor)
	defer stop()
	page, err := d.Store.List(ctx, store.Range{Prefix: keyspace.Request(id)})
	if err == nil && len(page.KVs) == 1 && page.KVs[0].Key == keyspace.Request(id) {
		return store.Result{Held: true, Revision: page.KVs[0].Changed}, nil
	}
	return store.Result{}, fmt.Errorf("write: %w", cause)
}

// Outcome returns the record of a request that was carried out; nil if it was not.
func (d *Desired) Outcome(ctx context.Context, id string) (*heliosv1.StoredRequest, error) {
	page, err := d.Store.List(ctx, store.Range{Prefix: keyspace.Request(id), Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("look for request %s: %w", id, err)
	}
	if len(page.KVs) == 0 || page.KVs[0].Key != keyspace.Request(id) {
		return nil, nil
	}
	r := &heliosv1.StoredRequest{}
	return r, decode(page.KVs[0], r)
}

// maxListed bounds the changes that an audit record lists.
const maxListed = 200

func audit(r Request, p *plan, revision uint64, now time.Time) *heliosv1.AuditRecord {
	a := &heliosv1.AuditRecord{
		Revision: revision, Time: timestamppb.New(now), Actor: r.Actor, RequestId: r.ID, Message: r.Message, UndoTo: r.UndoTo,
	}
	for _, e := range p.effects {
		switch {
		case e.Action == heliosv1.Action_ACTION_UNCHANGED:
		case len(a.Changes) == maxListed:
			a.More++
		default:
			a.Changes = append(a.Changes, &heliosv1.AuditChange{Action: e.Action, Kind: e.Kind, Name: e.Name, Fields: e.Fields})
		}
	}
	return a
}

// newID names a stage: the time, so that it can be told how old it is, and something random.
func newID(now time.Time) string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("%020d-%s", now.UnixNano(), hex.EncodeToString(b[:]))
}
