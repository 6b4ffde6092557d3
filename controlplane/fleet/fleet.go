// Package fleet is what a control plane knows of its proxies: what each says of itself on the status stream, and what the config stream sees of it. It never decides anything, and keeps nothing that a restart would miss: the proxies say it again.
package fleet

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// reportEvery is how often a proxy says how it is.
	reportEvery = 5 * time.Second
	// stale is how long a connected proxy may run something else than it should before that is called so.
	stale = 10 * time.Second
	// forgotten is how long a proxy that is gone is remembered.
	forgotten = 24 * time.Hour
	// maxNodes bounds what is remembered.
	maxNodes = 20_000
)

// Options are what a Fleet is made with.
type Options struct {
	// Event notes what has happened.
	Event func(*heliosv1.Event)
	Now   func() time.Time
	// Roster gives proxies their numbers; nil gives none.
	Roster Roster
}

// Fleet is the proxies. Several goroutines may use it at once.
type Fleet struct {
	heliosv1.UnimplementedStatusServiceServer
	o Options

	mu         sync.Mutex // of what follows
	nodes      map[string]*node
	generation *heliosv1.Generation // what every proxy should run
	hash       string
	assigned   time.Time // since when
	changed    chan struct{}
	asked      uint64 // questions so far
	streams    uint64 // status streams so far
	counted    Counted
}

// node is one proxy, by its id.
type node struct {
	seen      *heliosv1.FleetNode // without state, last_seen and connected
	lastSeen  time.Time
	configs   int // config streams
	reporters map[*reporter]struct{}
	confirmed string // the hash that it has confirmed on its config stream
	alarm     alarm
}

// New makes a fleet without proxies.
func New(o Options) *Fleet {
	return &Fleet{o: o, nodes: map[string]*node{}, changed: make(chan struct{}), counted: Counted{Nacked: map[heliosv1.Stage]uint64{}}}
}

// Assign tells what every proxy should run from now on.
func (f *Fleet) Assign(g *heliosv1.Generation, hash string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if hash != f.hash {
		f.assigned = f.o.Now()
	}
	f.generation, f.hash = g, hash
	f.tell()
}

// tell wakes who watches. f.mu is held.
func (f *Fleet) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// update changes what is known of a node.
func (f *Fleet) update(id string, change func(n *node)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[id]
	if n == nil {
		f.forget()
		n = &node{seen: &heliosv1.FleetNode{NodeId: id}, reporters: map[*reporter]struct{}{}}
		f.nodes[id] = n
	}
	n.lastSeen = f.o.Now()
	change(n)
	f.tell()
}

// forget drops nodes that are gone for long, and where there are too many the one that is gone longest.
func (f *Fleet) forget() {
	var oldest string
	for id, n := range f.nodes {
		if n.connected() {
			continue
		}
		if f.o.Now().Sub(n.lastSeen) > forgotten {
			delete(f.nodes, id)
		} else if oldest == "" || n.lastSeen.Before(f.nodes[oldest].lastSeen) {
			oldest = id
		}
	}
	if len(f.nodes) >= maxNodes && oldest != "" {
		delete(f.nodes, oldest)
	}
}

func (n *node) connected() bool { return n.configs > 0 || len(n.reporters) > 0 }

// Snapshot is the fleet at one moment.
type Snapshot struct {
	Nodes      []*heliosv1.FleetNode // by name
	Generation *heliosv1.Generation
	Hash       string
}

// Nodes returns the proxies, one or all, and a channel that is closed when something has changed.
func (f *Fleet) Nodes(id string) (Snapshot, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Snapshot{Generation: f.generation, Hash: f.hash}
	for _, name := range slices.Sorted(maps.Keys(f.nodes)) {
		if id == "" || id == name {
			s.Nodes = append(s.Nodes, f.show(f.nodes[name]))
		}
	}
	return s, f.changed
}

func (f *Fleet) show(n *node) *heliosv1.FleetNode {
	x := proto.Clone(n.seen).(*heliosv1.FleetNode)
	x.Connected, x.LastSeen, x.State = n.connected(), timestamppb.New(n.lastSeen), f.state(n)
	if len(n.reporters) > 1 {
		x.Warnings = append(x.Warnings, fmt.Sprintf("%d proxies report under this node id", len(n.reporters)))
	}
	return x
}

