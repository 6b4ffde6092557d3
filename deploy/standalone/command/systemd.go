package command

import (
	"context"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/pkg/systemd"
)

// handed are the descriptors that systemd has handed over. What is said of them in the environment is for this process alone.
func (p Program) handed() (map[int]string, error) {
	sockets, err := p.Systemd.Sockets()
	if err != nil {
		return nil, failed{err}
	}
	for _, name := range systemd.Variables() {
		if err := os.Unsetenv(name); err != nil {
			return nil, failed{err}
		}
	}
	return sockets, nil
}

// started tells systemd that the service works, and from then on that it is alive if it asks for that. The result ends the latter.
func (p Program) started(log *zap.Logger, alive func(context.Context) error) (stop func()) {
	p.ready(log, "serving")
	period, err := p.Systemd.Watchdog()
	if err != nil {
		log.Warn("systemd will not hear that the proxy is alive", zap.Error(err))
	}
	ctx, stop := context.WithCancel(context.Background())
	if period > 0 {
		go p.guard(ctx, log, period, alive)
	}
	return stop
}

// guard gives signs of life for as long as there is life.
func (p Program) guard(ctx context.Context, log *zap.Logger, period time.Duration, alive func(context.Context) error) {
	tick := time.NewTicker(period / 2)
	defer tick.Stop()
	for {
		within, stop := context.WithTimeout(ctx, period)
		err := alive(within)
		stop()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = p.Systemd.Alive()
		}
		if err != nil {
			log.Error("no sign of life for systemd", zap.Error(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ready tells systemd that the service works, and how it is.
func (p Program) ready(log *zap.Logger, status string) { told(log, p.Systemd.Ready(status)) }

// reloading tells systemd that the configuration is read again; ready ends that.
func (p Program) reloading(log *zap.Logger) { told(log, p.Systemd.Reloading()) }

// stopping tells systemd that the end has begun, and what it waits for.
func (p Program) stopping(log *zap.Logger, status string) { told(log, p.Systemd.Stopping(status)) }

// told logs what systemd could not be told.
func told(log *zap.Logger, err error) {
	if err != nil {
		log.Warn("systemd was not told", zap.Error(err))
	}
}
