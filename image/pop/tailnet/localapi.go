// Package tailnet looks at this PoP's node of the tailnet through tailscaled's LocalAPI, names what is wrong with it, and makes the PoP a node again when it no longer is one.
package tailnet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Socket is where tailscaled answers: reading is for whoever may open the socket, changing for root alone.
const Socket = "/run/tailscale/tailscaled.sock"

// longestAnswer of tailscaled that is read. The status of this node alone has some 2 KB.
const longestAnswer = 1 << 20

// Status is what is used of https://pkg.go.dev/tailscale.com/ipn/ipnstate#Status.
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
	// With their "tag:".
	Tags []string
	// In contact with the control server.
	Online    bool
	KeyExpiry *time.Time
}

type CurrentTailnet struct {
	MagicDNSSuffix  string
	MagicDNSEnabled bool
}

// Pong is what is used of https://pkg.go.dev/tailscale.com/ipn/ipnstate#PingResult.
type Pong struct {
	// The node that answers for the address; another one's if it is a subnet router.
	NodeName       string
	Err            string
	LatencySeconds float64
	// Address and port, if the answer came directly.
	Endpoint string
	// Address, port and number, if it came through another node.
	PeerRelay string
	// Region of the relay (DERP) otherwise.
	DERPRegionCode string
}

// LocalAPI of the tailscaled at a socket.
type LocalAPI struct{ http *http.Client }

func NewLocalAPI(socket string) *LocalAPI {
	return &LocalAPI{&http.Client{Transport: &http.Transport{
		// A connection per call, so that a restarted tailscaled is never asked over a dead one.
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

// Ping asks the node that handles an address for an answer to tailscaled itself, and returns the way the answer took. It reads and writes nothing of the
// node, and needs no rule of the tailnet's policy beyond one that makes it visible.
func (l *LocalAPI) Ping(ctx context.Context, address netip.Addr) (*Pong, error) {
	pong := &Pong{}
	return pong, l.call(ctx, http.MethodPost, "ping?type=disco&ip="+address.String(), pong)
}

func (l *LocalAPI) call(ctx context.Context, method, path string, answer any) error {
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
		return fmt.Errorf("tailscaled answered %d", response.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, longestAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("tailscaled's answer: %w", err)
	}
	return nil
}
