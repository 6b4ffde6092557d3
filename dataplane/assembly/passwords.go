package assembly

import (
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/pkg/passwords"
	"github.com/heliosproxy/heliosproxy/pkg/program"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// checkPasswords looks whether the passwords that live elsewhere can be had on this machine. What is odd, or not there yet, is logged.
func (p *Proxy) checkPasswords(snap *snapshot.Snapshot) (warnings []string, faults []*heliosv1.Fault) {
	for _, s := range snap.Sources() {
		odd, err := passwords.Check(s.Source)
		if err != nil {
			faults = append(faults, &heliosv1.Fault{Kind: string(s.Kind), Name: s.Name, Field: s.Field, Reason: err.Error()})
			continue
		}
		of := fmt.Sprintf("%s %q", s.Kind, s.Name)
		for _, w := range odd {
			p.o.Log.Warn("passwords for servers", zap.String("of", of), zap.String("warning", w))
			warnings = append(warnings, of+": "+w)
		}
	}
	return warnings, faults
}

// checkPrograms looks whether the programs that judge log-ins are on this machine.
func checkPrograms(snap *snapshot.Snapshot) (faults []*heliosv1.Fault) {
	for _, name := range slices.Sorted(maps.Keys(snap.Listeners)) {
		x := snap.Listeners[name].Program
		if x == nil {
			continue
		}
		if err := program.Check(x.Command); err != nil {
			faults = append(faults, &heliosv1.Fault{Kind: string(resource.KindListener), Name: name, Field: "program.command", Reason: err.Error()})
		}
	}
	return faults
}
