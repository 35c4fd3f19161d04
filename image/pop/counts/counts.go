// Package counts counts what nginx served. nginx appends a short line per request to a file, many lines per write, and never waits for the reader. This package
// reads the new lines, and frees the space of what it has read.
package counts

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"fly-pops/pop/metrics"
)

// Values of $pop_cache_status (image/nginx): https://nginx.org/en/docs/http/ngx_http_upstream_module.html#var_upstream_cache_status. BYPASS: not cacheable.
var cacheStatuses = []string{"HIT", "MISS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED", "BYPASS"}

// Requests that the cache answered, and those that it could have answered. Their quotient is the hit rate.
var (
	cacheServed   = []string{"HIT", "STALE", "UPDATING", "REVALIDATED"}
	cacheEligible = append([]string{"MISS", "EXPIRED"}, cacheServed...)
)

// Values of $pop_rejected (image/nginx/reject.c): the limit or the block that rejected a request.
var rejectReasons = []string{"requests", "connections", "blocked"}

// Upper bounds of the histogram of request durations, in seconds.
var durationBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// otherSite counts requests for unknown hosts, so that clients cannot create labels.
const otherSite = "other"

type siteCounts struct {
	// By first digit of the status; 0 for statuses outside of 1xx to 5xx.
	statuses       [6]uint64
	cache          map[string]uint64
	rejected       map[string]uint64
	sent, received uint64
	// By bound, not cumulative; the last one is for everything above.
	durations    []uint64
	totalSeconds float64
}

type requestCounts struct {
	sites map[string]*siteCounts
	// Lines of requests and connections that could not be parsed.
	parseErrors uint64
}

func newRequestCounts(hosts []string) *requestCounts {
	c := &requestCounts{sites: map[string]*siteCounts{}}
	for _, host := range append([]string{otherSite}, hosts...) {
		c.sites[host] = &siteCounts{cache: map[string]uint64{}, rejected: map[string]uint64{}, durations: make([]uint64, len(durationBounds)+1)}
	}
	return c
}

// add counts a line without its newline: "site cache status sent received seconds rejected". image/render/nginx-common.ts writes the format.
func (c *requestCounts) add(line []byte) {
	fields := bytes.Fields(line)
	if len(fields) != 7 || len(fields[2]) != 3 {
		c.parseErrors++
		return
	}
	sent, sentErr := strconv.ParseUint(string(fields[3]), 10, 64)
	received, receivedErr := strconv.ParseUint(string(fields[4]), 10, 64)
	seconds, secondsErr := strconv.ParseFloat(string(fields[5]), 64)
	if sentErr != nil || receivedErr != nil || secondsErr != nil || seconds < 0 {
		c.parseErrors++
		return
	}
	site, known := c.sites[string(fields[0])]
	if !known {
		site = c.sites[otherSite]
	}
	class := fields[2][0] - '0'
	if class > 5 {
		class = 0
	}
	site.statuses[class]++
	site.sent += sent
	site.received += received
	if status := string(fields[1]); slices.Contains(cacheStatuses, status) {
		site.cache[status]++
	}
	if reason := string(fields[6]); slices.Contains(rejectReasons, reason) {
		site.rejected[reason]++
	}
	i, _ := slices.BinarySearch(durationBounds, seconds)
	site.durations[i]++
	site.totalSeconds += seconds
}

func (s *siteCounts) requests() uint64 {
	sum := uint64(0)
	for _, count := range s.statuses {
		sum += count
	}
	return sum
}

// Traffic is the sum of all sites since this process started.
type Traffic struct {
	Requests      uint64 `json:"requests"`
	SentBytes     uint64 `json:"sentBytes"`
	ReceivedBytes uint64 `json:"receivedBytes"`
	// Requests that a limit or a block rejected.
	Rejected uint64 `json:"rejected"`
	// Requests of proxied sites by cache status.
	Cache map[string]uint64 `json:"cache"`
	// Share of the cacheable requests that the cache answered, 0 to 1; null before the first one.
	HitRate *float64 `json:"hitRate"`
}

func (c *requestCounts) traffic() Traffic {
	sum := Traffic{Cache: map[string]uint64{}}
	for _, site := range c.sites {
		sum.Requests += site.requests()
		sum.SentBytes += site.sent
		sum.ReceivedBytes += site.received
		sum.Rejected += total(site.rejected, rejectReasons)
		for status, count := range site.cache {
			sum.Cache[status] += count
		}
	}
	if eligible := total(sum.Cache, cacheEligible); eligible > 0 {
		rate := float64(total(sum.Cache, cacheServed)) / float64(eligible)
		sum.HitRate = &rate
	}
	return sum
}

