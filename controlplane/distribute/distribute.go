// Package distribute brings releases to proxies: the server of the config stream. It never reads the store: it is told what the current release is, and never sends while it holds a lock.
//
// A stream is one session. The session's goroutine alone decides what is sent next, from what the proxy
// has, what is under way and what is current now; a newer release only wakes it. So a proxy has at most one
// generation under way and one wake-up waiting, however many releases come.
package distribute

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// ProtocolVersion is the one version of the config stream that this server speaks.
const ProtocolVersion = 1

const (
	// remembered is how many contents are kept to make differences to.
	remembered = 8
	// admitted new streams a second, and that many at once.
	admitted, admittedAtOnce = 100, 200
	// admissionWait is how long a stream waits to be admitted.
	admissionWait = time.Second
)

// Times of a session. They are variables of the server so that tests need no patience.
type Times struct {
	Hello     time.Duration // how long a proxy may take to say Hello
	Heartbeat time.Duration // between two signs of life of either side
	Send      time.Duration // how long one message may take to go out
	Ack       time.Duration // how long a proxy may take to put a generation in force
	Nacked    time.Duration // the pause before a proxy that has refused one is sent another one
	Lifetime  time.Duration // of a stream, plus or minus a tenth; then the proxy is asked to come again
}

// DefaultTimes are those of production.
func DefaultTimes() Times {
	return Times{
		Hello: 5 * time.Second, Heartbeat: 5 * time.Second, Send: 10 * time.Second, Ack: 2 * time.Minute,
		Nacked: 5 * time.Second, Lifetime: 30 * time.Minute,
	}
}

// Assignment is what proxies are to run.
type Assignment struct {
	Generation *heliosv1.Generation
	Content    *release.Content
	// Again is raised when what was refused is to be sent again.
	Again int64
}

// Observer hears what sessions do. Its methods return at once.
type Observer interface {
	Connected(hello *heliosv1.ConfigHello)
	Sent(node string, g *heliosv1.Generation, hash string, bytes int, whole bool)
	Confirmed(node string, g *heliosv1.Generation, hash string, ack *heliosv1.Ack) // ack is nil for UpToDate
	Refused(node string, r *heliosv1.Rejection)
	Gone(node string, err error)
}

// Options are what a Server is made with.
type Options struct {
	StoreID string
	// MockSecret is what proxies make the salts of unknown users from.
	MockSecret string
	Observer   Observer
	// Refresh reads on until the store's revision is at least the one given, or says that it is not.
	Refresh func(ctx context.Context, revision int64) error
	Log     *zap.Logger
	Times   Times
}

// Server is the config service.
type Server struct {
	heliosv1.UnimplementedConfigServiceServer
	o       Options
	admit   *rate.Limiter
	pushing chan struct{} // holds one element for each push that may run
	current atomic.Pointer[Assignment]
	ready   atomic.Bool
	drain   chan struct{} // closed when proxies are to leave

	mu       sync.Mutex // of what follows
	sessions map[*session]struct{}
	recent   []*release.Content // the newest last
	deltas   map[[2]string]release.Difference
	drained  bool
}

// New makes a server that turns everybody away until it is told the first time what is current.
func New(o Options) *Server {
	return &Server{
		o: o, admit: rate.NewLimiter(admitted, admittedAtOnce),
		pushing:  make(chan struct{}, min(15+5*runtime.NumCPU(), 100)),
		drain:    make(chan struct{}),
		sessions: map[*session]struct{}{}, deltas: map[[2]string]release.Difference{},
	}
}

// Set tells what is current; nil is that there is no release yet.
func (s *Server) Set(a *Assignment) {
	s.mu.Lock()
	if a != nil {
		s.remember(a.Content)
	}
	s.current.Store(a)
	s.ready.Store(true)
	all := make([]*session, 0, len(s.sessions))
	for x := range s.sessions {
		all = append(all, x)
	}
	s.mu.Unlock()
	for _, x := range all {
		x.wake()
	}
}

// remember keeps a content to make differences to.
func (s *Server) remember(c *release.Content) {
	if slices.ContainsFunc(s.recent, func(r *release.Content) bool { return r.Hash() == c.Hash() }) {
		return
	}
	s.recent = append(s.recent, c)
	s.recent = s.recent[max(0, len(s.recent)-remembered):]
	clear(s.deltas)
}

// difference returns what makes the content of a proxy, known by its hash, that of the assignment; ok is
// false where the proxy's is not remembered.
func (s *Server) difference(base string, to *release.Content) (d release.Difference, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := [2]string{base, to.Hash()}
	if d, ok = s.deltas[at]; ok {
		return d, true
	}
	for _, c := range s.recent {
		if c.Hash() == base {
			d = c.To(to)
			s.deltas[at] = d
			return d, true
		}
	}
	return release.Difference{}, false
}

// Drain asks all proxies to leave and returns when they have, or with ctx's error.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	if !s.drained {
		s.drained = true
		close(s.drain)
	}
	s.mu.Unlock()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.Sessions() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Sessions is the number of streams.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// StreamConfig implements the config service; config.proto has the contract.
func (s *Server) StreamConfig(stream heliosv1.ConfigService_StreamConfigServer) error {
	if !s.ready.Load() {
		return status.Error(codes.Unavailable, "the store was not read yet; try another control plane, or this one again")
	}
	ctx, stop := context.WithTimeout(stream.Context(), admissionWait)
	err := s.admit.Wait(ctx)
	stop()
	if err != nil {
		return status.Error(codes.ResourceExhausted, "too many proxies come at once; try again")
	}
	x := newSession(s, stream)
	defer x.close()
	hello, err := x.hello()
	if err != nil {
		return err
	}
	// From here on no release slips by: what is current is read after this.
	s.mu.Lock()
	s.sessions[x] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.sessions, x)
		s.mu.Unlock()
	}()
	s.o.Observer.Connected(hello)
	err = x.serve()
	s.o.Observer.Gone(hello.GetNodeId(), err)
	return err
}
