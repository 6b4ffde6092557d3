// Package roster gives each proxy of a group its number, which cancel keys carry, and knows where each takes cancel requests of the others. It keeps that in the store, so that all control planes say the same, and never gives a number to two proxies.
package roster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/mirror"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// maxNumber is the highest number that a cancel key has room for.
	maxNumber = 1<<14 - 1
	// fresh is how old the note may be that a proxy was seen.
	fresh = time.Hour
	// present is how long before the proxy that was seen last one was seen that others are still told of. It goes by the notes, not by the
	// clock: without a store nobody writes any, and nobody becomes absent by that.
	present = 24 * time.Hour
	// forgotten is how long a proxy was not seen whose number may be given to another one, if there is no number left that nobody has.
	forgotten = 30 * 24 * time.Hour
	// patience is how long the store may take.
	patience = 10 * time.Second
)

// FullError is that all numbers are taken.
type FullError struct{ Group keyspace.Group }

// Error says what to do.
func (e *FullError) Error() string {
	return fmt.Sprintf("all %d numbers of group %q are taken, the last of a proxy that was seen less than %d days ago: cancel requests for this proxy "+
		"are not passed on to it by its number; give proxies node ids that stay the same over restarts", maxNumber, string(e.Group), int(forgotten.Hours())/24)
}

// Options are what a Roster is made with.
type Options struct {
	Store store.Store
	Group keyspace.Group
	// Mirror is of [keyspace.Group.Numbers].
	Mirror *mirror.Mirror
	Now    func() time.Time
}

// Roster is the proxies of a group. Several goroutines may use it at once.
type Roster struct {
	o     Options
	known atomic.Pointer[known]
	mu    sync.Mutex // held while a number is given, so that those who come together do not get in each other's way
}

// known is a view of the mirror, read.
type known struct {
	view *mirror.View
	all  []entry // by number
}

// New makes a roster.
func New(o Options) *Roster { return &Roster{o: o} }

// entry is a number as it was read.
type entry struct {
	number uint32
	peer   *heliosv1.StoredPeer
	at     store.KV
}

// read understands a key below [keyspace.Group.Numbers]. What nobody can read is somebody's whom nobody knows: the number is taken.
func (r *Roster) read(kv store.KV) (e entry, ok bool) {
	digits, ok := strings.CutPrefix(kv.Key, r.o.Group.Numbers())
	if !ok {
		return e, false
	}
	if _, err := fmt.Sscanf(digits, "%d", &e.number); err != nil {
		return e, false
	}
	e.peer, e.at = &heliosv1.StoredPeer{}, kv
	if proto.Unmarshal(kv.Value, e.peer) != nil {
		e.peer = &heliosv1.StoredPeer{Seen: timestamppb.New(r.o.Now())}
	}
	return e, true
}

// entries are all numbers that the mirror knows, in order. ok is false before it knows any.
func (r *Roster) entries() (all []entry, ok bool) {
	v := r.o.Mirror.Current()
	if v == nil {
		return nil, false
	}
	if k := r.known.Load(); k != nil && k.view == v {
		return k.all, true
	}
	v.Ascend(r.o.Group.Numbers(), func(kv store.KV) bool {
		if e, ok := r.read(kv); ok {
			all = append(all, e)
		}
		return true
	})
	r.known.Store(&known{v, all})
	return all, true
}

