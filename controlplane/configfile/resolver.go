package configfile

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func resolverKeys() []key {
	return []key{
		{
			name: "proxy.resolv_conf",
			doc:  "The file that names the name servers for [nodes whose hosts are names](names.md), in the form of `resolv.conf`; `/etc/resolv.conf` unless set. `/etc/hosts` goes before them. A relative path is one beside this file.",
		},
		{
			name: "proxy.dns_max_ttl_secs", kind: integer, max: year, def: int64(15),
			doc: "Seconds that the addresses of a name are kept at most, if the answer does not say a shorter time itself. Then the name is looked up again, as it is when a node is not reached. Less than a second counts as one.",
		},
		{
			name: "proxy.dns_nxdomain_ttl_secs", kind: integer, max: year, def: int64(15),
			doc: "Seconds that it is kept that there is no such host.",
		},
		{
			name: "proxy.dns_zone_check_period_secs", kind: integer, max: year, def: int64(0),
			doc: "Seconds after which it is looked again whether [the serial number of a zone](names.md#zones) has changed: then all names of that zone are looked up again at once, however long what is known of them would still count. 0 never looks.",
		},
	}
}

func (r *reader) buildResolver() {
	s := r.settings
	r.set.Resolvers = map[string]*heliosv1.Resolver{resource.ResolverName: {
		Name:       resource.ResolverName,
		ResolvConf: r.path(s.text("proxy.resolv_conf")),
		MaxTtl:     durationpb.New(seconds(s.int("proxy.dns_max_ttl_secs"))),
		NoneTtl:    durationpb.New(seconds(s.int("proxy.dns_nxdomain_ttl_secs"))),

		ZoneCheckPeriod: durationpb.New(seconds(s.int("proxy.dns_zone_check_period_secs"))),
	}}
	r.from(resource.KindResolver, resource.ResolverName, s, "proxy.", map[string]string{
		"resolv_conf": "resolv_conf", "max_ttl": "dns_max_ttl_secs", "none_ttl": "dns_nxdomain_ttl_secs",
		"zone_check_period": "dns_zone_check_period_secs",
	})
}
