package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// probeName is answered from unbound's own local data, so an outage of the servers it asks shows nowhere here.
const probeName = "probe.pop.invalid."

func askUnbound(port int, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
		},
	}
	_, err := resolver.LookupNetIP(ctx, "ip4", probeName)
	return err
}

// loopback: one connection a question, so that a restarted nginx is never asked over a dead one.
var loopback = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}

func askNginx(port int, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/healthz", port), nil)
	if err != nil {
		return err
	}
	answer, err := loopback.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 4096)); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("nginx answered %d", answer.StatusCode)
	}
	return nil
}
