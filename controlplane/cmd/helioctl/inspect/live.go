package inspect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// meet speaks TLS with a host as far as its certificate, and leaves.
func meet(ctx context.Context, host, address string, direct bool) (*TLS, []*x509.Certificate, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, exit.Unreachable(fmt.Errorf("%s is not reached: %w", address, err))
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if !direct {
		if err := request(conn); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", address, err)
		}
	}
	seen := &TLS{}
	c := tls.Client(conn, &tls.Config{
		ServerName: host, NextProtos: []string{tlsconf.ALPN},
		MinVersion:         tls.VersionTLS10, // what is old is shown too
		InsecureSkipVerify: true,             // what is wrong with the certificate is said afterwards
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			seen.AsksForCertificate = true
			return &tls.Certificate{}, nil
		},
	})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, nil, exit.Refused(fmt.Errorf("%s: no TLS with it: %w", address, err))
	}
	state := c.ConnectionState()
	c.Close()
	if len(state.PeerCertificates) == 0 {
		return nil, nil, exit.Refused(fmt.Errorf("%s has shown no certificate", address))
	}
	seen.Version, seen.Cipher, seen.ALPN = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), state.NegotiatedProtocol
	if state.CurveID != 0 {
		seen.Curve = state.CurveID.String()
	}
	return seen, state.PeerCertificates, nil
}

// request asks for TLS.
func request(conn net.Conn) error {
	if _, err := conn.Write(pgwire.AppendSSLRequest(nil)); err != nil {
		return exit.Unreachable(fmt.Errorf("ask for TLS: %w", err))
	}
	var answer [1]byte
	if _, err := conn.Read(answer[:]); err != nil {
		return exit.Unreachable(fmt.Errorf("it was asked for TLS and did not answer: %w", err))
	}
	switch answer[0] {
	case 'S':
		return nil
	case 'N':
		return exit.Refused(errors.New("it is reached and speaks no TLS"))
	}
	return exit.Refused(fmt.Errorf("it was asked for TLS and answered %q: does PostgreSQL, or a proxy of it, listen there?", answer[:]))
}
