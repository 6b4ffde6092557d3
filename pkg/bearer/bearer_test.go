package bearer_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/heliosproxy/heliosproxy/pkg/bearer"
)

func TestMakeOnceAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.token")
	made, err := bearer.Make(path)
	if err != nil || len(made) != 64 {
		t.Fatalf("%q, %v", made, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	for _, f := range []func(string) (string, error){bearer.Make, bearer.Read} {
		if again, err := f(path); err != nil || again != made {
			t.Errorf("%q, %v; want %q", again, err, made)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for content, want := range map[string]string{" \n": "is empty", "two words": "more than one word", "snö": "more than one word"} {
		path := filepath.Join(t.TempDir(), "t")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := bearer.Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := bearer.Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there has a token")
	}
}

func TestTokenTravels(t *testing.T) {
	sent, _ := bearer.Credentials("abc").GetRequestMetadata(context.Background())
	ctx := metadata.NewIncomingContext(context.Background(), metadata.New(sent))
	if got := bearer.Of(ctx); got != "abc" {
		t.Errorf("got %q", got)
	}
	for _, v := range []string{"", "Basic abc", "Bearer"} {
		if got := bearer.Of(metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", v))); got != "" {
			t.Errorf("%q: got %q", v, got)
		}
	}
	if bearer.Of(context.Background()) != "" {
		t.Error("a token out of nothing")
	}
	if !bearer.Same("a", "a") || bearer.Same("a", "b") || bearer.Same("a", "ab") {
		t.Error("Same does not compare")
	}
}

func TestLoopback(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:7400": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:7400": true, "unix:/run/x": true,
		"0.0.0.0:7400": false, ":7400": false, "10.0.0.1:7400": false, "[::]:1": false, "db.example:7400": false, "unix:": false, "7400": false,
	} {
		if err := bearer.Loopback(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := bearer.Loopback("0.0.0.0:7400"); err == nil || !strings.Contains(err.Error(), "clear text") {
		t.Errorf("does not say why: %v", err)
	}
}
