package configsync_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestSequences tells a proxy that runs "ab", generation 5 of store "s", a sequence of messages.
func TestSequences(t *testing.T) {
	type of = func(s *stage) []*response
	one := func(m func(s *stage) *response) of { return func(s *stage) []*response { return []*response{m(s)} } }
	without := func(i int, all of) of { return func(s *stage) []*response { return slices.Delete(all(s), i, i+1) } }
	wholeOf := func(nonce uint64, revision int64, w string) of {
		return func(s *stage) []*response { return whole(nonce, revision, s.content(w)) }
	}
	changeTo := func(nonce uint64, revision int64, base, w string) of {
		return func(s *stage) []*response { return change(nonce, revision, s.content(base), s.content(w)) }
	}
	altered := func(all of, alter func(*heliosv1.Begin)) of {
		return func(s *stage) []*response {
			ms := all(s)
			alter(ms[0].GetBegin())
			return ms
		}
	}
	tests := []struct {
		name  string
		tell  []of
		want  []string // what the proxy says; the last is "gone" if the stream has ended
		runs  string   // what is in force, with its generation
		fault string   // of State's rejection
	}{
		{"whole", []of{wholeOf(2, 6, "abcd")}, []string{`ack 2 6 abcd []`}, "abcd 6", ""},
		{"change", []of{changeTo(2, 6, "ab", "bcd")}, []string{`ack 2 6 bcd []`}, "bcd 6", ""},
		{"warning", []of{wholeOf(2, 6, "z")}, []string{`ack 2 6 z ["z is odd"]`}, "z 6", ""},
		{"up to date", []of{one(func(s *stage) *response { return upToDate(9, s.content("ab").Hash()) })}, nil, "ab 9", ""},
		{"up to date, older", []of{one(func(s *stage) *response { return upToDate(4, s.content("ab").Hash()) })}, []string{"gone"}, "ab 5", ""},
		{"up to date, another", []of{one(func(s *stage) *response { return upToDate(9, s.content("c").Hash()) })}, []string{"gone"}, "ab 5", ""},
		{"no release", []of{one(func(*stage) *response {
			return &response{Message: &heliosv1.StreamConfigResponse_NoRelease{NoRelease: &heliosv1.NoRelease{}}}
		})}, nil, "ab 5", ""},
		{"drain", []of{one(func(*stage) *response {
			return &response{Message: &heliosv1.StreamConfigResponse_Drain{Drain: &heliosv1.Drain{}}}
		})}, []string{"gone"}, "ab 5", ""},
		{"second welcome", []of{one(func(*stage) *response { return welcome("other") })}, []string{"gone"}, "ab 5", ""},
		{"nothing known", []of{one(func(*stage) *response { return &response{} })}, []string{"gone"}, "ab 5", ""},

		{
			"wrong hash",
			[]of{altered(wholeOf(2, 6, "c"), func(b *heliosv1.Begin) { b.Hash = strings.Repeat("0", 64) })},
			[]string{"nack 2 6 00000000 verify: its hash is HASH, and HASH was announced"},
			"ab 5", "verify",
		},
		{"chunk lost", []of{without(1, wholeOf(2, 6, "cd"))}, []string{"nack 2 6 cd verify: its hash is HASH, and HASH was announced"}, "ab 5", "verify"},
		{
			"chunk twice",
			[]of{func(s *stage) []*response { ms := whole(2, 6, s.content("cd")); return slices.Insert(ms, 1, ms[1]) }},
			[]string{"nack 2 6 cd verify: more came than the 2 resources with 14 bytes that were announced"},
			"ab 5", "verify",
		},
		{
			"more bytes than announced",
			[]of{altered(wholeOf(2, 6, "cd"), func(b *heliosv1.Begin) { b.Bytes = 13 })},
			[]string{"nack 2 6 cd verify: more came than the 2 resources with 13 bytes that were announced"},
			"ab 5", "verify",
		},
		{
			"removes what is not there",
			[]of{func(s *stage) []*response {
				c := s.content("b")
				return parts(announce(2, 6, s.content("ab").Hash(), c), release.Difference{Removes: []*heliosv1.Ref{{Kind: "Cluster", Name: "q"}}})
			}},
			[]string{`nack 2 6 b verify: Cluster "q" is removed and was not there`},
			"ab 5", "verify",
		},
		{"cut off by the next", []of{
			func(s *stage) []*response { return whole(2, 6, s.content("cd"))[:2] },
			wholeOf(3, 7, "d"),
		}, []string{"ack 3 7 d []"}, "d 7", ""},
		{"chunk of an earlier one", []of{
			one(func(s *stage) *response { return begin(announce(2, 6, "", s.content("c"))) }),
			one(func(s *stage) *response { return chunk(1, release.Empty().To(s.content("c"))) }),
		}, []string{"gone"}, "ab 5", ""},
		{"commit of an earlier one", []of{
			one(func(s *stage) *response { return begin(announce(2, 6, "", s.content("c"))) }),
			one(func(*stage) *response { return commit(1) }),
		}, []string{"gone"}, "ab 5", ""},
		{"commit alone", []of{one(func(*stage) *response { return commit(2) })}, []string{"gone"}, "ab 5", ""},
		{"base mismatch, then whole", []of{changeTo(2, 6, "abd", "abdc"), wholeOf(3, 6, "abdc")}, []string{"need full 2", "ack 3 6 abdc []"}, "abcd 6", ""},
		{"older generation", []of{wholeOf(2, 4, "c")}, []string{"nack 2 4 c verify: generation 0/4 is older than 0/5, which is in force"}, "ab 5", "verify"},
		{"raised epoch", []of{altered(wholeOf(2, 1, "c"), func(b *heliosv1.Begin) { b.Generation.Epoch = 1 })}, []string{"ack 2 1 c []"}, "c 1", ""},
		{
			"too large",
			[]of{altered(wholeOf(2, 6, "c"), func(b *heliosv1.Begin) { b.Bytes = 1001 })},
			[]string{"nack 2 6 c verify: it has 1001 bytes, and this proxy takes 1000 (--max-config-bytes)"},
			"ab 5", "verify",
		},
		{"empty", []of{wholeOf(2, 6, "")}, []string{"nack 2 6  verify: it is empty"}, "ab 5", "verify"},
		{
			"no such kind",
			[]of{func(s *stage) []*response { return whole(2, 6, odd(s, &heliosv1.Item{Kind: "Ghost", Name: "g"})) }},
			[]string{`nack 2 6 odd decode: Ghost "g": this version does not know the kind`},
			"ab 5", "decode",
		},
		{
			"garbage",
			[]of{func(s *stage) []*response {
				return whole(2, 6, odd(s, &heliosv1.Item{Kind: "Cluster", Name: "g", Payload: []byte{0xff}}))
			}},
			[]string{`nack 2 6 odd decode: Cluster "g": the payload is no Cluster`},
			"ab 5", "decode",
		},
		{
			"unknown reference",
			[]of{wholeOf(2, 6, "aC")},
			[]string{`nack 2 6 aC validate: Node "C": cluster: there is no Cluster "c"`},
			"ab 5", "validate",
		},
		{"refused by the machine", []of{wholeOf(2, 6, "ax")}, []string{`nack 2 6 ax warm: PoolProfile "x": does not fit`}, "ab 5", "warm"},
		{"failed", []of{wholeOf(2, 6, "aw")}, []string{`nack 2 6 aw warm: no idea why`}, "ab 5", "warm"},
		{"panic", []of{wholeOf(2, 6, "y")}, []string{`nack 2 6 y compile: the proxy panicked: planted`}, "ab 5", "compile"},
		{"refused, then a new one", []of{wholeOf(2, 6, "ax"), changeTo(3, 7, "ab", "abc")}, []string{`nack 2 6 ax warm: PoolProfile "x": does not fit`, "ack 3 7 abc []"}, "abc 7", ""},
		{
			"refused, then back to what is in force",
			[]of{wholeOf(2, 6, "ax"), one(func(s *stage) *response { return upToDate(7, s.content("ab").Hash()) })},
			[]string{`nack 2 6 ax warm: PoolProfile "x": does not fit`},
			"ab 7", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, nil)
				defer s.stop()
				got := s.tell(append([]*response{welcome("s")}, whole(1, 5, s.content("ab"))...)...)
				if want := []string{`hello "" 0 "" NONE`, `ack 1 5 ab []`}; !slices.Equal(got, want) {
					t.Fatalf("the proxy began with %q, want %q", got, want)
				}
				before := s.link()
				got = nil
				for _, of := range tt.tell {
					got = append(got, s.tell(of(s)...)...)
				}
				if before.ctx.Err() != nil {
					got = append(got, "gone")
				}
				for i := range got {
					got[i] = hashes.ReplaceAllString(got[i], "HASH")
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("the proxy said\n%q, want\n%q", got, tt.want)
				}
				st, _ := s.client.State()
				if runs := fmt.Sprintf("%s %d", s.runs(), st.Generation.GetRevision()); runs != tt.runs || st.StoreID != "s" {
					t.Errorf("in force is %s of store %q, want %s", runs, st.StoreID, tt.runs)
				}
				if stage := strings.ToLower(strings.TrimPrefix(st.Rejection.GetStage().String(), "STAGE_")); tt.fault == "" && st.Rejection != nil || tt.fault != "" && stage != tt.fault {
					t.Errorf("the rejection is %v, want %q", st.Rejection, tt.fault)
				}
			})
		})
	}
}

