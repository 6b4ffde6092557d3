package resource

import (
	"path/filepath"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// ResolverName is the name of the one Resolver.
const ResolverName = "default"

func (c *checker) resolver(x *heliosv1.Resolver) {
	if x.GetName() != ResolverName {
		c.refuse("name", "must be %q", ResolverName)
	}
	if f := x.GetResolvConf(); f != "" && !filepath.IsAbs(f) {
		c.refuse("resolv_conf", "%q is not an absolute path", f)
	}
	c.duration("max_ttl", x.GetMaxTtl(), true)
	c.duration("none_ttl", x.GetNoneTtl(), true)
	c.duration("zone_check_period", x.GetZoneCheckPeriod(), true)
}

func completeResolver(x *heliosv1.Resolver) {
	for at, unset := range map[**durationpb.Duration]time.Duration{&x.MaxTtl: 15 * time.Second, &x.NoneTtl: 15 * time.Second} {
		if *at == nil {
			*at = durationpb.New(unset)
		}
	}
}