// Join returns the number of a proxy, which it gives it if it has none, and notes where the proxy is reached and that it was seen. The error
// is a [*FullError], or the store's.
func (r *Roster) Join(ctx context.Context, node, address string) (number uint32, err error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	all, _ := r.entries()
	for _, e := range all {
		if e.peer.GetNodeId() != node {
			continue
		}
		if noted, err := r.note(ctx, e, address); noted || err != nil && !errors.Is(err, store.ErrOutcomeUnknown) {
			return e.number, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		number, joined, err := r.join(ctx, node, address)
		switch {
		case joined:
			return number, nil
		case err != nil && !errors.Is(err, store.ErrOutcomeUnknown):
			return 0, fmt.Errorf("a number for proxy %s: %w", node, err)
		case ctx.Err() != nil:
			return 0, fmt.Errorf("a number for proxy %s: %w", node, ctx.Err())
		}
	}
}

// note writes what is known of a proxy, if that is news. noted is false where somebody else has written before.
func (r *Roster) note(ctx context.Context, e entry, address string) (noted bool, err error) {
	now := r.o.Now()
	if e.peer.GetAddress() == address && now.Sub(e.peer.GetSeen().AsTime()) < fresh {
		return true, nil
	}
	value, err := proto.Marshal(&heliosv1.StoredPeer{NodeId: e.peer.GetNodeId(), Address: address, Seen: timestamppb.New(now)})
	if err != nil {
		return false, err
	}
	result, err := r.o.Store.Commit(ctx, store.Txn{
		If:   []store.Condition{{Key: e.at.Key, Changed: e.at.Changed}},
		Then: []store.Op{{Key: e.at.Key, Value: value}},
	})
	return result.Held, err
}

// join is one try to find or give a number, by what the store has. It is the lowest that nobody has, or, if all are taken, that of the proxy that is gone
// longest. Numbers are never given back: who reads later finds a higher one, unless nobody was given one in between. So of two who give a number at once, be it to the
// same proxy, at most one holds what it has read, and the other one reads again.
func (r *Roster) join(ctx context.Context, node, address string) (number uint32, joined bool, err error) {
	page, err := r.o.Store.List(ctx, store.Range{Prefix: r.o.Group.Numbers()})
	if err != nil {
		return 0, false, err
	}
	free, oldest := uint32(1), entry{}
	for _, kv := range page.KVs {
		e, ok := r.read(kv)
		switch {
		case !ok:
			continue
		case e.peer.GetNodeId() == node:
			noted, err := r.note(ctx, e, address)
			return e.number, noted, err
		case e.number == free:
			free++
		}
		if oldest.peer == nil || e.peer.GetSeen().AsTime().Before(oldest.peer.GetSeen().AsTime()) {
			oldest = e
		}
	}
	before := int64(0)
	if free > maxNumber {
		if r.o.Now().Sub(oldest.peer.GetSeen().AsTime()) < forgotten {
			return 0, false, &FullError{Group: r.o.Group}
		}
		free, before = oldest.number, oldest.at.Changed
	}
	value, err := proto.Marshal(&heliosv1.StoredPeer{NodeId: node, Address: address, Seen: timestamppb.New(r.o.Now())})
	if err != nil {
		return 0, false, err
	}
	key := r.o.Group.Peer(free)
	result, err := r.o.Store.Commit(ctx, store.Txn{
		If:   []store.Condition{{Key: key, Changed: before}},
		Then: []store.Op{{Key: key, Value: value}},
	})
	return free, result.Held, err
}

// Peers is what the proxy with a number is told: its number, and the others that are there and can be reached, by number. It is nil before
// anybody is known.
func (r *Roster) Peers(number uint32) *heliosv1.Peers {
	all, ok := r.entries()
	if !ok {
		return nil
	}
	newest := time.Time{}
	for _, e := range all {
		if at := e.peer.GetSeen().AsTime(); at.After(newest) {
			newest = at
		}
	}
	p := &heliosv1.Peers{YourNumber: number}
	for _, e := range all {
		if e.number != number && e.peer.GetAddress() != "" && newest.Sub(e.peer.GetSeen().AsTime()) <= present {
			p.Peers = append(p.Peers, &heliosv1.Peer{Number: e.number, NodeId: e.peer.GetNodeId(), Address: e.peer.GetAddress()})
		}
	}
	return p
}

// Subscribe returns a channel that is sent to when the peers may have changed. The function ends the subscription.
func (r *Roster) Subscribe() (<-chan struct{}, func()) { return r.o.Mirror.Subscribe() }
