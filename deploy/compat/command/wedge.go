package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heliosproxy/heliosproxy/deploy/compat/stage"
	"github.com/heliosproxy/heliosproxy/deploy/compat/wedge"
)

// perLoad is how much the proxy may grow for each load. A load has 100 MiB of statements and as much of answers on their way. What the
// proxy may keep of these is one statement below max_statement_bytes, which it reads as a whole (4 MiB, and as much again while its
// buffer grows), and relay buffers of a fixed size; Go's collector may let twice as much stand before it runs.
const perLoad = 16 << 20

// wedge runs all loads at once in each mode of the proxy, and returns a line for each that is stuck or wrong, and for memory that is
// not bounded.
func (p *Program) wedge(ctx context.Context) (faults []string, err error) {
	loads := []wedge.Load{wedge.Batches{}, wedge.Deaf{For: time.Second}}
	for _, s := range p.all {
		if s.Load() == nil {
			continue
		}
		if err := p.prepare(ctx, s); err != nil {
			return nil, err
		}
		loads = append(loads, s.Load()) // it knows its directory only now
	}
	for _, run := range []stage.Run{stage.Session, stage.Transaction} {
		found, err := p.wedgeRun(ctx, run, loads)
		if err != nil {
			return nil, fmt.Errorf("%s run: %w", run, err)
		}
		faults = append(faults, found...)
	}
	return faults, nil
}

func (p *Program) wedgeRun(ctx context.Context, run stage.Run, loads []wedge.Load) (faults []string, err error) {
	st, err := stage.Start(ctx, run, p.Proxy)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	before, err := st.Peak()
	if err != nil {
		return nil, err
	}
	target := wedge.Target{DSN: st.DSN("compat"), Env: append(st.Env(), "PGUSER=postgres", "PGDATABASE=compat")}
	for _, r := range wedge.Watch(ctx, loads, target, p.load, wedge.Stuck) {
		fmt.Fprintf(p.Out, "load, %s: %s: %d answers of 1 MiB, at most %.1f s in which nothing moved\n", run, r.Load, r.Answers, r.Longest.Seconds())
		if r.Err != nil {
			faults = append(faults, fmt.Sprintf("load, %s: %s: %v", run, r.Load, r.Err))
		}
	}
	after, err := st.Peak()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(p.Out, "load, %s: the proxy had at most %d MiB, %d before\n", run, after>>20, before>>20)
	if fault := unbounded(before, after, len(loads)); fault != "" {
		faults = append(faults, fmt.Sprintf("load, %s: %s", run, fault))
	}
	return faults, nil
}

// unbounded says what is wrong if the proxy, with so many loads, has grown from before to after bytes. It is empty if nothing is.
func unbounded(before, after, loads int) string {
	if bound := before + loads*perLoad; after > bound {
		return fmt.Sprintf("the proxy had %d MiB, more than %d, which is %d before and %d for each of %d loads",
			after>>20, bound>>20, before>>20, perLoad>>20, loads)
	}
	return ""
}
