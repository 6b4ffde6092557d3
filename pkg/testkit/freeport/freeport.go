// Package freeport reserves TCP ports on loopback for tests that run side by side. It never hands out a port of the range
// that the kernel uses for outgoing connections, so a reserved port is not lost to a client that happens to dial.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The range that ports are taken from: above the well-known services, below the kernel's ephemeral ports (32768).
const (
	lowest  = 20000
	highest = 32767
)

// A Port is a TCP port that no other test process will be given until it is released or the process ends.
type Port struct {
	Number int
	claim  net.Listener
}

// Addr returns the port as a loopback address, HOST:PORT.
func (p *Port) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Number)) }

// Release gives the port back.
func (p *Port) Release() { p.claim.Close() }

// Take reserves a port that nobody listens on. The claim is a socket in Linux's abstract namespace: it needs no file, and
// the kernel drops it when the process dies in whatever way.
func Take() (*Port, error) {
	const attempts = 1000
	for range attempts {
		p := &Port{Number: lowest + rand.IntN(highest-lowest+1)}
		var err error
		if p.claim, err = net.Listen("unix", fmt.Sprintf("@heliosproxy/freeport/%d", p.Number)); err != nil {
			continue // another test has it
		}
		if answers(p.Addr()) {
			p.Release()
			continue // somebody who does not ask us has it
		}
		return p, nil
	}
	return nil, fmt.Errorf("no free port between %d and %d after %d attempts", lowest, highest, attempts)
}

// answers says whether somebody listens at an address. It is dialled, as a listener that tries it would live on, for a moment, in every
// program that another goroutine is just about to start.
func answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		c.Close()
	}
	return !errors.Is(err, syscall.ECONNREFUSED)
}

// For reserves a port for the length of a test and returns its number.
func For(t testing.TB) int {
	t.Helper()
	p, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p.Number
}
