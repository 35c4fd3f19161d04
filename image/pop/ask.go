package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// probeName is answered from unbound's own local data, so an outage of the servers it asks shows nowhere here.
const probeName = "probe.pop.invalid."

func askUnbound(ctx context.Context, port int) error {
	_, err := unboundResolver(port).LookupNetIP(ctx, "ip4", probeName)
	return err
}

// loopback: one connection a question, so that a restarted nginx is never asked over a dead one.
var loopback = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}

func askNginx(ctx context.Context, port int) error {
	_, err := getNginx(ctx, port, "/healthz")
	return err
}

// getNginx is the text of a page of its private server.
func getNginx(ctx context.Context, port int, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		return "", err
	}
	answer, err := loopback.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("nginx answered %d", answer.StatusCode)
	}
	return string(text), nil
}

type stubStatus struct{ active, accepted, handled, requests, reading, writing, waiting float64 }

func askStubStatus(ctx context.Context, port int) (stubStatus, error) {
	text, err := getNginx(ctx, port, "/status")
	if err != nil {
		return stubStatus{}, err
	}
	var status stubStatus
	_, err = fmt.Sscanf(strings.Join(strings.Fields(text), " "),
		"Active connections: %g server accepts handled requests %g %g %g Reading: %g Writing: %g Waiting: %g",
		&status.active, &status.accepted, &status.handled, &status.requests, &status.reading, &status.writing, &status.waiting)
	return status, err
}

// askHealth writes what `pop health` answers on a path, good or bad: who asks from outside the PoP has no way to its port.
func askHealth(ctx context.Context, port int, path string, out io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		return err
	}
	answer, err := loopback.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(out, io.LimitReader(answer.Body, 1<<20))
	return err
}
