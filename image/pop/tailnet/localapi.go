// Package tailnet checks this PoP's node of the tailnet through tailscaled's LocalAPI, reports its problems, and makes the PoP a node again if it no longer is
// one.
package tailnet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Socket of tailscaled. Every user that can open it can read; only root can change anything.
const Socket = "/run/tailscale/tailscaled.sock"

// maxResponseSize of tailscaled's responses. The status of this node without peers has some 2 KB.
const maxResponseSize = 1 << 20

// Status has the fields used of https://pkg.go.dev/tailscale.com/ipn/ipnstate#Status.
type Status struct {
	// NoState, NeedsLogin, NeedsMachineAuth, Stopped, Starting, Running.
	BackendState string
	HaveNodeKey  bool
	// Warnings, as sentences.
	Health         []string
	Self           *Self
	CurrentTailnet *CurrentTailnet
}

type Self struct {
	// "nodekey:..."
	PublicKey string
	DNSName   string
	// With the prefix "tag:".
	Tags []string
	// Connected to the control server.
	Online    bool
	KeyExpiry *time.Time
}

type CurrentTailnet struct {
	MagicDNSSuffix  string
	MagicDNSEnabled bool
}

// Pong has the fields used of https://pkg.go.dev/tailscale.com/ipn/ipnstate#PingResult.
type Pong struct {
	// The node that handles the address, such as a subnet router.
	NodeName       string
	Err            string
	LatencySeconds float64
	// Address and port, if the response came directly.
	Endpoint string
	// Address, port and number, if it came through a peer relay.
	PeerRelay string
	// Region of the relay (DERP) otherwise.
	DERPRegionCode string
}

// LocalAPI is the API of tailscaled at a socket.
type LocalAPI struct{ http *http.Client }

func NewLocalAPI(socket string) *LocalAPI {
	return &LocalAPI{&http.Client{Transport: &http.Transport{
		// One connection per call, so that a restart of tailscaled leaves no dead one.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// Status of this node, without its peers: there may be thousands of them.
func (l *LocalAPI) Status(ctx context.Context) (*Status, error) {
	status := &Status{}
	return status, l.call(ctx, http.MethodGet, "status?peers=false", status)
}

// Ping pings the tailscaled of the node that handles an address, and returns the path of the response. It reads and writes nothing of the
// node, and needs no rule in the tailnet's policy but one that makes the node visible.
func (l *LocalAPI) Ping(ctx context.Context, address netip.Addr) (*Pong, error) {
	pong := &Pong{}
	return pong, l.call(ctx, http.MethodPost, "ping?type=disco&ip="+address.String(), pong)
}

// Traffic of all peers since tailscaled started.
type Traffic struct {
	// "in" or "out"
	Direction string
	// "direct_ipv4", "direct_ipv6", "derp", "peer_relay_ipv4", "peer_relay_ipv6"
	Path  string
	Bytes float64
}

// Traffic by path, https://tailscale.com/kb/1482/client-metrics
func (l *LocalAPI) Traffic(ctx context.Context) ([]Traffic, error) {
	var text []byte
	if err := l.read(ctx, http.MethodGet, "usermetrics", func(body io.Reader) (err error) {
		text, err = io.ReadAll(body)
		return err
	}); err != nil {
		return nil, err
	}
	return parseTraffic(string(text)), nil
}

func parseTraffic(text string) []Traffic {
	found := []Traffic{}
	for line := range strings.Lines(text) {
		for direction, name := range map[string]string{"in": "tailscaled_inbound_bytes_total", "out": "tailscaled_outbound_bytes_total"} {
			rest, ok := strings.CutPrefix(line, name+`{path="`)
			if !ok {
				continue
			}
			path, value, _ := strings.Cut(rest, `"} `)
			if bytes, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				found = append(found, Traffic{Direction: direction, Path: path, Bytes: bytes})
			}
		}
	}
	return found
}

func (l *LocalAPI) call(ctx context.Context, method, path string, response any) error {
	return l.read(ctx, method, path, func(body io.Reader) error {
		if err := json.NewDecoder(body).Decode(response); err != nil {
			return fmt.Errorf("tailscaled's response: %w", err)
		}
		return nil
	})
}

func (l *LocalAPI) read(ctx context.Context, method, path string, take func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://local-tailscaled.sock/localapi/v0/"+path, nil)
	if err != nil {
		return err
	}
	response, err := l.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("tailscaled responded with %d", response.StatusCode)
	}
	return take(io.LimitReader(response.Body, maxResponseSize))
}
