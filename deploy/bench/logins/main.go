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
	o := storm.Options{Deadline: 30 * time.Second}
	flag.StringVar(&o.Address, "address", "", "HOST:PORT")
	flag.StringVar(&o.User, "user", "bench", "user")
	flag.StringVar(&o.Database, "database", "bench", "database")
	flag.StringVar(&o.Password, "password", "bench", "password")
	flag.BoolVar(&o.TLS, "tls", false, "over TLS")
	flag.Float64Var(&o.Rate, "rate", 0, "log-ins offered a second; 0: as many as the clients do")
	flag.DurationVar(&o.Length, "length", 5*time.Second, "how long")
	flag.IntVar(&o.Clients, "clients", 8, "log-ins at a time, at most")
	n := flag.Int("hold", 0, "in place of all that: log in so many sessions, print held, and keep them until standard input ends")
	guesses := flag.Int("guess", 0, "or: try so many wrong proofs, and say how long they take for users who are there or not")
	flag.Parse()
	var err error
	switch {
	case *n > 0:
		err = storm.Hold(&o, *n, os.Stdin, os.Stdout)
	case *guesses > 0:
		err = storm.Guess(&o, *guesses, os.Stdout)
	default:
		err = storm.Run(context.Background(), &o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "logins:", err)
		os.Exit(1)
	}
}
