package counts

import (
	"bytes"
	"strconv"

	"fly-pops/pop/metrics"
)

// Results of connections. served: passed on, no matter which side ended it; limited: beyond a limit; blocked: by an operator, or not allowed by `access`;
// failed: the target did not answer.
var connectionResults = []string{"served", "limited", "blocked", "failed"}

// By nginx's status of a connection: https://nginx.org/en/docs/stream/ngx_stream_core_module.html#var_status. All others are failures.
var resultOfStatus = map[string]string{"200": "served", "503": "limited", "403": "blocked"}

// targetCounts are the connections of a port or a site, counted when they have ended.
type targetCounts struct {
	results        map[string]uint64
	sent, received uint64
	seconds        float64
}

// countsByTarget has ports by number, or sites by host.
type countsByTarget map[string]*targetCounts

// connectionCounts are connections of ports of raw TCP, and of sites whose TLS ends at home.
type connectionCounts struct{ ports, sites countsByTarget }

func newConnectionCounts(ports []int, hosts []string) connectionCounts {
	c := connectionCounts{countsByTarget{}, countsByTarget{}}
	for _, port := range ports {
		c.ports[strconv.Itoa(port)] = &targetCounts{results: map[string]uint64{}}
	}
	for _, host := range hosts {
		c.sites[host] = &targetCounts{results: map[string]uint64{}}
	}
	return c
}

// add counts a line without its newline, and returns false if it cannot be parsed.
func (c connectionCounts) add(line []byte) bool { return c.ports.add(line) || c.sites.add(line) }

// add parses "target status sent received seconds". image/render/nginx-stream.ts writes the format.
func (c countsByTarget) add(line []byte) bool {
	fields := bytes.Fields(line)
	if len(fields) != 5 || len(fields[1]) != 3 {
		return false
	}
	target, known := c[string(fields[0])]
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
	target.results[result]++
	target.sent += sent
	target.received += received
	target.seconds += seconds
	return true
}

// ConnectionTraffic is what /healthz reports of a port or a site, since this process started.
type ConnectionTraffic struct {
	// Connections that have ended, by result.
	Connections   map[string]uint64 `json:"connections"`
	SentBytes     uint64            `json:"sentBytes"`
	ReceivedBytes uint64            `json:"receivedBytes"`
}

func (c countsByTarget) traffic() map[string]ConnectionTraffic {
	all := map[string]ConnectionTraffic{}
	for name, target := range c {
		connections := map[string]uint64{}
		for _, result := range connectionResults {
			connections[result] = target.results[result]
		}
		all[name] = ConnectionTraffic{Connections: connections, SentBytes: target.sent, ReceivedBytes: target.received}
	}
	return all
}

func (c connectionCounts) families() []metrics.Family {
	return append(c.ports.families("pop_port", "port", "a port"), c.sites.families("pop_pass_through", "site", "a site whose TLS ends at home")...)
}

// families have names that begin with a prefix, and a label for the port or site. `what` describes it in the help text.
func (c countsByTarget) families(prefix, label, what string) []metrics.Family {
	connections := metrics.Counter(prefix+"_connections_total", "Connections to "+what+" that have ended, by result.")
	sent := metrics.Counter(prefix+"_sent_bytes_total", "Bytes sent to visitors of "+what+".")
	received := metrics.Counter(prefix+"_received_bytes_total", "Bytes received from visitors of "+what+".")
	seconds := metrics.Counter(prefix+"_connection_seconds_total", "Seconds that ended connections to "+what+" were open.")
	for _, name := range sortedKeys(c) {
		target := c[name]
		for _, result := range connectionResults {
			connections.Add(float64(target.results[result]), label, name, "result", result)
		}
		sent.Add(float64(target.sent), label, name)
		received.Add(float64(target.received), label, name)
		seconds.Add(target.seconds, label, name)
	}
	return []metrics.Family{connections, sent, received, seconds}
}