// state is derived, never stored.
func (f *Fleet) state(n *node) heliosv1.NodeState {
	switch {
	case !n.connected():
		return heliosv1.NodeState_NODE_STATE_OFFLINE
	case f.hash == "":
		return heliosv1.NodeState_NODE_STATE_PENDING // nobody has configured anything yet
	case n.seen.GetRejection() != nil && n.seen.GetRejection().GetHash() == f.hash && n.seen.GetHash() != f.hash:
		return heliosv1.NodeState_NODE_STATE_NACKED
	case n.seen.GetHash() == f.hash && n.seen.GetSource() == heliosv1.Source_SOURCE_LAST_KNOWN_GOOD && n.confirmed != f.hash:
		return heliosv1.NodeState_NODE_STATE_LAST_KNOWN_GOOD
	case n.seen.GetHash() == f.hash:
		return heliosv1.NodeState_NODE_STATE_SYNCED
	case n.seen.GetSource() == heliosv1.Source_SOURCE_LAST_KNOWN_GOOD && n.configs == 0:
		return heliosv1.NodeState_NODE_STATE_LAST_KNOWN_GOOD
	case f.o.Now().Sub(f.assigned) > stale:
		return heliosv1.NodeState_NODE_STATE_STALE
	}
	return heliosv1.NodeState_NODE_STATE_PENDING
}

// Connected implements what the config stream reports to.
func (f *Fleet) Connected(h *heliosv1.ConfigHello) {
	f.update(h.GetNodeId(), func(n *node) {
		n.configs++
		n.seen.Group, n.seen.Build = h.GetGroup(), h.GetBuild()
		n.seen.Generation, n.seen.Hash, n.seen.Source = h.GetApplied(), h.GetHash(), h.GetSource()
	})
	f.o.Event(&heliosv1.Event{Type: "connected", NodeId: h.GetNodeId(), Generation: h.GetApplied(), Message: "the proxy asks for its configuration"})
}

// Sent says that a generation is on its way.
func (f *Fleet) Sent(id string, g *heliosv1.Generation, _ string, bytes int, whole bool) {
	what := "what differs"
	if whole {
		what = "the whole configuration"
	}
	f.mu.Lock()
	f.counted.Sent++
	f.counted.SentBytes += uint64(bytes)
	f.mu.Unlock()
	f.o.Event(&heliosv1.Event{Type: "sent", NodeId: id, Generation: g, Message: fmt.Sprintf("%s, %d bytes", what, bytes)})
}

// Confirmed says that a proxy runs a content.
func (f *Fleet) Confirmed(id string, g *heliosv1.Generation, hash string, ack *heliosv1.Ack) {
	f.update(id, func(n *node) {
		n.confirmed = hash
		if n.seen.GetHash() != hash {
			n.seen.Since = timestamppb.New(f.o.Now())
		}
		n.seen.Generation, n.seen.Hash = g, hash
		if n.seen.GetSource() != heliosv1.Source_SOURCE_FILE {
			n.seen.Source = heliosv1.Source_SOURCE_CONTROL_PLANE
		}
		n.seen.Rejection = nil
		if ack != nil {
			n.seen.Warnings = ack.GetWarnings()
			f.acked(hash)
		}
	})
	e := &heliosv1.Event{Type: "acked", NodeId: id, Generation: g, Message: "it is up to date"}
	if ack != nil {
		e.Message = fmt.Sprintf("in force after %v", ack.GetTook().AsDuration().Round(time.Microsecond))
	}
	f.o.Event(e)
}

// Refused says that a proxy has refused a content.
func (f *Fleet) Refused(id string, r *heliosv1.Rejection) {
	f.update(id, func(n *node) {
		n.seen.Rejection = r
		f.counted.Nacked[r.GetStage()]++
	})
	f.o.Event(&heliosv1.Event{Type: "nacked", NodeId: id, Generation: r.GetGeneration(), Message: Words(r)})
}

// Gone says that a config stream has ended.
func (f *Fleet) Gone(id string, err error) {
	f.update(id, func(n *node) {
		n.configs--
		if n.configs == 0 {
			n.confirmed = ""
		}
	})
	e := &heliosv1.Event{Type: "lost", NodeId: id, Message: "its config stream has ended"}
	if err != nil {
		e.Message += ": " + err.Error()
	}
	f.o.Event(e)
}

// Words says on one line why something was refused.
func Words(r *heliosv1.Rejection) string {
	stage := map[heliosv1.Stage]string{
		heliosv1.Stage_STAGE_VERIFY: "verify", heliosv1.Stage_STAGE_DECODE: "decode", heliosv1.Stage_STAGE_VALIDATE: "validate",
		heliosv1.Stage_STAGE_COMPILE: "compile", heliosv1.Stage_STAGE_WARM: "warm",
	}[r.GetStage()]
	s := "refused at stage " + stage
	for i, fault := range r.GetFaults() {
		if i == 3 {
			return fmt.Sprintf("%s; and %d more", s, len(r.GetFaults())-i)
		}
		s += "; "
		if fault.GetKind() != "" {
			s += fmt.Sprintf("%s %q: ", fault.GetKind(), fault.GetName())
		}
		s += fault.GetReason()
	}
	return s
}
