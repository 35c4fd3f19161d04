package tailnet

import (
	"slices"
	"testing"
)

func TestTrafficByTheWayItTook(t *testing.T) {
	const text = `# TYPE tailscaled_inbound_bytes_total counter
# HELP tailscaled_inbound_bytes_total Counts the number of bytes received from other peers
tailscaled_inbound_bytes_total{path="derp"} 188
tailscaled_inbound_bytes_total{path="direct_ipv4"} 12000000
tailscaled_inbound_packets_total{path="derp"} 3
tailscaled_outbound_bytes_total{path="direct_ipv6"} half
tailscaled_outbound_bytes_total{path="derp"} 7
`
	expected := []Traffic{{"in", "derp", 188}, {"in", "direct_ipv4", 12e6}, {"out", "derp", 7}}
	if found := parseTraffic(text); !slices.Equal(found, expected) {
		t.Errorf("found %+v", found)
	}
}
