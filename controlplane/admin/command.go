package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/controlplane/fleet"
	"github.com/heliosproxy/heliosproxy/controlplane/identity"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// commandPatience is how long a proxy may take for a command whose sender has not said, and longestPatience the most he may say.
	commandPatience, longestPatience = 30 * time.Second, 24 * time.Hour
	// commandGrace is how much longer there is a wait for the proxy to say itself that it has given up.
	commandGrace = 3 * time.Second
	// showsAtOnce is how many proxies show something at the same time, as what they show is held here until it was sent on.
	showsAtOnce = 16
	// maxCommandText bounds a command.
	maxCommandText = 4096
)

// RunCommand has proxies carry out a command. All who come here by the doors of the admin service may do both, look and change: there
// is one role.
func (s *Service) RunCommand(r *heliosv1.RunCommandRequest, stream heliosv1.AdminService_RunCommandServer) error {
	nodes, err := s.commanded(r)
	if err != nil {
		return err
	}
	patience := r.GetPatience().AsDuration()
	switch {
	case patience < 0 || patience > longestPatience:
		return status.Errorf(codes.InvalidArgument, "a patience of %v is not one from 0 to %v", patience, longestPatience)
	case patience == 0:
		patience = commandPatience
	}
	c := fleet.Command{Text: r.GetText(), Actor: identity.Actor(stream.Context()), Patience: patience}
	most := len(nodes)
	if verb, _, _ := strings.Cut(strings.TrimSpace(c.Text), " "); strings.EqualFold(verb, "SHOW") {
		most = showsAtOnce
	} else {
		s.noteCommand(c, nodes)
	}
	if err := stream.SendHeader(nil); err != nil { // who has it knows that proxies are asked
		return err
	}
	var mu sync.Mutex // of the stream
	send := func(m *heliosv1.RunCommandResponse) error {
		mu.Lock()
		defer mu.Unlock()
		return stream.Send(m)
	}
	places := make(chan struct{}, most)
	var asking sync.WaitGroup
	for _, node := range nodes {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			ctx, stop := context.WithTimeout(stream.Context(), patience+commandGrace)
			defer stop()
			err := s.Fleet.Command(ctx, node, c, func(a *heliosv1.CommandAnswer) error {
				return send(&heliosv1.RunCommandResponse{NodeId: node, Answer: a})
			})
			var un *fleet.UnansweredError
			unknown := errors.As(err, &un) && un.Asked
			if errors.Is(err, context.DeadlineExceeded) {
				unknown, err = true, fmt.Errorf("proxy %q has not come to an end within %v", node, patience)
			}
			if err != nil {
				_ = send(&heliosv1.RunCommandResponse{NodeId: node, Unasked: err.Error(), Unknown: unknown}) // who has left needs no words
			}
		})
	}
	asking.Wait()
	return stream.Context().Err()
}

// commanded are the proxies that a command is for, by name.
func (s *Service) commanded(r *heliosv1.RunCommandRequest) ([]string, error) {
	switch {
	case strings.TrimSpace(r.GetText()) == "" || len(r.GetText()) > maxCommandText:
		return nil, status.Errorf(codes.InvalidArgument, "a command has 1 to %d bytes", maxCommandText)
	case len(r.GetNodes()) > 0 && r.GetGroup() != "":
		return nil, status.Error(codes.InvalidArgument, "either nodes or a group are named")
	case len(r.GetNodes()) > 0:
		nodes := slices.Clone(r.GetNodes())
		slices.Sort(nodes)
		return slices.Compact(nodes), nil
	}
	var nodes []string
	picture, _ := s.Fleet.Nodes("")
	for _, n := range picture.Nodes {
		if n.GetConnected() && (r.GetGroup() == "" || n.GetGroup() == r.GetGroup()) {
			nodes = append(nodes, n.GetNodeId())
		}
	}
	switch {
	case len(nodes) > 0:
		return nodes, nil
	case r.GetGroup() != "":
		return nil, status.Errorf(codes.NotFound, "no proxy of group %q is connected", r.GetGroup())
	}
	return nil, status.Error(codes.NotFound, "no proxy is connected")
}

// noteCommand notes a command that changes something.
func (s *Service) noteCommand(c fleet.Command, nodes []string) {
	const listed = 10
	e := &heliosv1.Event{Type: "command"}
	to := strings.Join(nodes[:min(len(nodes), listed)], ", ")
	if more := len(nodes) - listed; more > 0 {
		to += fmt.Sprintf(" and %d more", more)
	}
	if len(nodes) == 1 {
		e.NodeId = nodes[0]
	}
	e.Message = fmt.Sprintf("%s by %s, to %s", c.Text, c.Actor, to)
	s.Events.Add(e)
	s.Log.Info("a command is handed to proxies", zap.String("command", c.Text), zap.String("actor", c.Actor), zap.Strings("nodes", nodes))
}
