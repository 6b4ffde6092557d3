package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heliosproxy/heliosproxy/pkg/program"
)

// programDescs are the metrics of the programs that are asked for passwords, and of those that judge log-ins.
type programDescs struct {
	commands, commandFailures, commandSeconds           *prometheus.Desc
	programs, refusals, programFailures, programSeconds *prometheus.Desc
}

func newProgramDescs(desc func(name, help string, labels ...string) *prometheus.Desc) programDescs {
	return programDescs{
		commands:        desc("password_command_runs_total", "Commands that were run for the passwords of servers."),
		commandFailures: desc("password_command_failures_total", "Commands for the passwords of servers that failed, or printed none."),
		commandSeconds:  desc("password_command_seconds", "Time that commands for the passwords of servers ran."),
		programs:        desc("login_program_runs_total", "Programs that were run to judge log-ins."),
		refusals:        desc("login_program_refusals_total", "Programs that have judged against a log-in."),
		programFailures: desc("login_program_failures_total", "Programs that were run to judge log-ins and did not."),
		programSeconds:  desc("login_program_seconds", "Time that programs that judge log-ins ran."),
	}
}

func (d programDescs) describe(to chan<- *prometheus.Desc) {
	for _, x := range []*prometheus.Desc{
		d.commands, d.commandFailures, d.commandSeconds, d.programs, d.refusals, d.programFailures, d.programSeconds,
	} {
		to <- x
	}
}

func (d programDescs) collect(commands, programs *program.Counts, to chan<- prometheus.Metric) {
	counter := func(x *prometheus.Desc, n uint64) {
		to <- prometheus.MustNewConstMetric(x, prometheus.CounterValue, float64(n))
	}
	counter(d.commands, commands.Runs)
	counter(d.commandFailures, commands.Failures)
	to <- histogram(d.commandSeconds, program.Bounds[:], commands.Within[:], commands.Seconds)
	counter(d.programs, programs.Runs)
	counter(d.refusals, programs.Refusals)
	counter(d.programFailures, programs.Failures)
	to <- histogram(d.programSeconds, program.Bounds[:], programs.Within[:], programs.Seconds)
}
