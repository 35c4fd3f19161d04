package health

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fly-pops/pop/counts"
)

func TestPortsAreInHealthAndMetrics(t *testing.T) {
	h := popWith(t, fine)
	h.manifest.TCPPorts = []int{22}
	h.counter = counts.NewCounter(h.run, counts.Config{Ports: h.manifest.TCPPorts, PassThrough: h.manifest.PassThrough})
	if err := os.Mkdir(filepath.Join(h.run, "counts"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, h, "counts/ports", "22 200 500 300 2.5\n22 503 0 0 0.000\nno connection\n")
	_, seen := get(t, h, "GET", "/healthz")
	if ssh := seen.Ports["22"]; ssh.Connections["served"] != 1 || ssh.Connections["limited"] != 1 || ssh.SentBytes != 500 || ssh.ReceivedBytes != 300 {
		t.Errorf("%+v", seen.Ports)
	}
	wants(t, scrape(t, h),
		`pop_port_connections_total{port="22",result="served"} 1`, `pop_port_connections_total{port="22",result="limited"} 1`,
		`pop_port_connections_total{port="22",result="blocked"} 0`, `pop_port_connections_total{port="22",result="failed"} 0`,
		`pop_port_sent_bytes_total{port="22"} 500`, `pop_port_received_bytes_total{port="22"} 300`, `pop_port_connection_seconds_total{port="22"} 2.5`,
		"pop_access_log_parse_errors_total 1")
}

func TestSitesWhoseTLSEndsAtHomeAreInHealthAndMetrics(t *testing.T) {
	h := popWith(t, fine)
	h.manifest.PassThrough = []string{"cloud.example.org", "git.example.org"}
	h.counter = counts.NewCounter(h.run, counts.Config{Ports: h.manifest.TCPPorts, PassThrough: h.manifest.PassThrough})
	if err := os.Mkdir(filepath.Join(h.run, "counts"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, h, "counts/ports", "git.example.org 200 500 300 2.5\ngit.example.org 403 0 0 0.000\nother.example.org 200 1 1 1\n")
	_, seen := get(t, h, "GET", "/healthz")
	if git := seen.PassThrough["git.example.org"]; git.Connections["served"] != 1 || git.Connections["blocked"] != 1 || git.SentBytes != 500 {
		t.Errorf("%+v", seen.PassThrough)
	}
	if cloud, there := seen.PassThrough["cloud.example.org"]; !there || cloud.Connections["served"] != 0 || seen.Ports != nil {
		t.Errorf("%+v %+v", seen.PassThrough, seen.Ports)
	}
	wants(t, scrape(t, h),
		`pop_pass_through_connections_total{site="git.example.org",result="served"} 1`, `pop_pass_through_connections_total{site="cloud.example.org",result="failed"} 0`,
		`pop_pass_through_sent_bytes_total{site="git.example.org"} 500`, `pop_pass_through_received_bytes_total{site="git.example.org"} 300`,
		`pop_pass_through_connection_seconds_total{site="git.example.org"} 2.5`, "pop_access_log_parse_errors_total 1")
}

func TestWithoutPortsTheyAreAbsent(t *testing.T) {
	h := popWith(t, fine)
	if _, seen := get(t, h, "GET", "/healthz"); seen.Ports != nil || seen.PassThrough != nil {
		t.Errorf("%+v", seen)
	}
	if text := scrape(t, h); strings.Contains(text, "pop_port") || strings.Contains(text, "pop_pass_through") {
		t.Error(text)
	}
}
