// Package command is the command line of compat: which suites, in which runs, and what is said in the end. It never judges.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/heliosproxy/heliosproxy/deploy/compat/outcome"
	"github.com/heliosproxy/heliosproxy/deploy/compat/stage"
	"github.com/heliosproxy/heliosproxy/deploy/compat/suite"
	"github.com/heliosproxy/heliosproxy/deploy/compat/verdict"
)

// A Program is one call of compat.
type Program struct {
	Out   io.Writer
	Proxy string // the path of heliosproxy
	Files fs.FS  // reasons.txt, scenarios.txt and the drivers' folders

	all      []suite.Suite
	suites   []suite.Suite // those that are asked for
	prepared map[string]bool
	dir      string
	short    bool
	load     time.Duration
}

// Main runs what args ask for and returns the exit status: 0 if nothing is found, 1 if something is, 2 if it could not be run.
func (p *Program) Main(ctx context.Context, args []string) int {
	faults, err := p.main(ctx, args)
	switch {
	case err != nil:
		fmt.Fprintln(p.Out, "compat:", err)
		return 2
	case faults > 0:
		fmt.Fprintf(p.Out, "\n%d to answer for\n", faults)
		return 1
	}
	fmt.Fprintln(p.Out, "\nNothing to answer for")
	return 0
}

func (p *Program) main(ctx context.Context, args []string) (faults int, err error) {
	if err := p.parse(args); err != nil {
		return 0, err
	}
	reasons, err := verdict.ReadReasons(p.Files)
	if err != nil {
		return 0, err
	}
	if p.dir, err = os.MkdirTemp("", "compat-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.dir)) }()

	var sheets []*verdict.Sheet
	var findings []verdict.Finding
	for _, s := range p.suites {
		sheet, err := p.play(ctx, s, reasons)
		if err != nil {
			return 0, fmt.Errorf("suite %s: %w", s.Name(), err)
		}
		sheets = append(sheets, sheet)
		findings = append(findings, verdict.Judge(reasons, sheet)...)
	}
	var wedges []string
	if p.load > 0 {
		if wedges, err = p.wedge(ctx); err != nil {
			return 0, fmt.Errorf("loads: %w", err)
		}
	}
	verdict.Print(p.Out, sheets, findings)
	for _, w := range wedges {
		fmt.Fprintln(p.Out, w)
	}
	return verdict.Faults(findings) + len(wedges), nil
}

func (p *Program) parse(args []string) error {
	flags := flag.NewFlagSet("compat", flag.ContinueOnError)
	flags.SetOutput(p.Out)
	names := flags.String("suites", "all", "which suites, separated by commas, or all, or none")
	flags.BoolVar(&p.short, "short", false, "leave out what is listed as failing, packages that take long, and directly all but what has failed behind the proxy")
	flags.DurationVar(&p.load, "load", time.Minute, "how long the loads of pipelining drivers run in each mode; 0 for not at all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p.all, p.prepared = suite.All(p.Files), map[string]bool{}
	switch *names {
	case "all":
		p.suites = p.all
	case "none":
	default:
		for name := range strings.SplitSeq(*names, ",") {
			i := slices.IndexFunc(p.all, func(s suite.Suite) bool { return s.Name() == name })
			if i < 0 {
				return fmt.Errorf("no suite %q", name)
			}
			p.suites = append(p.suites, p.all[i])
		}
	}
	return nil
}

// prepare prepares a suite once.
func (p *Program) prepare(ctx context.Context, s suite.Suite) error {
	if p.prepared[s.Name()] {
		return nil
	}
	p.prepared[s.Name()] = true
	dir := filepath.Join(p.dir, s.Name())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	began := time.Now()
	if err := s.Prepare(ctx, dir); err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "%s: %s, prepared in %.0f s\n", s.Name(), s.Version(), time.Since(began).Seconds())
	return nil
}

// play runs one suite in every run, each with a server and a proxy of its own.
func (p *Program) play(ctx context.Context, s suite.Suite, reasons *verdict.Reasons) (*verdict.Sheet, error) {
	if err := p.prepare(ctx, s); err != nil {
		return nil, err
	}
	sheet := &verdict.Sheet{Suite: s.Name(), Runs: map[stage.Run][]outcome.Outcome{}}
	runs := stage.Runs()
	if p.short { // then only what has failed in the others is run directly
		runs = append(runs[1:], stage.Direct)
		sheet.Partial = true
	}
	for _, run := range runs {
		pick := suite.Pick{Short: p.short, Apart: reasons.Listed(s.Name())}
		switch {
		case p.short && run == stage.Transaction:
			pick.Skip = reasons.Tests(s.Name())
			sheet.Skipped = pick.Skip
		case p.short && run == stage.Direct:
			pick.Some, pick.Only = true, sheet.Failed()
			if len(pick.Only) == 0 {
				continue
			}
		}
		began := time.Now()
		outcomes, err := p.once(ctx, s, run, pick)
		if err != nil {
			return nil, fmt.Errorf("%s run: %w", run, err)
		}
		sheet.Runs[run] = outcomes
		fmt.Fprintf(p.Out, "%s: %s run, %d tests in %.0f s\n", s.Name(), run, len(outcomes), time.Since(began).Seconds())
	}
	return sheet, p.again(ctx, s, reasons, sheet)
}

// again runs what has failed newly behind the proxy once more, and more often than once: alone.
func (p *Program) again(ctx context.Context, s suite.Suite, reasons *verdict.Reasons, sheet *verdict.Sheet) error {
	sheet.Again = map[stage.Run][]outcome.Outcome{}
	for _, run := range []stage.Run{stage.Session, stage.Transaction} {
		tests := sheet.Doubtful(reasons, run)
		if len(tests) == 0 {
			continue
		}
		fmt.Fprintf(p.Out, "%s: %s run, again and alone: %s\n", s.Name(), run, strings.Join(tests, ", "))
		for range verdict.Repeats {
			outcomes, err := p.once(ctx, s, run, suite.Pick{Some: true, Only: tests, Apart: tests, Short: p.short})
			if err != nil {
				return fmt.Errorf("%s run, again: %w", run, err)
			}
			sheet.Again[run] = append(sheet.Again[run], outcomes...)
		}
	}
	return nil
}

func (p *Program) once(ctx context.Context, s suite.Suite, run stage.Run, pick suite.Pick) (outcomes []outcome.Outcome, err error) {
	st, err := stage.Start(ctx, run, p.Proxy)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return s.Run(ctx, st, pick)
}
