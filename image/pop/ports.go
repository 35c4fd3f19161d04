package main

// Connections of the ports of raw TCP, counted as requests are (counts.go). A line is "port status sent received seconds", image/render/nginx-stream.ts
// writes the format. A connection is counted when it has ended.

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

type portCounts struct {
	results        map[string]uint64
	sent, received uint64
	seconds        float64
}

// allPorts are counts by public port.
type allPorts map[string]*portCounts

func newPorts(ports []int) allPorts {
	all := allPorts{}
	for _, port := range ports {
		all[strconv.Itoa(port)] = &portCounts{results: map[string]uint64{}}
	}
	return all
}

// add counts one line, without its end, and returns false if it is none.
func (p allPorts) add(line []byte) bool {
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

// portTraffic is what /healthz says of a port, since this process started.
type portTraffic struct {
	// Connections that have ended, by what became of them.
	Connections   map[string]uint64 `json:"connections"`
	SentBytes     uint64            `json:"sentBytes"`
	ReceivedBytes uint64            `json:"receivedBytes"`
}

func (p allPorts) traffic() map[string]portTraffic {
	all := map[string]portTraffic{}
	for name, port := range p {
		connections := map[string]uint64{}
		for _, result := range portResults {
			connections[result] = port.results[result]
		}
		all[name] = portTraffic{Connections: connections, SentBytes: port.sent, ReceivedBytes: port.received}
	}
	return all
}

func (p allPorts) metrics() []metric {
	connections := metric{"pop_port_connections_total", "counter", "Connections to a port that have ended, by what became of them.", nil}
	sent := metric{"pop_port_sent_bytes_total", "counter", "Bytes sent to visitors of a port.", nil}
	received := metric{"pop_port_received_bytes_total", "counter", "Bytes received from visitors of a port.", nil}
	seconds := metric{"pop_port_connection_seconds_total", "counter", "Seconds that connections to a port were open, of those that have ended.", nil}
	for _, name := range sorted(p) {
		port := p[name]
		for _, result := range portResults {
			connections.samples = append(connections.samples, one(float64(port.results[result]), "port", name, "result", result))
		}
		sent.samples = append(sent.samples, one(float64(port.sent), "port", name))
		received.samples = append(received.samples, one(float64(port.received), "port", name))
		seconds.samples = append(seconds.samples, one(port.seconds, "port", name))
	}
	return []metric{connections, sent, received, seconds}
}

func portCountsFile(run string) string { return filepath.Join(run, "counts", "ports") }
