package peers

import (
	"net/netip"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
)

const (
	// maxKnown bounds of how many addresses it is known what they have got wrong.
	maxKnown = 100_000
	// maxFlying is how many requests are on their way to other proxies at once, and MaxFlyingTo to one of them: one that does not
	// answer must not stand in the way of the others.
	maxFlying, MaxFlyingTo = 256, 64
	// maxAsks is how many of them may be such that all peers are asked about.
	maxAsks = 16
)

// patience is how many keys may be wrong that come from an address, behind which a balancer's clients may be. At that rate a secret of 32 bits is guessed within
// three years.
func patience() admission.Patience { return admission.Patience{Max: 3000, Within: time.Minute} }

// askPatience is how many of them all peers may be asked about in vain, and askPatienceInAll how many whoever asks.
func askPatience() admission.Patience { return admission.Patience{Max: 300, Within: time.Minute} }

func askPatienceInAll() admission.Patience { return admission.Patience{Max: 1200, Within: time.Minute} }

// Users as package admission knows them: all who are at an address are one.
const (
	anybody  = "anybody"
	together = "all together"
)

// limits are how much is tried in vain. Only keys that are wrong count, so who has a good one waits for nobody but for one at his own address who guesses.
type limits struct {
	wrong, asked *admission.Failures
}

// Barred says whether a key from an address is not looked at, because so many from there were wrong. A long secret always is: nobody guesses it.
// Times are nanoseconds of one clock.
func (p *Peers) Barred(now int64, from netip.Addr, secret []byte, forwarded bool) bool {
	return len(secret) != cancelkeys.Long && !p.trusts(from, forwarded) && p.wrong.Wait(now, from, anybody, patience()) > 0
}

// Wrong notes that a key from an address was nobody's. What a peer has passed on is the peer's to count, which knows where it has come from.
func (p *Peers) Wrong(now int64, from netip.Addr, forwarded bool) {
	if p.trusts(from, forwarded) {
		return
	}
	if p.wrong.Failed(now, from, anybody, patience()) {
		p.o.Log.Warn("cancel requests with wrong keys: from now on those of this address wait their turn", logAddr(from))
	}
}

// trusts says whether a request was passed on by a peer.
func (p *Peers) trusts(from netip.Addr, forwarded bool) bool {
	if !forwarded {
		return false
	}
	_, ok := p.table.Load().hosts[from]
	return ok || !from.IsValid()
}

// mayAsk says whether all peers may be asked about a key from an address.
func (p *Peers) mayAsk(now int64, from netip.Addr) bool {
	return p.asked.Wait(now, from, anybody, askPatience()) == 0 && p.asked.Wait(now, netip.Addr{}, together, askPatienceInAll()) == 0
}

// askedInVain notes that no peer had a key.
func (p *Peers) askedInVain(now int64, from netip.Addr) {
	p.asked.Failed(now, from, anybody, askPatience())
	p.asked.Failed(now, netip.Addr{}, together, askPatienceInAll())
}
