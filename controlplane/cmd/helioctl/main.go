// Command helioctl administers control planes and standalone proxies. It never touches a store itself: it asks a control plane, and, about what a proxy keeps to itself, the proxy.
package main

import (
	"os"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/command"
)

func main() {
	p := command.Program{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv, Now: time.Now}
	os.Exit(p.Main(os.Args[1:]))
}
