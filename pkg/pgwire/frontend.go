package pgwire

import (
	"strconv"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// SmallMessage is the most bytes that PostgreSQL takes in messages that are no text and hold no values.
const SmallMessage = 10000

const largeMessage = 1<<30 - 1 // in all others

// CheckFrontend refuses the types and lengths of messages that PostgreSQL refuses.
func CheckFrontend(t byte, n int) error {
	if uint(n) < uint(frontend[t]) {
		return nil
	}
	return refuseFrontend(t)
}

// frontend has, for each type of message, how many bytes are too many.
var frontend = [256]uint32{
	Query: largeMessage + 1, Parse: largeMessage + 1, Bind: largeMessage + 1, CopyData: largeMessage + 1, FunctionRun: largeMessage + 1,
	Describe: SmallMessage + 1, Close: SmallMessage + 1, Execute: SmallMessage + 1, Sync: SmallMessage + 1, Flush: SmallMessage + 1,
	CopyDone: SmallMessage + 1, CopyFail: SmallMessage + 1, Terminate: SmallMessage + 1,
}

// Endless says whether CheckFrontend refuses a message of the type for its length: where it ends is not known.
func Endless(t byte) bool { return frontend[t] != 0 }

func refuseFrontend(t byte) error {
	if !Endless(t) {
		return pgerr.New(pgerr.ProtocolViolation, "invalid frontend message type "+strconv.Itoa(int(t)))
	}
	return pgerr.New(pgerr.ProtocolViolation, "invalid message length")
}
