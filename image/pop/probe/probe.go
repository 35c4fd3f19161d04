// Package probe asks the PoP's own processes over loopback: nginx, unbound and `pop health`.
package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"fly-pops/pop/internal/resolve"
)

// unboundName is in unbound's local data, so that an outage of other name servers does not matter.
const unboundName = "probe.pop.invalid."

// client opens a connection per request, so that a restarted process is not asked over a dead one.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}

// Unbound returns an error if unbound does not answer.
func Unbound(ctx context.Context, port int) error {
	_, err := resolve.ByUnbound(port).LookupNetIP(ctx, "ip4", unboundName)
	return err
}

// Nginx returns an error if nginx does not answer on its private port.
func Nginx(ctx context.Context, port int) error {
	_, err := getNginx(ctx, port, "/healthz")
	return err
}

// StubStatus is what nginx reports about its connections: https://nginx.org/en/docs/http/ngx_http_stub_status_module.html
type StubStatus struct{ Active, Accepted, Handled, Requests, Reading, Writing, Waiting float64 }

// NginxStatus reads nginx's stub_status on its private port.
func NginxStatus(ctx context.Context, port int) (StubStatus, error) {
	text, err := getNginx(ctx, port, "/status")
	if err != nil {
		return StubStatus{}, err
	}
	return parseStubStatus(text)
}

// stubStatusFormat has a # for each number.
var stubStatusFormat = strings.Fields("Active connections: # server accepts handled requests # # # Reading: # Writing: # Waiting: #")

// parseStubStatus does without fmt.Sscanf, which would add 20 KB to the program.
func parseStubStatus(text string) (StubStatus, error) {
	fields := strings.Fields(text)
	invalid := fmt.Errorf("nginx's status has another format: %.100q", text)
	if len(fields) != len(stubStatusFormat) {
		return StubStatus{}, invalid
	}
	var numbers []float64
	for i, field := range fields {
		if stubStatusFormat[i] != "#" {
			if field != stubStatusFormat[i] {
				return StubStatus{}, invalid
			}
			continue
		}
		number, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return StubStatus{}, invalid
		}
		numbers = append(numbers, number)
	}
	return StubStatus{
		Active: numbers[0], Accepted: numbers[1], Handled: numbers[2], Requests: numbers[3], Reading: numbers[4], Writing: numbers[5], Waiting: numbers[6],
	}, nil
}

// getNginx returns a page of nginx's private server.
func getNginx(ctx context.Context, port int, path string) (string, error) {
	response, err := get(ctx, port, path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("nginx answered %d", response.StatusCode)
	}
	return string(text), nil
}

// Health copies a response of `pop health` to w, whatever its status, for clients that cannot reach its port.
func Health(ctx context.Context, port int, path string, w io.Writer) error {
	response, err := get(ctx, port, path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(w, io.LimitReader(response.Body, 1<<20))
	return err
}

func get(ctx context.Context, port int, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		return nil, err
	}
	return client.Do(request)
}
