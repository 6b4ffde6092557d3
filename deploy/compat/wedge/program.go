package wedge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A Program is a load in another language: it is told the seconds, the statements in flight and the bytes of each as arguments,
// prints a line "connected" and a line "answer" for each answer that is as it must be, and ends with status 0 if all are.
type Program struct {
	Label string
	Dir   string
	Start []string
}

// Name returns the load's name.
func (p Program) Name() string { return p.Label }

// Run runs the program.
func (p Program) Run(ctx context.Context, t Target, length time.Duration, moved func(answers int)) error {
	args := append(p.Start[1:len(p.Start):len(p.Start)], fmt.Sprint(length.Seconds()), fmt.Sprint(InFlight), fmt.Sprint(Bytes))
	cmd := exec.CommandContext(ctx, p.Start[0], args...)
	cmd.Dir, cmd.Env = p.Dir, t.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go working(watching, cmd.Process.Pid, moved)
	in := bufio.NewScanner(out)
	for in.Scan() {
		switch in.Text() {
		case "answer":
			moved(1)
		case "connected":
			moved(0)
		default:
			said.WriteString(in.Text() + "\n")
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return in.Err()
}
