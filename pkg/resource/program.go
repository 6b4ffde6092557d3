package resource

import (
	"path/filepath"
	"strings"
	"time"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// programTimeout is how long a program may judge a password, unless set.
const programTimeout = 10 * time.Second

// ProgramTimeout is how long a program may judge a password.
func ProgramTimeout(x *heliosv1.Program) time.Duration {
	if x.GetTimeout() == nil {
		return programTimeout
	}
	return x.GetTimeout().AsDuration()
}

// program says what is wrong with the program of a listener.
func (c *checker) program(x *heliosv1.Program) {
	if x == nil {
		return
	}
	if len(x.GetCommand()) == 0 {
		c.refuse("program.command", "missing")
	} else {
		c.argv("program.command", x.GetCommand())
	}
	if x.GetTimeout() != nil {
		c.duration("program.timeout", x.GetTimeout(), false)
	}
}

// argv says what is wrong with a program and its arguments, of which there is one at least.
func (c *checker) argv(field string, argv []string) {
	switch {
	case argv[0] == "":
		c.refuse(field, "has no program")
	case strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]):
		c.refuse(field, "%q is neither the name of a program nor an absolute path", argv[0])
	}
	for _, arg := range argv {
		if strings.IndexByte(arg, 0) >= 0 {
			c.refuse(field, "has a NUL byte, which no argument can hold")
		}
	}
}
