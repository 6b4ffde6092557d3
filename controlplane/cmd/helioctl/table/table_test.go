package table_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
)

func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := table.Print(&b, [][]string{{"NAME", "ÄGE", "X"}, {"a", "1", ""}, {"bcdef", "22", "x"}}); err != nil {
		t.Fatal(err)
	}
	if want := "NAME    ÄGE   X\na       1\nbcdef   22    x\n"; b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestAge(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 5 * time.Second: "5s", 119 * time.Second: "119s", 3*time.Minute + 12*time.Second: "3m12s",
		45 * time.Minute: "45m", 9 * time.Hour: "9h", 72 * time.Hour: "3d",
	} {
		if got := table.Age(now, timestamppb.New(now.Add(-d))); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	if table.Age(now, nil) != "-" {
		t.Error("no time has an age")
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{"ann": "ann", `a"b`: `a"b`, "ä ö": "ä ö", "\x1b[31m\"": `\x1b[31m"`, "a\nb": `a\nb`, "\xff": `\xff`} {
		if got := table.Plain(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
