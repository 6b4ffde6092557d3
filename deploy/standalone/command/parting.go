package command

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

// parting is how a proxy takes another one's place, and how it ends. What is said on the command line goes before what a file says.
type parting struct {
	takeover       bool
	drainTimeout   time.Duration
	drainRate      int // sessions a second; 0 is all at once
	takeoverWindow time.Duration

	drainSet, rateSet, windowSet bool
}

func (p *parting) register(fs *pflag.FlagSet, drain string) {
	fs.BoolVarP(&p.takeover, "takeover", "R", false, "take the place of the proxy that runs with the same state directory, with its clients")
	fs.DurationVar(&p.drainTimeout, "drain-timeout", 0, "how long sessions have for their transactions after SIGTERM (default: "+drain+")")
	fs.IntVar(&p.drainRate, "drain-rate", 0, "how many sessions are ended a second then; 0 is all at once")
	fs.DurationVar(&p.takeoverWindow, "takeover-window", time.Minute, "how long clients may stay, after another process has taken over, whom it cannot take")
}

func (p *parting) check(fs *pflag.FlagSet) error {
	p.drainSet, p.rateSet, p.windowSet = fs.Changed("drain-timeout"), fs.Changed("drain-rate"), fs.Changed("takeover-window")
	switch {
	case p.drainTimeout < 0:
		return fmt.Errorf("--drain-timeout %s is negative", p.drainTimeout)
	case p.drainRate < 0:
		return fmt.Errorf("--drain-rate %d is negative", p.drainRate)
	case p.takeoverWindow < 0:
		return fmt.Errorf("--takeover-window %s is negative", p.takeoverWindow)
	}
	return nil
}

// rate is how many sessions are ended a second, and window how long those may stay that cannot be handed over, with a file that says b.
func (p *parting) rate(b configfile.Bootstrap) float64 {
	if p.rateSet {
		return float64(p.drainRate)
	}
	return float64(b.DrainRate)
}

func (p *parting) window(b configfile.Bootstrap) time.Duration {
	if p.windowSet {
		return p.takeoverWindow
	}
	return b.TakeoverWindow
}
