package main

// What nginx served, counted. nginx leaves a short line a request in a file, many lines a write, and never waits for whoever reads them; this reads on
// from where it stood and gives the space back. A line is "site cache status sent received seconds rejected", image/render/nginx-common.ts writes the format.

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
)

// Words of $pop_cache_status (image/nginx): https://nginx.org/en/docs/http/ngx_http_upstream_module.html#var_upstream_cache_status, and BYPASS for what passes.
var cacheWords = []string{"HIT", "MISS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED", "BYPASS"}

// What spared the origin the work of an answer, and what could have: their quotient is the hit rate. BYPASS never could.
var (
	spared   = []string{"HIT", "STALE", "UPDATING", "REVALIDATED"}
	sparable = append([]string{"MISS", "EXPIRED"}, spared...)
)

// Words of $pop_rejected (image/nginx/reject.c): the limit or the block that rejected a request.
var rejections = []string{"requests", "connections", "blocked"}

// Upper bounds of the histogram of seconds from a request's first byte to its answer's last.
var secondsBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// otherSite is where requests for names of nobody are counted: a label must not be whatever somebody sends.
const otherSite = "other"

type siteCounts struct {
	// By first digit of the status; 0 is what has none of 1 to 5.
	statuses       [6]uint64
	cache          map[string]uint64
	rejected       map[string]uint64
	sent, received uint64
	// By bound, not yet summed up; the last is everything above.
	seconds      []uint64
	secondsTotal float64
}

type counts struct {
	sites map[string]*siteCounts
	// Lines that were none.
	refused uint64
}

func newCounts(hosts []string) *counts {
	it := &counts{sites: map[string]*siteCounts{}}
	for _, host := range append([]string{otherSite}, hosts...) {
		it.sites[host] = &siteCounts{cache: map[string]uint64{}, rejected: map[string]uint64{}, seconds: make([]uint64, len(secondsBounds)+1)}
	}
	return it
}

// add counts one line, without its end.
func (it *counts) add(line []byte) {
	fields := bytes.Fields(line)
	if len(fields) != 7 || len(fields[2]) != 3 {
		it.refused++
		return
	}
	sent, sentErr := strconv.ParseUint(string(fields[3]), 10, 64)
	received, receivedErr := strconv.ParseUint(string(fields[4]), 10, 64)
	seconds, secondsErr := strconv.ParseFloat(string(fields[5]), 64)
	if sentErr != nil || receivedErr != nil || secondsErr != nil || seconds < 0 {
		it.refused++
		return
	}
	site, known := it.sites[string(fields[0])]
	if !known {
		site = it.sites[otherSite]
	}
	class := fields[2][0] - '0'
	if class > 5 {
		class = 0
	}
	site.statuses[class]++
	site.sent += sent
	site.received += received
	if word := string(fields[1]); slices.Contains(cacheWords, word) {
		site.cache[word]++
	}
	if word := string(fields[6]); slices.Contains(rejections, word) {
		site.rejected[word]++
	}
	at, _ := slices.BinarySearch(secondsBounds, seconds)
	site.seconds[at]++
	site.secondsTotal += seconds
}

func (it *siteCounts) requests() uint64 {
	sum := uint64(0)
	for _, count := range it.statuses {
		sum += count
	}
	return sum
}

// traffic is the sum of all sites since this process started.
type traffic struct {
	Requests      uint64 `json:"requests"`
	SentBytes     uint64 `json:"sentBytes"`
	ReceivedBytes uint64 `json:"receivedBytes"`
	// Requests that a limit or a block rejected.
	Rejected uint64 `json:"rejected"`
	// Requests by what the cache said of them; those it was not asked for are in none.
	Cache map[string]uint64 `json:"cache"`
	// Share of the requests the cache could answer that it did answer, 0 to 1; null before the first.
	HitRate *float64 `json:"hitRate"`
}

func (it *counts) traffic() traffic {
	sum := traffic{Cache: map[string]uint64{}}
	for _, site := range it.sites {
		sum.Requests += site.requests()
		sum.SentBytes += site.sent
		sum.ReceivedBytes += site.received
		sum.Rejected += total(site.rejected, rejections)
		for word, count := range site.cache {
			sum.Cache[word] += count
		}
	}
	if all := total(sum.Cache, sparable); all > 0 {
		rate := float64(total(sum.Cache, spared)) / float64(all)
		sum.HitRate = &rate
	}
	return sum
}

func total(counts map[string]uint64, words []string) uint64 {
	sum := uint64(0)
	for _, word := range words {
		sum += counts[word]
	}
	return sum
}

// tally is counts with the files they come from, for several callers.
type tally struct {
	lock     sync.Mutex
	counts   *counts
	lines    *lineFile
	tcp      tcpCounts
	tcpLines *lineFile
}

func newTally(run string, manifest *Manifest) *tally {
	return &tally{
		counts: newCounts(manifest.Hosts), lines: &lineFile{path: countsFile(run)},
		tcp: newTCPCounts(manifest.TCPPorts, manifest.PassThrough), tcpLines: &lineFile{path: portCountsFile(run)},
	}
}

// catchUp counts what was written since the last time.
func (it *tally) catchUp() error {
	it.lock.Lock()
	defer it.lock.Unlock()
	err := it.lines.each(it.counts.add)
	return errors.Join(err, it.tcpLines.each(func(line []byte) {
		if !it.tcp.add(line) {
			it.counts.refused++
		}
	}))
}

// read hands the counts to a function that must not keep them.
func (it *tally) read(use func(*counts, tcpCounts)) {
	it.lock.Lock()
	defer it.lock.Unlock()
	use(it.counts, it.tcp)
}

// sorted: a scrape lists the same things in the same order each time.
func sorted[V any](all map[string]V) []string { return slices.Sorted(maps.Keys(all)) }
