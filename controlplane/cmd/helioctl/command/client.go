package command

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/pkg/bearer"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	defaultServer = "127.0.0.1:7400"
	// userHeader says as whom the caller's own machine knows him, for audit records.
	userHeader = "x-helios-user"
)

// dial makes a client of the control plane that flags, environment and context name, in this order.
func (s *session) dial() (heliosv1.AdminServiceClient, error) {
	k, err := s.loadContexts()
	if err != nil {
		return nil, err
	}
	named := k.current()
	if name := s.flags.context; name != "" {
		var ok bool
		if named, ok = k.find(name); !ok {
			return nil, exit.Usage(fmt.Errorf("there is no context %q; known are %s", name, strings.Join(k.names(), ", ")), "helioctl config")
		}
	}
	s.flags.server = cmp.Or(s.flags.server, s.Env("HELIOCTL_SERVER"), named.Server, defaultServer)
	s.flags.tokenFile = cmp.Or(s.flags.tokenFile, s.Env("HELIOCTL_TOKEN_FILE"), named.TokenFile)
	if err := bearer.Loopback(s.flags.server); err != nil {
		return nil, exit.Usage(fmt.Errorf("--server %w", err), "helioctl")
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, m string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, o ...grpc.CallOption) error {
			return next(withUser(ctx), m, req, reply, cc, o...)
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, m string, next grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			return next(withUser(ctx), d, cc, m, o...)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: 5 * time.Second}),
	}
	if s.flags.tokenFile != "" {
		token, err := bearer.Read(s.flags.tokenFile)
		if err != nil {
			return nil, exit.Refused(fmt.Errorf("--token-file: %w", err))
		}
		options = append(options, grpc.WithPerRPCCredentials(bearer.Credentials(token)))
	}
	conn, err := grpc.NewClient(s.flags.server, options...)
	if err != nil {
		return nil, exit.Usage(fmt.Errorf("--server %s: %w", s.flags.server, err), "helioctl")
	}
	return heliosv1.NewAdminServiceClient(conn), nil
}

// withUser says who calls.
func withUser(ctx context.Context) context.Context {
	name, host := "", ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	claim := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?' // a header is ASCII
		}
		return r
	}, name+"@"+host)
	return metadata.AppendToOutgoingContext(ctx, userHeader, claim)
}
