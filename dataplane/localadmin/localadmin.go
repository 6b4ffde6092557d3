// Package localadmin is the HTTP server of one proxy: is it alive, is it ready, what did it count. It never changes anything of the proxy, and never waits for anything but its client.
package localadmin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

const (
	maxConnections = 256
	maxHeader      = 64 << 10
	maxBody        = 64 << 10
	readTimeout    = 15 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = time.Minute
	closeTimeout   = time.Second
)

// Options are what a server is made with.
type Options struct {
	Address string // HOST:PORT with an IP address as host
	Token   string // what everything but /livez and /readyz asks for; empty: nothing
	Ready   Readiness
	Metrics http.Handler
	Log     *zap.Logger
}

// Readiness says whether clients can be served, and if not why. It is asked by several goroutines at once.
type Readiness interface {
	Readiness() (ok bool, reason string)
}

// Server is one that listens.
type Server struct {
	http    http.Server
	address net.Addr
	served  chan error // what Serve returned
}

// Start listens and serves until [Server.Close]. An error is the address's.
func Start(o Options) (*Server, error) {
	ln, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("admin server: %w", err)
	}
	s := &Server{
		address: ln.Addr(),
		served:  make(chan error, 1),
		http: http.Server{
			Handler:           http.MaxBytesHandler(Handler(o), maxBody),
			ReadHeaderTimeout: readTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          zap.NewStdLog(o.Log),
		},
	}
	go func() { s.served <- s.http.Serve(limit(ln, maxConnections)) }()
	return s, nil
}

// Address is where the server listens.
func (s *Server) Address() net.Addr { return s.address }

// Close stops listening, gives answers under way a second, and cuts off the rest.
func (s *Server) Close() error {
	ctx, stop := context.WithTimeout(context.Background(), closeTimeout)
	defer stop()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close() // its error is that of connections which are of no more use
	}
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}
