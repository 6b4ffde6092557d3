package configsync

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Run follows the control planes until ctx ends, one after the other. When it returns nothing of it runs any
// more, and what is in force stays so.
func (c *Client) Run(ctx context.Context) {
	if c.o.Files != nil {
		stable := time.AfterFunc(c.o.Times.Stable, func() {
			if err := c.o.Files.Stable(); err != nil {
				c.o.Log.Warn("cannot note that this start has gone well", zap.Error(err))
			}
		})
		defer stable.Stop()
	}
	var reminder sync.WaitGroup
	reminder.Go(func() { c.remind(ctx) })
	defer reminder.Wait()
	at := rand.N(len(c.o.Servers))
	ceiling := c.o.Times.First
	for {
		server := c.o.Servers[at%len(c.o.Servers)]
		at++
		answered, err := c.follow(ctx, server)
		if ctx.Err() != nil {
			return
		}
		if answered {
			ceiling = c.o.Times.First
		}
		if s, _ := c.State(); s.Connected {
			c.update(func(s *State) { s.Connected = false })
		}
		c.say(server, answered, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rand.N(ceiling)):
		}
		ceiling = min(2*ceiling, c.o.Times.Most)
	}
}

// say logs the end of a stream, with what to do where somebody has to do something.
func (c *Client) say(server Server, answered bool, err error) {
	log := c.o.Log.With(zap.String("control_plane", server.Name))
	switch code := status.Code(err); {
	case err == nil || errors.Is(err, errDrain):
		log.Debug("the control plane has asked to come again")
	case code == codes.Unauthenticated, code == codes.FailedPrecondition, code == codes.InvalidArgument:
		log.Error("the control plane turns this proxy away", zap.Error(err))
	case answered:
		log.Warn("the config stream has broken; what is in force stays so", zap.Error(err))
	case c.away:
		log.Debug("the control plane is not reached", zap.Error(err)) // remind says it from time to time
	default:
		log.Warn("the control plane is not reached; what is in force stays so", zap.Error(err))
	}
	c.away = !answered
}

// remind logs from time to time that the control plane is gone.
func (c *Client) remind(ctx context.Context) {
	tick := time.NewTicker(c.o.Times.Remind)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch s, _ := c.State(); {
		case s.Content == nil && !s.Connected:
			c.o.Log.Warn("without a control plane, and so without a configuration")
		case s.Source == heliosv1.Source_SOURCE_LAST_KNOWN_GOOD:
			c.o.Log.Warn("serving the last known good configuration still: no control plane has confirmed it", zap.String("generation", show(s.Generation)),
				zap.Time("saved", s.Saved), zap.Duration("age", time.Since(s.Saved)))
		case !s.Connected:
			c.o.Log.Warn("without a control plane, serving what is in force", zap.String("generation", show(s.Generation)),
				zap.Time("since", s.Since), zap.Time("last_contact", s.Contact))
		}
	}
}
