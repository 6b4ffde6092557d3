// Command heliosproxy is the all-in-one program: a data plane that does what a file says. It never has logic of its own.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/deploy/standalone/command"
)

func main() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	p := command.Program{Out: os.Stdout, Err: os.Stderr, Signals: signals, Start: start}
	os.Exit(p.Main(os.Args[1:]))
}

func start(o command.Options) (command.DataPlane, error) {
	p, err := assembly.New(assembly.Options{
		Log: o.Log, NodeID: o.NodeID, Loops: o.Loops,
		AdminAddress: o.AdminAddress, AdminToken: o.AdminToken, Listen: o.Listen,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}
