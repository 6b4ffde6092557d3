// Package identity is who may call: callers prove themselves by a token, and methods learn who it was. It never decides what somebody who was let in may do.
package identity

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/pkg/bearer"
)

// userHeader is as whom the caller's own machine knows him. It is a claim and shown as one.
const userHeader = "x-helios-user"

// maxClaim bounds what is taken over of a claim.
const maxClaim = 100

// Door lets callers in.
type Door struct {
	// Who is let in: "admin", "node"; "local" through a socket that the file system guards.
	Role string
	// Token is what they prove it by; empty asks for nothing.
	Token string
	// Where is where the token can be read, for those who have none.
	Where string
	// Refused hears of who was turned away.
	Refused func(peer context.Context, method string)
}

// check judges one call.
func (d Door) check(ctx context.Context, method string) error {
	if d.Token == "" {
		return nil
	}
	sent := bearer.Of(ctx)
	if bearer.Same(sent, d.Token) {
		return nil
	}
	if d.Refused != nil {
		d.Refused(ctx, method)
	}
	if sent == "" {
		return status.Errorf(codes.Unauthenticated, "no token was sent: give one with --token-file; the control plane keeps it in %s", d.Where)
	}
	return status.Errorf(codes.Unauthenticated, "this is not the %s token: --token-file has to name the file that the control plane keeps it in, %s", d.Role, d.Where)
}

// ServerOptions make a gRPC server ask at the door.
func (d Door) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := d.check(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return next(context.WithValue(ctx, actorKey{}, d.actor(ctx)), req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := d.check(stream.Context(), info.FullMethod); err != nil {
				return err
			}
			return next(srv, known{stream, context.WithValue(stream.Context(), actorKey{}, d.actor(stream.Context()))})
		}),
	}
}

type actorKey struct{}

// actor is the role and the claim.
func (d Door) actor(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	claim := strings.Join(md.Get(userHeader), ",")
	claim = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, claim)
	if claim == "" {
		return d.Role
	}
	return fmt.Sprintf("%s (%s)", d.Role, claim[:min(len(claim), maxClaim)])
}

// Actor returns who calls, for audit records.
func Actor(ctx context.Context) string {
	s, _ := ctx.Value(actorKey{}).(string)
	return s
}

// known is a stream whose caller is known.
type known struct {
	grpc.ServerStream
	ctx context.Context
}

// Context carries the caller.
func (k known) Context() context.Context { return k.ctx }
