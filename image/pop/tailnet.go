package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
)

const tailscaledSocket = "/run/tailscale/tailscaled.sock"

// tailnet asks tailscaled by its LocalAPI; no part when there is no socket, for then the PoP has no tailnet (or, said by "expects", should have).
// https://pkg.go.dev/tailscale.com/ipn/ipnstate#Status
func (h *health) tailnet(ctx context.Context) answer {
	if _, err := os.Stat(h.tailscaled); errors.Is(err, fs.ErrNotExist) {
		return isIfAny("tailnet", nil)
	}
	return is("tailnet", h.asked(degraded, askTailscaled(ctx, h.tailscaled)))
}

func askTailscaled(ctx context.Context, socket string) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://local-tailscaled.sock/localapi/v0/status?peers=false", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("tailscaled answered %d", answer.StatusCode)
	}
	var status struct {
		BackendState string
		Health       []string
		Self         *struct{ Online bool }
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&status); err != nil {
		return fmt.Errorf("tailscaled's status: %w", err)
	}
	reasons := strings.Join(status.Health, "; ")
	switch {
	case status.BackendState != "Running":
		return fmt.Errorf("tailscaled is in state %q: %s", status.BackendState, reasons)
	case status.Self == nil || !status.Self.Online:
		return fmt.Errorf("no contact with the tailnet's control server: %s", reasons)
	default:
		return nil
	}
}
