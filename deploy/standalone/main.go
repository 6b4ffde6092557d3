// Command heliosproxy is the all-in-one program: a proxy, a control plane, or both in one process. It never has logic of its own.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
	"github.com/heliosproxy/heliosproxy/deploy/standalone/planes"
	"github.com/heliosproxy/heliosproxy/deploy/standalone/trial"
)

func main() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	p := command.Program{
		Out: os.Stdout, Err: os.Stderr, Signals: signals,
		Notify:  func(more ...os.Signal) { signal.Notify(signals, more...) },
		Systemd: planes.Systemd(),
		Start:   planes.Standalone, Join: planes.Member, Control: planes.Control, Try: trial.Try,
	}
	os.Exit(p.Main(os.Args[1:]))
}
