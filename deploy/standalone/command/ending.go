package command

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Ending is whom a proxy waits for that ends. Of two the smaller one goes.
type Ending int

// The endings.
const (
	HandedOver Ending = iota // another process has everything: nobody is left to wait for
	AtOnce
	AfterTransactions
	AfterClients
)

// String says it in words.
func (e Ending) String() string {
	switch e {
	case HandedOver:
		return "handed over"
	case AtOnce:
		return "at once"
	case AfterTransactions:
		return "after transactions"
	}
	return "after clients"
}

// why is what the log says of an ending that no signal has asked for.
func (e Ending) why() string {
	if e == HandedOver {
		return "ending as another process has taken over"
	}
	return "ending on an administrator's behalf"
}

// wait waits for whom the ending says, or until ctx ends.
func (e Ending) wait(ctx context.Context, plane Server) error {
	switch e {
	case AfterTransactions:
		return plane.Drain(ctx)
	case AfterClients:
		return plane.Leave(ctx)
	}
	return nil
}

// farewell is how a data plane is ended.
type farewell struct {
	log     *zap.Logger
	plane   Server
	signals <-chan os.Signal
	endings <-chan Ending // what administrators want meanwhile
	// bounds are how long it waits; one that is not there has no bound.
	bounds map[Ending]time.Duration
	// passes hears signals, and says that one does not end it on the spot.
	passes func(os.Signal) bool
	cut    error // what it amounts to if one does
}

// end waits for whom how says, or for fewer if an administrator wants that meanwhile, and closes the data plane. A signal ends it on the
// spot.
func (f farewell) end(how Ending) error {
	for {
		next, s, err := f.stage(how)
		switch {
		case s != nil:
			f.log.Warn("ending at once", zap.Stringer("signal", s))
			return f.cut // the kernel closes what is open
		case next != how:
			f.log.Info(next.why(), zap.Stringer("how", next))
			how = next
			continue
		case err != nil:
			f.log.Warn("sessions were cut off", zap.Error(err))
		}
		if err := f.plane.Close(); err != nil {
			return failed{fmt.Errorf("close: %w", err)}
		}
		f.log.Info("heliosproxy ended")
		return nil
	}
}

// stage waits for whom how says, until its time is over, an administrator wants it to wait for fewer, or a signal comes.
func (f farewell) stage(how Ending) (next Ending, s os.Signal, err error) {
	ctx, stop := context.WithCancel(context.Background())
	if d, ok := f.bounds[how]; ok {
		ctx, stop = context.WithTimeout(context.Background(), d)
	}
	defer stop()
	left := make(chan error, 1)
	go func() { left <- how.wait(ctx, f.plane) }()
	for {
		select {
		case s := <-f.signals:
			if !f.passes(s) {
				return how, s, nil
			}
		case next := <-f.endings:
			if next < how {
				stop()
				<-left // before the next stage begins
				return next, nil, nil
			}
		case err := <-left:
			return how, nil, err
		}
	}
}

// farewell is how a proxy ends that is configured as ever but by a pgbouncer.ini, with a bound for its transactions.
func (p Program) farewell(log *zap.Logger, plane Server, w wishes, bound time.Duration) farewell {
	return farewell{
		log: log, plane: plane, signals: p.Signals, endings: w.endings, bounds: map[Ending]time.Duration{AfterTransactions: bound},
		passes: func(s os.Signal) bool {
			if s != syscall.SIGHUP {
				return false
			}
			log.Info("nothing is read again, as the proxy is ending", zap.Stringer("signal", s))
			return true
		},
		cut: failed{errReported},
	}
}

// farewell is how the proxy ends.
func (r *runner) farewell() farewell {
	f := r.Program.farewell(r.log, r.plane, r.wishes, r.drainTimeout())
	if r.flags.ini != "" {
		r.asPgBouncer(&f)
	}
	return f
}
