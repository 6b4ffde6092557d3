package resource

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Complete gives every field that is not set the value that resources.proto says it then has. It is done to
// what is about to be validated or compiled, never to what is stored: that stays as it was written.
func (s *Set) Complete() {
	for _, t := range Types() {
		t.complete(s)
	}
	if s.Limits[LimitsName] == nil {
		l := &heliosv1.Limits{Name: LimitsName}
		completeLimits(l)
		if s.Limits == nil {
			s.Limits = map[string]*heliosv1.Limits{}
		}
		s.Limits[LimitsName] = l
	}
	if s.Consoles[ConsoleName] == nil {
		x := &heliosv1.Console{Name: ConsoleName}
		completeConsole(x)
		if s.Consoles == nil {
			s.Consoles = map[string]*heliosv1.Console{}
		}
		s.Consoles[ConsoleName] = x
	}
	if s.Resolvers[ResolverName] == nil {
		x := &heliosv1.Resolver{Name: ResolverName}
		completeResolver(x)
		if s.Resolvers == nil {
			s.Resolvers = map[string]*heliosv1.Resolver{}
		}
		s.Resolvers[ResolverName] = x
	}
}

func completePoolProfile(p *heliosv1.PoolProfile) {
	for at, unset := range map[**durationpb.Duration]time.Duration{
		&p.IdleTimeout:    5 * time.Minute,
		&p.AcquireTimeout: 30 * time.Second,
		&p.ConnectTimeout: 5 * time.Second,
		&p.MaxLifetime:    time.Hour,
		&p.ReserveTimeout: 5 * time.Second,
		&p.LoginRetry:     time.Second,
	} {
		if *at == nil {
			*at = durationpb.New(unset)
		}
	}
	orUint32(&p.MaxOpening, 4)
	if p.LeakGuard == heliosv1.LeakGuard_LEAK_GUARD_UNSPECIFIED {
		p.LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_CATALOG
	}
	if p.Pin == heliosv1.Pin_PIN_UNSPECIFIED {
		p.Pin = heliosv1.Pin_PIN_ON
	}
	if p.Listen == heliosv1.Listen_LISTEN_UNSPECIFIED {
		p.Listen = heliosv1.Listen_LISTEN_SHARED
	}
}

func completeLimits(l *heliosv1.Limits) {
	orUint32(&l.MaxPreparedStatements, 8192)
	orUint32(&l.MaxPreparedPerServer, 100)
	orUint64(&l.MaxPreparedBytes, 64<<20)
	orUint64(&l.MaxStatementBytes, 4<<20)
	orUint32(&l.MaxWaitingLogins, 256)
	if l.LoginTimeout == nil {
		l.LoginTimeout = durationpb.New(LoginTimeout)
	}
	if l.MaxFailedLogins == nil {
		l.MaxFailedLogins = proto.Uint32(10)
	}
	if l.FailedLoginWindow == nil {
		l.FailedLoginWindow = durationpb.New(time.Minute)
	}
}

// LoginTimeout is how long a client may take to log in where nothing is said.
const LoginTimeout = 30 * time.Second

func orUint32(at *uint32, unset uint32) {
	if *at == 0 {
		*at = unset
	}
}

func orUint64(at *uint64, unset uint64) {
	if *at == 0 {
		*at = unset
	}
}
