package carry

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// tellable says whether what executing a statement does can be said to another process: it names no statement of this one.
func tellable(fx *statement.Effects) bool { return fx == nil || len(fx.Uses) == 0 }

// untold is what executing a statement does where its text does not say that: another one was put in its place.
func untold(fx *statement.Effects) *heliosv1.CarriedEffects {
	if fx == nil || len(fx.Steps) == 0 {
		return nil
	}
	return packEffects(fx)
}

func packEffects(fx *statement.Effects) *heliosv1.CarriedEffects {
	c := &heliosv1.CarriedEffects{Sets: fx.Sets, SetsAll: fx.SetsAll, Suspect: fx.Suspect, Leaves: uint32(fx.Leaves)}
	for _, s := range fx.Steps {
		c.Steps = append(c.Steps, &heliosv1.CarriedStep{Ordinal: int32(s.Ordinal), Tag: s.Tag, Does: uint32(s.Do), Name: s.Name})
	}
	return c
}

func unpackEffects(c *heliosv1.CarriedEffects) *statement.Effects {
	fx := &statement.Effects{Sets: c.GetSets(), SetsAll: c.GetSetsAll(), Suspect: c.GetSuspect(), Leaves: pin.Set(c.GetLeaves()) & pin.Every}
	for _, s := range c.GetSteps() {
		fx.Steps = append(fx.Steps, statement.Step{Ordinal: int(s.GetOrdinal()), Tag: s.GetTag(), Do: statement.Action(s.GetDoes()), Name: s.GetName()})
	}
	return fx
}
