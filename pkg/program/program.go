// Package program runs other programs, each in a group of processes of its own that ends with it. It never uses a shell and never keeps more of what one prints than it is told to.
package program

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// errFull ends the copying of output.
var errFull = errors.New("there is no more room")

// Command is what is run, and with what.
type Command struct {
	// Argv is the program, an absolute path or a name that is looked for in PATH, and its arguments.
	Argv []string
	// Env is its environment, as NAME=VALUE. nil is that of this process.
	Env []string
	// Input is what it may read from its standard input. Nobody else can.
	Input string
	// Keep is how many bytes of what it prints are wanted. 0: its output is dropped.
	Keep int
}

// Check says whether the program is there. The error names it, and no argument.
func Check(argv []string) error {
	_, err := exec.LookPath(argv[0])
	return err
}

// Run runs a command and returns what it prints: no more than a byte above Keep, with which it is killed. What it says on its standard
// error is dropped, as it may be a secret too. With ctx's end the whole group is killed. The error of a program that was run and has
// failed is an [*exec.ExitError].
func Run(ctx context.Context, c Command) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &output{keep: c.Keep, full: cancel}
	x := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	x.Env = c.Env
	if c.Keep > 0 {
		x.Stdout = out
	}
	if c.Input != "" {
		x.Stdin = strings.NewReader(c.Input)
	}
	x.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	x.Cancel = func() error { return syscall.Kill(-x.Process.Pid, syscall.SIGKILL) }
	x.WaitDelay = time.Second // for what has left the group, or was left behind, and has a pipe open
	err := x.Run()
	switch {
	case c.Keep > 0 && out.text.Len() > c.Keep:
		return out.text.Bytes(), nil // which is too much, whatever became of it
	case errors.Is(err, exec.ErrWaitDelay):
		_ = syscall.Kill(-x.Process.Pid, syscall.SIGKILL)
		return nil, errors.New("has ended and left somebody behind who holds its output open")
	case err != nil:
		return nil, err
	}
	return out.text.Bytes(), nil
}

// Exited returns the status with which a program has ended by itself; ok is false for any other error of [Run]: it could not be
// started, or was ended by a signal.
func Exited(err error) (status int, ok bool) {
	var e *exec.ExitError
	if !errors.As(err, &e) || !e.Exited() {
		return 0, false
	}
	return e.ExitCode(), true
}

// output takes keep bytes and one more.
type output struct {
	text bytes.Buffer
	keep int
	full func() // is called when there is no more room
}

// Write takes what there is room for.
func (o *output) Write(p []byte) (int, error) {
	room := o.keep + 1 - o.text.Len()
	if len(p) < room {
		return o.text.Write(p)
	}
	o.text.Write(p[:room])
	o.full()
	return room, errFull
}
