package auth

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// step takes a message; the checks below are given another one where a fault is planted.
type step func(*Exchange, []byte) Step

// exchangeFault lets a client that knows nothing send two messages, and says what is wrong with how it is answered: it is let in by the
// password alone, and refused with an SQLSTATE of PostgreSQL's.
func exchangeFault(m Method, u *users.User, first, second []byte, take step) string {
	x, s := Begin(&Door{Method: m}, &Client{User: "ann", TLS: true, EndPoint: []byte("the hash of a certificate")}, "mock")
	s = x.Knows(u)
	for _, body := range [][]byte{first, second} {
		if s.Err != nil {
			break
		}
		s = work(x, take(x, body))
		answers := 0
		for _, is := range []bool{s.Done, s.Err != nil, !s.Done && len(s.Reply) > 0, s.Who} {
			if is {
				answers++
			}
		}
		switch {
		case answers != 1:
			return fmt.Sprintf("%d answers to %q", answers, body)
		case s.Done && (m != Password || u == nil || string(body) != "secret\x00"):
			return fmt.Sprintf("%q lets in", body)
		case s.Done:
			return ""
		}
	}
	if s.Err == nil {
		return ""
	}
	switch s.Err.SQLState {
	case "28P01", "28000", "08P01", "0A000":
		return ""
	}
	return "refused by " + s.Err.SQLState
}

// proofFault lets a client prove itself by SCRAM whose first or last message has a byte changed: it is let in where the change is none.
func proofFault(u *users.User, bound, last bool, at uint16, change byte, take step) string {
	end, want := []byte("the hash of a certificate"), scram.Prefer
	if !bound {
		want = scram.Disable
	}
	x, _ := Begin(&Door{Method: SCRAM}, &Client{User: "ann", TLS: true, EndPoint: end}, "mock")
	s := x.Knows(u)
	cl, err := scram.NewClient(rand.Reader)
	if err != nil {
		return err.Error()
	}
	mechanism, err := cl.Select(s.Reply[9:], end, want)
	if err != nil {
		return err.Error()
	}
	spoil := func(b []byte, is bool) []byte {
		if b = bytes.Clone(b); is {
			b[int(at)%len(b)] ^= change
		}
		return b
	}
	s = work(x, take(x, spoil(pgscript.SASLInitial(mechanism, string(cl.First()))[5:], !last)))
	if s.Err != nil {
		return spoilt(change, s)
	}
	if len(s.Reply) < 9 {
		return "the first message is answered by " + outcome(s)
	}
	salt, n, err := cl.Salt(s.Reply[9:])
	if err != nil {
		return spoilt(change, s) // the nonce has been changed
	}
	keys, key := scram.Derive("secret", bytes.Clone(salt), n)
	s = work(x, take(x, spoil(pgscript.SASLResponse(string(cl.Final(key, keys.ServerKey)))[5:], last)))
	return spoilt(change, s)
}

// spoilt says whether an outcome is that of what has been changed so.
func spoilt(change byte, s Step) string {
	if s.Done != (change == 0) {
		return fmt.Sprintf("a change by %#x ends in %s", change, outcome(s))
	}
	return ""
}

// known are users by the form of their secret, with few iterations; the last is nobody.
func known(t testing.TB) []*users.User {
	t.Helper()
	keys, _ := scram.Derive("secret", []byte("0123456789abcdef"), 1)
	var all []*users.User
	for _, secret := range []string{"secret", secrets()["md5"], keys.String(), ""} {
		u, err := users.New("ann", secret)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	return append(all, nil)
}

func FuzzExchange(f *testing.F) {
	all := known(f)
	first := pgscript.SASLInitial(scram.Mechanism, "n,,n=,r=abc")[5:]
	f.Add(uint8(0), uint8(0), []byte("secret\x00"), []byte("Secret\x00"))
	f.Add(uint8(1), uint8(1), []byte("md5bb41a296aab6baccb36ff243a562abff\x00"), []byte{0})
	f.Add(uint8(2), uint8(2), first, []byte("c=biws,r=abc,p=AAAA"))
	f.Add(uint8(3), uint8(4), pgscript.SASLInitial(scram.MechanismPlus, "p=tls-server-end-point,,n=,r=abc")[5:], first)
	f.Fuzz(func(t *testing.T, method, form uint8, first, second []byte) {
		m := []Method{Password, MD5, SCRAM, SCRAMPlus}[method%4]
		if fault := exchangeFault(m, all[int(form)%len(all)], first, second, (*Exchange).Step); fault != "" {
			t.Errorf("method %d, form %d: %s", method%4, int(form)%len(all), fault)
		}
	})
}

func FuzzProof(f *testing.F) {
	u := known(f)[2]
	for at := range uint16(8) {
		f.Add(at%2 == 0, at%3 == 0, 13*at, byte(at))
	}
	f.Fuzz(func(t *testing.T, bound, last bool, at uint16, change byte) {
		if fault := proofFault(u, bound, last, at, change, (*Exchange).Step); fault != "" {
			t.Errorf("bound %v, last %v, at %d: %s", bound, last, at, fault)
		}
	})
}

// TestFuzzersSee plants faults that the fuzzers' checks have to see.
func TestFuzzersSee(t *testing.T) {
	all := known(t)
	eager := func(x *Exchange, _ []byte) Step { return x.done(nil) }
	mute := func(*Exchange, []byte) Step { return Step{} }
	for _, take := range []step{eager, mute} {
		if exchangeFault(MD5, all[1], []byte("x\x00"), nil, take) == "" {
			t.Error("an exchange that lets everybody in, or says nothing, is not seen")
		}
	}
	if proofFault(all[2], true, true, 70, 1, eager) == "" {
		t.Error("a proof that is not looked at is not seen")
	}
	lax := func(x *Exchange, body []byte) Step { // mends what was changed
		if len(body) > 10 && bytes.HasPrefix(body, []byte("c=")) {
			body = append([]byte{body[0], body[1]}, body[2:]...)
			body[2] ^= 1
		}
		return x.Step(body)
	}
	if proofFault(all[2], true, true, 2, 1, lax) == "" {
		t.Error("a binding that is not looked at is not seen")
	}
	for _, change := range []byte{0, 1} {
		if fault := proofFault(all[2], true, true, 70, change, (*Exchange).Step); fault != "" {
			t.Error(fault)
		}
	}
}