// odd makes a content of one item that is no resource.
func odd(s *stage, it *heliosv1.Item) *release.Content {
	c, err := release.New([]*heliosv1.Item{it})
	if err != nil {
		s.t.Fatal(err)
	}
	s.words[c.Hash()] = "odd"
	return c
}

// TestOtherStore lets a proxy come to a control plane with another store, whose revisions are lower.
func TestOtherStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		defer s.stop()
		s.tell(append([]*response{welcome("s")}, whole(1, 500, s.content("ab"))...)...)
		s.link().end <- fmt.Errorf("moved")
		later(s)
		got := s.tell(append([]*response{welcome("t")}, whole(1, 3, s.content("c"))...)...)
		if want := []string{`hello "s" 500 "ab" CONTROL_PLANE`, `ack 1 3 c []`}; !slices.Equal(got, want) {
			t.Errorf("the proxy said %q, want %q", got, want)
		}
		if st, _ := s.client.State(); st.StoreID != "t" || s.runs() != "c" || !st.Connected {
			t.Errorf("in force is %s of %q", s.runs(), st.StoreID)
		}
		// The same content of yet another store is confirmed, not sent.
		s.link().end <- fmt.Errorf("moved")
		later(s)
		s.tell(welcome("u"), upToDate(1, s.content("c").Hash()))
		if st, _ := s.client.State(); st.StoreID != "u" || st.Generation.GetRevision() != 1 {
			t.Errorf("in force is generation %v of %q", st.Generation, st.StoreID)
		}
	})
}

// TestFirstMessage ends a stream that does not begin with Welcome.
func TestFirstMessage(t *testing.T) {
	for name, m := range map[string]*response{
		"heartbeat": alive(), "commit": commit(1), "nameless store": welcome(""),
		"begin": begin(&heliosv1.Begin{Nonce: 1}), "up to date": upToDate(1, "h"),
		"nothing": {}, "no heartbeat": {Message: &heliosv1.StreamConfigResponse_Welcome{Welcome: &heliosv1.Welcome{Heartbeat: durationpb.New(-1)}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, nil)
				defer s.stop()
				first := s.link()
				s.tell(m)
				if first.ctx.Err() == nil {
					t.Error("the stream goes on")
				}
				if st, _ := s.client.State(); st.Connected {
					t.Error("the proxy says that it is connected")
				}
			})
		})
	}
}
