package main

// Connections of the ports of raw TCP, and of sites whose TLS ends at home, counted as requests are (counts.go). A line is "who status sent received
// seconds", who is a port or a site's host; image/render/nginx-stream.ts writes the format. A connection is counted when it has ended.

import (
	"bytes"
	"path/filepath"
	"strconv"
)

// What became of connections. served: it was passed on, whoever ended it; limited: there were too many; blocked: by an operator, or not admitted by `access`;
// failed: nobody answered where the port leads to.
var portResults = []string{"served", "limited", "blocked", "failed"}

// By nginx's status of a connection: https://nginx.org/en/docs/stream/ngx_stream_core_module.html#var_status. All others are failures.
var resultOfStatus = map[string]string{"200": "served", "503": "limited", "403": "blocked"}

type connectionCounts struct {
	results        map[string]uint64
	sent, received uint64
	seconds        float64
}

// connectionsBy are counts by who was asked.
type connectionsBy map[string]*connectionCounts

// tcpCounts are counts by public port, and by host.
type tcpCounts struct{ ports, sites connectionsBy }

func newTCPCounts(ports []int, hosts []string) tcpCounts {
	it := tcpCounts{connectionsBy{}, connectionsBy{}}
	for _, port := range ports {
		it.ports[strconv.Itoa(port)] = &connectionCounts{results: map[string]uint64{}}
	}
	for _, host := range hosts {
		it.sites[host] = &connectionCounts{results: map[string]uint64{}}
	}
	return it
}

// add counts one line, without its end, and returns false if it is none.
func (it tcpCounts) add(line []byte) bool { return it.ports.add(line) || it.sites.add(line) }

func (p connectionsBy) add(line []byte) bool {
	fields := bytes.Fields(line)
	if len(fields) != 5 || len(fields[1]) != 3 {
		return false
	}
	port, known := p[string(fields[0])]
	sent, sentErr := strconv.ParseUint(string(fields[2]), 10, 64)
	received, receivedErr := strconv.ParseUint(string(fields[3]), 10, 64)
	seconds, secondsErr := strconv.ParseFloat(string(fields[4]), 64)
	if !known || sentErr != nil || receivedErr != nil || secondsErr != nil || seconds < 0 {
		return false
	}
	result, known := resultOfStatus[string(fields[1])]
	if !known {
		result = "failed"
	}
	port.results[result]++
	port.sent += sent
	port.received += received
	port.seconds += seconds
	return true
}

// connectionTraffic is what /healthz says of a port or a site, since this process started.
type connectionTraffic struct {
	// Connections that have ended, by what became of them.
	Connections   map[string]uint64 `json:"connections"`
	SentBytes     uint64            `json:"sentBytes"`
	ReceivedBytes uint64            `json:"receivedBytes"`
}

func (p connectionsBy) traffic() map[string]connectionTraffic {
	all := map[string]connectionTraffic{}
	for name, port := range p {
		connections := map[string]uint64{}
		for _, result := range portResults {
			connections[result] = port.results[result]
		}
		all[name] = connectionTraffic{Connections: connections, SentBytes: port.sent, ReceivedBytes: port.received}
	}
	return all
}

func (it tcpCounts) metrics() []metric {
	return append(it.ports.metrics("pop_port", "port", "a port"), it.sites.metrics("pop_pass_through", "site", "a site whose TLS ends at home")...)
}

// metrics of one kind: the first part of their names, the label that tells who was asked, and what that is.
func (p connectionsBy) metrics(prefix, label, what string) []metric {
	connections := metric{prefix + "_connections_total", "counter", "Connections to " + what + " that have ended, by what became of them.", nil}
	sent := metric{prefix + "_sent_bytes_total", "counter", "Bytes sent to visitors of " + what + ".", nil}
	received := metric{prefix + "_received_bytes_total", "counter", "Bytes received from visitors of " + what + ".", nil}
	seconds := metric{prefix + "_connection_seconds_total", "counter", "Seconds that connections to " + what + " were open, of those that have ended.", nil}
	for _, name := range sorted(p) {
		port := p[name]
		for _, result := range portResults {
			connections.samples = append(connections.samples, one(float64(port.results[result]), label, name, "result", result))
		}
		sent.samples = append(sent.samples, one(float64(port.sent), label, name))
		received.samples = append(received.samples, one(float64(port.received), label, name))
		seconds.samples = append(seconds.samples, one(port.seconds, label, name))
	}
	return []metric{connections, sent, received, seconds}
}

func portCountsFile(run string) string { return filepath.Join(run, "counts", "ports") }
