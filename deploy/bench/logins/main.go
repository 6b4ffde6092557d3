// Command logins is deploy/bench/storm on a command line.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/heliosproxy/heliosproxy/deploy/bench/storm"
)

func main() {
	var o storm.Options
	flag.StringVar(&o.Address, "address", "", "HOST:PORT")
	flag.StringVar(&o.User, "user", "bench", "user")
	flag.StringVar(&o.Database, "database", "bench", "database")
	flag.StringVar(&o.Password, "password", "bench", "password")
	flag.BoolVar(&o.TLS, "tls", false, "over TLS")
	flag.Float64Var(&o.Rate, "rate", 0, "log-ins offered a second; 0: as many as the clients do")
	flag.DurationVar(&o.Length, "length", 5*time.Second, "how long")
	flag.IntVar(&o.Clients, "clients", 8, "log-ins at a time, at most")
	flag.DurationVar(&o.Deadline, "deadline", 30*time.Second, "how long one log-in may take")
	n := flag.Int("hold", 0, "in place of all that: log in so many sessions, print held, and keep them until standard input ends")
	flag.Parse()
	var err error
	if *n > 0 {
		err = storm.Hold(&o, *n, os.Stdin, os.Stdout)
	} else {
		err = storm.Run(context.Background(), &o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "logins:", err)
		os.Exit(1)
	}
}