func total(counts map[string]uint64, keys []string) uint64 {
	sum := uint64(0)
	for _, key := range keys {
		sum += counts[key]
	}
	return sum
}

func (c *requestCounts) families() []metrics.Family {
	requests := metrics.Counter("pop_requests_total", "Requests by site and class of status.")
	cache := metrics.Counter("pop_cache_requests_total", "Requests of proxied sites by cache status.")
	rejected := metrics.Counter("pop_requests_rejected_total", "Rejected requests by site and reason: a limit of requests or connections, or a blocked address.")
	sent := metrics.Counter("pop_sent_bytes_total", "Bytes of responses, before TLS.")
	received := metrics.Counter("pop_received_bytes_total", "Bytes of requests, before TLS.")
	durations := metrics.Histogram("pop_request_duration_seconds", "Time from a request's first byte to its response's last, in seconds, by site.")
	for _, name := range sortedKeys(c.sites) {
		site := c.sites[name]
		for class := 1; class <= 5; class++ {
			requests.Add(float64(site.statuses[class]), "site", name, "status", fmt.Sprintf("%dxx", class))
		}
		if site.statuses[0] > 0 {
			requests.Add(float64(site.statuses[0]), "site", name, "status", "other")
		}
		for _, status := range cacheStatuses {
			cache.Add(float64(site.cache[status]), "site", name, "cache", status)
		}
		for _, reason := range rejectReasons {
			rejected.Add(float64(site.rejected[reason]), "site", name, "reason", reason)
		}
		sent.Add(float64(site.sent), "site", name)
		received.Add(float64(site.received), "site", name)
		durations.Samples = append(durations.Samples, site.durationSamples(name)...)
	}
	parseErrors := metrics.Counter("pop_access_log_parse_errors_total",
		"Lines of nginx's access log that could not be parsed. More than 0: this program and nginx.conf do not match.", metrics.NewSample(float64(c.parseErrors)))
	return []metrics.Family{requests, cache, rejected, sent, received, durations, parseErrors}
}

func (s *siteCounts) durationSamples(site string) []metrics.Sample {
	samples := []metrics.Sample{}
	sum := uint64(0)
	for i, count := range s.durations {
		sum += count
		bound := "+Inf"
		if i < len(durationBounds) {
			bound = strconv.FormatFloat(durationBounds[i], 'g', -1, 64)
		}
		samples = append(samples, metrics.Sample{Labels: []string{"site", site, "le", bound}, Value: float64(sum), Suffix: "_bucket"})
	}
	return append(samples,
		metrics.Sample{Labels: []string{"site", site}, Value: s.totalSeconds, Suffix: "_sum"},
		metrics.Sample{Labels: []string{"site", site}, Value: float64(sum), Suffix: "_count"})
}

// Counter reads the files that nginx writes. It may be used by several goroutines.
type Counter struct {
	lock          sync.Mutex
	requests      *requestCounts
	requestLog    *logTail
	connections   connectionCounts
	connectionLog *logTail
}

// Config says what is counted.
type Config struct {
	// Hosts of the sites.
	Hosts []string
	// Public ports of raw TCP.
	Ports []int
	// Hosts of sites whose TLS ends at home.
	PassThrough []string
}

// NewCounter counts what nginx writes below `run`, /run/pop.
func NewCounter(run string, config Config) *Counter {
	return &Counter{
		requests: newRequestCounts(config.Hosts), requestLog: &logTail{path: requestLogPath(run)},
		connections: newConnectionCounts(config.Ports, config.PassThrough), connectionLog: &logTail{path: connectionLogPath(run)},
	}
}

func requestLogPath(run string) string    { return filepath.Join(run, "counts", "requests") }
func connectionLogPath(run string) string { return filepath.Join(run, "counts", "ports") }

// Ingest counts the lines that were written since the last call.
func (c *Counter) Ingest() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	err := c.requestLog.each(c.requests.add)
	return errors.Join(err, c.connectionLog.each(func(line []byte) {
		if !c.connections.add(line) {
			c.requests.parseErrors++
		}
	}))
}

// Snapshot is all counts at one time.
type Snapshot struct {
	Traffic Traffic
	// By port, and by host of a site whose TLS ends at home.
	Ports, PassThrough map[string]ConnectionTraffic
	Metrics            []metrics.Family
}

// Snapshot returns the counts of what was ingested so far.
func (c *Counter) Snapshot() Snapshot {
	c.lock.Lock()
	defer c.lock.Unlock()
	return Snapshot{
		Traffic: c.requests.traffic(),
		Ports:   c.connections.ports.traffic(), PassThrough: c.connections.sites.traffic(),
		Metrics: append(c.requests.families(), c.connections.families()...),
	}
}

// sortedKeys gives all scrapes the same order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
