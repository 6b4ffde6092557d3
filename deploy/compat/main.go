// Command compat runs the test suites of PostgreSQL's drivers directly and through the proxy. It never has logic of its own.
package main

import (
	"context"
	"embed"
	"os"
	"os/signal"
	"syscall"

	"github.com/heliosproxy/heliosproxy/deploy/compat/command"
)

//go:embed reasons.txt scenarios.txt python node jdbc
var files embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := command.Program{Out: os.Stdout, Proxy: os.Getenv("HELIOSPROXY"), Files: files}
	status := p.Main(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}
