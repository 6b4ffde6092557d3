// Package bearer is how a caller proves itself to a control plane as long as there are no certificates: a token in a file, over addresses that only this machine reaches. It never sends a token anywhere else.
package bearer

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// tokenBytes is how many random bytes a token that we make has.
const tokenBytes = 32

// Read returns the token in a file: all of it without white space around it.
func Read(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	switch {
	case token == "":
		return "", fmt.Errorf("read token: %s is empty", path)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("read token: %s holds more than one word of printable ASCII", path)
	}
	return token, nil
}

// Make returns the token in a file, which it makes (mode 0600, random) where it is not there.
func Make(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return Read(path)
	}
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	var b [tokenBytes]byte
	rand.Read(b[:])
	token := hex.EncodeToString(b[:])
	_, err = f.WriteString(token + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("make token: %w", err), os.Remove(path))
	}
	return token, nil
}

// Same compares two tokens in a time that tells nothing of them.
func Same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

const (
	header = "authorization"
	scheme = "Bearer "
)

// Of returns the token that the caller of a gRPC method has sent; empty if none.
func Of(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, v := range md.Get(header) {
		if len(v) > len(scheme) && strings.EqualFold(v[:len(scheme)], scheme) {
			return v[len(scheme):]
		}
	}
	return ""
}

// Credentials sends a token with each call. That it goes without TLS is sound only to where [Loopback] lets.
func Credentials(token string) credentials.PerRPCCredentials { return perCall(token) }

type perCall string

func (c perCall) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{header: scheme + string(c)}, nil
}

func (perCall) RequireTransportSecurity() bool { return false }

// Loopback refuses an address of a control plane that other machines could reach or listen in on the way to.
// It takes HOST:PORT with a loopback address or localhost as host, and unix:PATH.
func Loopback(addr string) error {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path == "" {
			return errors.New("unix: has no path")
		}
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is neither HOST:PORT nor unix:PATH", addr)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() || host == "localhost" {
		return nil
	}
	return fmt.Errorf("%q is not a loopback address: tokens travel in clear text, so a control plane is reached from its own machine only, until there are certificates; use a tunnel to another machine", addr)
}
