package tailnet

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Recorded of tailscaled 1.102.3.
const (
	directPong  = `{"IP":"100.64.0.1","NodeIP":"100.64.0.1","NodeName":"home","Err":"","LatencySeconds":0.000621,"Endpoint":"172.18.0.3:41641","PeerRelay":"","DERPRegionID":0,"DERPRegionCode":""}`
	relayedPong = `{"IP":"100.64.0.1","NodeIP":"100.64.0.1","NodeName":"home","Err":"","LatencySeconds":0.084,"Endpoint":"","PeerRelay":"","DERPRegionID":999,"DERPRegionCode":"home"}`
	peerPong    = `{"IP":"100.64.0.1","NodeIP":"100.64.0.1","NodeName":"home","Err":"","LatencySeconds":0.02,"Endpoint":"","PeerRelay":"192.0.2.7:40000:vni:3","DERPRegionID":0,"DERPRegionCode":""}`
	noPeer      = `{"IP":"192.168.5.5","NodeIP":"","NodeName":"","Err":"no matching peer","LatencySeconds":0,"Endpoint":"","PeerRelay":"","DERPRegionID":0,"DERPRegionCode":""}`
)

func pong(t *testing.T, text string) *Pong {
	t.Helper()
	found := &Pong{}
	if err := json.Unmarshal([]byte(text), found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestPaths(t *testing.T) {
	const web = "https://web.tail.internal:8443"
	at := func(address string) func(string) ([]netip.Addr, error) {
		return func(string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("fd7a:115c:a1e0::9"), netip.MustParseAddr(address)}, nil
		}
	}
	fails := func(err error) func(string) ([]netip.Addr, error) {
		return func(string) ([]netip.Addr, error) { return nil, err }
	}
	home := at("100.64.0.1")
	for name, test := range map[string]struct {
		origin string
		routes bool
		lookup func(string) ([]netip.Addr, error)
		pongs  []string
		path   *Path
	}{
		"direct":              {web, false, home, []string{directPong}, &Path{Origin: web, Node: "home", Via: Direct, LatencySeconds: 0.000621}},
		"direct at last":      {web, false, home, []string{relayedPong, relayedPong, directPong}, &Path{Origin: web, Node: "home", Via: Direct, LatencySeconds: 0.000621}},
		"relayed":             {web, false, home, []string{relayedPong}, &Path{Origin: web, Node: "home", Via: Relay, Relay: "home", LatencySeconds: 0.084}},
		"relayed by a node":   {web, false, home, []string{peerPong}, &Path{Origin: web, Node: "home", Via: Peer, LatencySeconds: 0.02}},
		"one answer of three": {web, false, home, []string{"", relayedPong, ""}, &Path{Origin: web, Node: "home", Via: Relay, Relay: "home", LatencySeconds: 0.084}},
		"no answer":           {web, false, home, []string{""}, &Path{Origin: web, Problem: "no answer from 100.64.0.1 over the tailnet: 3 pings"}},
		"by address":          {"http://100.64.0.1:8080", false, nil, []string{directPong}, &Path{Origin: "http://100.64.0.1:8080", Node: "home", Via: Direct, LatencySeconds: 0.000621}},
		"a name of no node (SERVFAIL)": {web, false, fails(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), nil,
			&Path{Origin: web, Problem: "the tailnet has no node web.tail.internal, or its policy hides it from this one"}},
		"a name of no node (NXDOMAIN)": {web, false, fails(&net.DNSError{Err: "no such host", IsNotFound: true}), nil,
			&Path{Origin: web, Problem: "the tailnet has no node web.tail.internal, or its policy hides it from this one"}},
		"MagicDNS is silent": {web, false, fails(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), nil,
			&Path{Origin: web, Problem: "MagicDNS did not answer for web.tail.internal in time"}},
		"an address of no node": {"http://100.64.0.77", false, nil, []string{noPeer},
			&Path{Origin: "http://100.64.0.77", Problem: "the tailnet has no node with 100.64.0.77 that this one may see; for a Tailscale Service set tailnet.acceptRoutes: true"}},
		"an address of no node, routes accepted": {"http://100.64.0.77", true, nil, []string{noPeer},
			&Path{Origin: "http://100.64.0.77", Problem: "the tailnet has no node or Service with 100.64.0.77 that this one may see"}},
		"behind a router, routes not accepted": {"http://192.168.5.5:8080", false, nil, []string{noPeer},
			&Path{Origin: "http://192.168.5.5:8080", Problem: "192.168.5.5 is a private address, and routes of the tailnet are not accepted: set tailnet.acceptRoutes: true"}},
		"behind a router that offers no route": {"http://nas.lan", true, at("192.168.5.5"), []string{noPeer},
			&Path{Origin: "http://nas.lan", Problem: "no subnet router of the tailnet offers a way to 192.168.5.5: advertise the route there, and approve it at the control server"}},
		"behind a router": {"http://192.168.5.5:8080", true, nil, []string{directPong},
			&Path{Origin: "http://192.168.5.5:8080", Node: "home", Via: Direct, LatencySeconds: 0.000621}},
		"public":           {"https://www.example.org", false, at("192.0.2.1"), nil, nil},
		"public, and away": {"https://www.example.org", false, fails(errors.New("away")), nil, nil},
		"in Fly's own network": {"http://172.19.0.2", true, nil, nil,
			&Path{Origin: "http://172.19.0.2", Problem: "172.19.0.2 is in 172.16.0.0/12, Fly's own network in each machine: give the origin another address"}},
		"of Fly's private network": {"http://[fdaa:0:1::3]:80", true, nil, nil, nil},
		"a name that only ends so": {"https://eviltail.internal", false, fails(errors.New("away")), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				wanted := wanted()
				wanted.AcceptRoutes = test.routes
				prober := Prober{
					Wanted: wanted, Origins: []string{test.origin},
					Lookup: func(_ context.Context, host string) ([]netip.Addr, error) { return test.lookup(host) },
					Ping: func(ctx context.Context, address netip.Addr) (*Pong, error) {
						text := test.pongs[min(asked, len(test.pongs)-1)]
						asked++
						if text == "" {
							<-ctx.Done()
							return nil, ctx.Err()
						}
						return pong(t, text), nil
					},
				}
				found := prober.Probe(t.Context())
				switch {
				case test.path == nil && len(found) != 0:
					t.Errorf("found %+v, expected none", found)
				case test.path != nil && (len(found) != 1 || found[0] != *test.path):
					t.Errorf("found %+v, expected %+v", found, *test.path)
				}
			})
		})
	}
}

func TestManyOriginsAreProbedFourAtOnceAndKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		origins := []string{}
		for at := range 12 {
			origins = append(origins, "http://"+netip.AddrFrom4([4]byte{100, 64, 0, byte(at)}).String())
		}
		running, most := make(chan struct{}, 100), 0
		prober := Prober{Wanted: wanted(), Origins: origins, Ping: func(context.Context, netip.Addr) (*Pong, error) {
			running <- struct{}{}
			most = max(most, len(running))
			time.Sleep(time.Second)
			<-running
			return pong(t, directPong), nil
		}}
		began := time.Now()
		found := prober.Probe(t.Context())
		if most != atOnce || time.Since(began) != 3*time.Second {
			t.Errorf("%d at once, %s", most, time.Since(began))
		}
		for at, path := range found {
			if path.Origin != origins[at] {
				t.Errorf("%d is %s", at, path.Origin)
			}
		}
	})
}
