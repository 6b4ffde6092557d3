package freeport

import (
	"net"
	"testing"
)

func TestTakeStaysBelowEphemeralPortsAndIsUnique(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		n := For(t)
		if n < lowest || n > highest {
			t.Fatalf("port %d is outside %d-%d", n, lowest, highest)
		}
		if seen[n] {
			t.Fatalf("port %d was given out twice", n)
		}
		seen[n] = true
	}
}

func TestAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if !answers(l.Addr().String()) {
		t.Error("a port that somebody listens at is taken for free")
	}
	l.Close()
	if answers(l.Addr().String()) {
		t.Error("a port that nobody listens at any more is not")
	}
}

func TestTakenPortCanBeListenedOn(t *testing.T) {
	p, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	l, err := net.Listen("tcp", p.Addr())
	if err != nil {
		t.Fatalf("listen on the reserved port: %v", err)
	}
	l.Close()
}

func TestClaimIsSeenByOthersUntilReleased(t *testing.T) {
	p, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	name := p.claim.Addr().String()
	if l, err := net.Listen("unix", name); err == nil {
		l.Close()
		t.Fatal("a port in use could be claimed a second time")
	}
	p.Release()
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatalf("a released port cannot be claimed: %v", err)
	}
	l.Close()
}
