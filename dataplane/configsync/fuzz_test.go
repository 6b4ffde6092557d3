package configsync_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/pkg/release"
)

// universe is the contents that control planes of the fuzz tests have. No mixture of some is another one.
func universe() []string { return []string{"a", "bc", "ade", "fgz", "hx", "iy", "jw", "kA"} }

// A script is what a control plane does, two bytes a step: what, and with which content, generation or nonce.
// It lies in every way that can be thought of, but never gives a mixture the hash that it has.
type script struct {
	*stage
	contents []*release.Content
	nonce    uint64
	store    string
	planted  bool // the control plane gives mixtures the hash that they have
}

// step does one step.
func (p *script) step(what, with byte) {
	c := p.contents[int(with)%len(p.contents)]
	st, _ := p.client.State()
	base := st.Content
	if base == nil {
		base = release.Empty()
	}
	revision := st.Generation.GetRevision() + int64(with>>4) - 2
	down := func(ms ...*response) {
		for _, m := range ms {
			select {
			case p.link().down <- m:
			default: // nobody reads: the stream has ended
			}
		}
	}
	switch what % 16 {
	case 0:
		down(welcome(p.store))
	case 1:
		p.store = string('r' + rune(with%3))
	case 2, 3:
		p.nonce++
		down(whole(p.nonce, revision, c)...)
	case 4, 5:
		p.nonce++
		down(change(p.nonce, revision, base, c)...)
	case 6: // to another base than is in force
		p.nonce++
		down(change(p.nonce, revision, p.contents[int(with>>3)%len(p.contents)], c)...)
	case 7: // a part of it is lost
		p.nonce++
		ms := whole(p.nonce, revision, c)
		down(slices.Delete(ms, int(with>>3)%len(ms), int(with>>3)%len(ms)+1)...)
	case 8: // parts of two under one hash
		p.nonce++
		other := p.contents[int(with>>3)%len(p.contents)]
		ms := whole(p.nonce, revision, c)
		extra := chunk(p.nonce, release.Empty().To(other))
		down(slices.Insert(ms, len(ms)-1, extra)...)
	case 9:
		down(upToDate(revision, c.Hash()))
	case 10:
		down(upToDate(revision, base.Hash()))
	case 11:
		p.link().end <- errors.New("the fuzz test has ended the stream")
		later(p.stage)
		p.nonce = 0
	case 12:
		down(commit(uint64(with)))
	case 13:
		down(begin(announce(uint64(with), revision, "", c)))
	case 14:
		down(alive())
	case 15:
		p.mix(revision, base, with)
	}
	synctest.Wait()
	if p.link().ctx.Err() != nil {
		later(p.stage)
		p.nonce = 0
		down(welcome(p.store))
		synctest.Wait()
	}
}

// mix sends what one content has more than what is in force, and says that it is the content.
func (p *script) mix(revision int64, base *release.Content, with byte) {
	c := p.contents[int(with)%len(p.contents)]
	d := release.Difference{Upserts: base.To(c).Upserts}
	mixed, err := base.With(d)
	if err != nil {
		p.t.Fatal(err)
	}
	p.nonce++
	b := announce(p.nonce, revision, base.Hash(), mixed)
	if base.Len() == 0 {
		b.BaseHash = ""
	}
	if !p.planted {
		b.Hash = c.Hash()
	}
	for _, m := range parts(b, d) {
		p.link().down <- m
	}
}

// play plays a script and returns the first thing that is wrong after a step of it: what is in force is
// always one of the contents, as it is, and what the proxy says of it is true and does not go back.
func play(t *testing.T, steps []byte, plant func(*script)) error {
	s := newStage(t, nil)
	defer s.stop()
	p := &script{stage: s, store: "s"}
	for _, w := range universe() {
		p.contents = append(p.contents, s.content(w))
	}
	if plant != nil {
		plant(p)
	}
	s.tell(welcome("s"))
	before, _ := s.client.State()
	for i := 0; i+1 < len(steps) && i < 100; i += 2 {
		p.step(steps[i], steps[i+1])
		now, _ := s.client.State()
		runs := s.runs()
		if runs != "" && !slices.Contains(universe(), runs) {
			return fmt.Errorf("step %d: in force is the mixture %q", i/2, runs)
		}
		if now.Content == nil && runs != "" || now.Content != nil && word(now.Content) != runs {
			return fmt.Errorf("step %d: in force is %q, and the proxy says %s", i/2, runs, word(now.Content))
		}
		if g, b := now.Generation, before.Generation; now.StoreID == before.StoreID && b != nil && g.GetRevision() < b.GetRevision() {
			return fmt.Errorf("step %d: generation %v came after %v", i/2, g, b)
		}
		for _, m := range s.link().heard() {
			if a := m.GetAck(); a != nil && a.GetHash() != now.Hash() && proto.Equal(a.GetGeneration(), now.Generation) {
				return fmt.Errorf("step %d: acknowledged is %s, and in force is %s", i/2, s.name(a.GetHash()), word(now.Content))
			}
		}
		before = now
	}
	return nil
}

// FuzzServer has a control plane say anything. That no goroutine is left behind is what the bubble sees to.
func FuzzServer(f *testing.F) {
	f.Add([]byte{2, 0x30, 4, 0x31, 9, 0x31, 11, 0, 4, 0x42})
	f.Add([]byte{2, 0x34, 2, 0x35, 2, 0x36, 2, 0x33, 15, 0x30, 8, 0x31, 7, 0x32})
	f.Add([]byte{2, 0x30, 1, 1, 11, 0, 2, 0x11, 1, 2, 0, 0, 6, 0x32, 12, 3, 13, 5, 12, 5})
	f.Fuzz(func(t *testing.T, steps []byte) {
		synctest.Test(t, func(t *testing.T) {
			if err := play(t, steps, nil); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestPlantedFaults shows that play finds what is wrong.
func TestPlantedFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		steps []byte
		plant func(*script)
	}{
		"a mixture is given its own hash":       {[]byte{2, 0x30, 15, 0x31}, func(p *script) { p.planted = true }},
		"the machine swaps half":                {[]byte{2, 0x32}, func(p *script) { p.swapsHalf = true }},
		"the machine swaps and says it has not": {[]byte{2, 0x30, 2, 0x34}, func(p *script) { p.swapsAndFails = true }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if play(t, tt.steps, tt.plant) == nil {
					t.Error("it is not found")
				}
			})
			synctest.Test(t, func(t *testing.T) {
				if err := play(t, tt.steps, nil); err != nil {
					t.Errorf("without the fault: %v", err)
				}
			})
		})
	}
}
