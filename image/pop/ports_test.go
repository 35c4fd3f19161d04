package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCountsConnectionsByPortAndResult(t *testing.T) {
	all := newTCPCounts([]int{22, 25}, nil)
	for _, line := range []string{"22 200 500 300 2.5", "22 200 5 3 0.5", "22 503 0 0 0.000", "22 403 0 0 0.000", "25 502 0 0 3.001", "25 500 0 0 0.000"} {
		if !all.add([]byte(line)) {
			t.Errorf("%q is refused", line)
		}
	}
	ssh, mail := all.ports["22"], all.ports["25"]
	if ssh.sent != 505 || ssh.received != 303 || ssh.seconds != 3 || ssh.results["served"] != 2 || ssh.results["limited"] != 1 || ssh.results["blocked"] != 1 {
		t.Errorf("%+v", ssh)
	}
	if mail.results["failed"] != 2 || mail.results["served"] != 0 {
		t.Errorf("%+v", mail)
	}
}

func TestRefusesLinesThatAreNoConnection(t *testing.T) {
	all := newTCPCounts([]int{22}, []string{"git.example.org"})
	for _, line := range []string{"", "22 200 1 1", "22 200 1 1 1 1", "23 200 1 1 1", "22 20 1 1 1", "22 200 x 1 1", "22 200 1 -1 1", "22 200 1 1 -1", "22 200 1 1 x", "www.example.org 200 1 1 1", "443 200 1 1 1"} {
		if all.add([]byte(line)) {
			t.Errorf("%q is counted", line)
		}
	}
	if ssh := all.ports["22"]; ssh.sent != 0 || len(ssh.results) != 0 {
		t.Errorf("%+v", ssh)
	}
}

func TestPortsAreInHealthAndMetrics(t *testing.T) {
	it := popWith(t, fine)
	it.manifest.TCPPorts = []int{22}
	it.tally = newTally(it.run, it.manifest)
	if err := os.Mkdir(filepath.Join(it.run, "counts"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, it, "counts/ports", "22 200 500 300 2.5\n22 503 0 0 0.000\nno connection\n")
	_, seen := get(t, it, "GET", "/healthz")
	if ssh := seen.Ports["22"]; ssh.Connections["served"] != 1 || ssh.Connections["limited"] != 1 || ssh.SentBytes != 500 || ssh.ReceivedBytes != 300 {
		t.Errorf("%+v", seen.Ports)
	}
	wants(t, scrape(t, it),
		`pop_port_connections_total{port="22",result="served"} 1`, `pop_port_connections_total{port="22",result="limited"} 1`,
		`pop_port_connections_total{port="22",result="blocked"} 0`, `pop_port_connections_total{port="22",result="failed"} 0`,
		`pop_port_sent_bytes_total{port="22"} 500`, `pop_port_received_bytes_total{port="22"} 300`, `pop_port_connection_seconds_total{port="22"} 2.5`,
		"pop_access_log_parse_errors_total 1")
}

func TestSitesWhoseTLSEndsAtHomeAreInHealthAndMetrics(t *testing.T) {
	it := popWith(t, fine)
	it.manifest.PassThrough = []string{"cloud.example.org", "git.example.org"}
	it.tally = newTally(it.run, it.manifest)
	if err := os.Mkdir(filepath.Join(it.run, "counts"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, it, "counts/ports", "git.example.org 200 500 300 2.5\ngit.example.org 403 0 0 0.000\nother.example.org 200 1 1 1\n")
	_, seen := get(t, it, "GET", "/healthz")
	if git := seen.PassThrough["git.example.org"]; git.Connections["served"] != 1 || git.Connections["blocked"] != 1 || git.SentBytes != 500 {
		t.Errorf("%+v", seen.PassThrough)
	}
	if cloud, there := seen.PassThrough["cloud.example.org"]; !there || cloud.Connections["served"] != 0 || seen.Ports != nil {
		t.Errorf("%+v %+v", seen.PassThrough, seen.Ports)
	}
	wants(t, scrape(t, it),
		`pop_pass_through_connections_total{site="git.example.org",result="served"} 1`, `pop_pass_through_connections_total{site="cloud.example.org",result="failed"} 0`,
		`pop_pass_through_sent_bytes_total{site="git.example.org"} 500`, `pop_pass_through_received_bytes_total{site="git.example.org"} 300`,
		`pop_pass_through_connection_seconds_total{site="git.example.org"} 2.5`, "pop_access_log_parse_errors_total 1")
}

func TestWithoutPortsThereIsNoWordOfThem(t *testing.T) {
	it := popWith(t, fine)
	if _, seen := get(t, it, "GET", "/healthz"); seen.Ports != nil || seen.PassThrough != nil {
		t.Errorf("%+v", seen)
	}
	if text := scrape(t, it); strings.Contains(text, "pop_port") || strings.Contains(text, "pop_pass_through") {
		t.Error(text)
	}
}
