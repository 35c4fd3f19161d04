package main

// pop health answers GET /healthz on the health port with one JSON object and one status, and GET /metrics (metrics.go) with numbers for Prometheus.
//
// It has no flags; ports, hosts and the parts to expect stand in /etc/pop/pop.json. It asks nginx, unbound and tailscaled (when its socket is there)
// themselves, and reads what postInit, secrets, certs and reload left under /run/pop. 503 only when nginx does not answer: everything else that is wrong
// makes the PoP "degraded", with the reason beside the part, and a machine that still serves stays in service.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"fly-pops/pop/internal/small"
)

const (
	ok = "ok"
	// Something is wrong, visitors are served all the same: status 200, so that Fly does not take a machine out that still does its work.
	degraded = "degraded"
	// Visitors are not served: status 503.
	failing = "failing"

	patience = 2 * time.Second
	// Checks come from Fly and from process-compose alike; one round of questions serves all of them for this long.
	freshFor = time.Second
	// At 10,000 requests a second some megabytes lie there meanwhile.
	countEvery = 10 * time.Second
	// A certificate this near its end should have been renewed long ago.
	expiresSoon = 7 * 24 * time.Hour
)

type part struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

type report struct {
	Status string `json:"status"`
	Pop    string `json:"pop"`
	// What secrets must be sealed to for this PoP.
	Recipient    string              `json:"recipient,omitempty"`
	Parts        map[string]part     `json:"parts"`
	Certificates []certificateStatus `json:"certificates"`
	// Since this process started.
	Traffic traffic `json:"traffic"`
	// Absent where the kernel does not say.
	Memory *memory `json:"memory,omitempty"`
}

type health struct {
	manifest *Manifest
	run      string
	// tailscaled's socket.
	tailscaled string
	// Where the volume is mounted.
	volumeFolder string
	tally        *tally
	memory       func() (memory, error)
	now          func() time.Time

	lock sync.Mutex
	last report
	at   time.Time
}

func newHealth(manifest *Manifest, run string) *health {
	return &health{
		manifest: manifest, run: run, tailscaled: tailscaledSocket, volumeFolder: volumeFolder, now: time.Now,
		tally:  newTally(countsFile(run), manifest.Hosts),
		memory: func() (memory, error) { return readMemory(cgroupFolder, procFolder) },
	}
}

func serveHealth(it *health) error {
	small.Memory()
	go it.keepCounting()
	server := &http.Server{
		Addr:              fmt.Sprintf(":%d", it.manifest.Ports.Health),
		Handler:           it,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      10 * time.Second,
		MaxHeaderBytes:    8 << 10,
	}
	return server.ListenAndServe()
}

// keepCounting gives back the space of nginx's lines even while nobody asks.
func (it *health) keepCounting() {
	for range time.Tick(countEvery) {
		_ = it.tally.catchUp() // who asks for /healthz is told
	}
}

func (it *health) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		answer.Header().Set("Allow", "GET, HEAD")
		http.Error(answer, "GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	switch request.URL.Path {
	case "/healthz":
		it.serveReport(answer)
	case "/metrics":
		it.serveMetrics(answer)
	default:
		http.NotFound(answer, request)
	}
}

func (it *health) serveReport(answer http.ResponseWriter) {
	now := it.current()
	text, err := json.Marshal(now)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	answer.Header().Set("Content-Type", "application/json")
	answer.Header().Set("Cache-Control", "no-store")
	if now.Status == failing {
		answer.WriteHeader(http.StatusServiceUnavailable)
	}
	// Whoever asked may be gone: nothing to do about it.
	_, _ = answer.Write(append(text, '\n'))
}

// current holds the lock while it asks, so that callers who come meanwhile wait for the same answer.
func (it *health) current() report {
	it.lock.Lock()
	defer it.lock.Unlock()
	if age := it.now().Sub(it.at); age < 0 || age >= freshFor {
		it.last = it.ask()
		it.at = it.now()
	}
	return it.last
}

func (it *health) ask() report {
	var nginx, unbound error
	var tailnet *part
	var asked sync.WaitGroup
	asked.Go(func() { nginx = askNginx(it.manifest.Ports.NginxStatus, patience) })
	asked.Go(func() { unbound = askUnbound(it.manifest.Ports.DNS, patience) })
	asked.Go(func() { tailnet = it.tailnet(patience) })
	asked.Wait()
	word := it.readWord()
	certificates, err := it.certificates(word.certs)
	counting := it.tally.catchUp()
	var sum traffic
	it.tally.read(func(counts *counts) { sum = counts.traffic() })
	parts := map[string]part{
		"nginx": judge(failing, nginx),
		// Sites in the cache, in the image and behind addresses go on without names.
		"unbound":      judge(degraded, unbound),
		"volume":       judge(degraded, it.volume()),
		"certificates": judge(degraded, err),
		"counts":       judge(degraded, counting),
	}
	for name, found := range map[string]*part{
		"tailnet": tailnet, "secrets": secretsPart(word.secrets), "certs": it.certsPart(word.certs), "reload": reloadPart(word.reload),
	} {
		if found != nil {
			parts[name] = *found
		} else if slices.Contains(it.manifest.Expects, name) {
			parts[name] = part{Status: degraded, Reason: "no word from it"}
		}
	}
	for name, how := range it.manifest.Luggage {
		parts["luggage-"+name] = it.luggagePart(name, how)
	}
	now := report{
		Status: worst(parts), Pop: it.pop(), Recipient: word.recipient(), Parts: parts, Certificates: certificates, Traffic: sum,
	}
	if memory, err := it.memory(); err == nil {
		now.Memory = &memory
	}
	return now
}

func judge(otherwise string, err error) part {
	if err == nil {
		return part{Status: ok}
	}
	return part{Status: otherwise, Reason: err.Error()}
}

func worst(parts map[string]part) string {
	status := ok
	for _, it := range parts {
		if it.Status == failing || (it.Status == degraded && status == ok) {
			status = it.Status
		}
	}
	return status
}

// volume repeats what postInit found at boot: an empty file is good news.
func (it *health) volume() error {
	text, err := os.ReadFile(filepath.Join(it.run, "volume"))
	if err != nil {
		return err
	}
	if reason := strings.TrimSpace(string(text)); reason != "" {
		return errors.New(reason)
	}
	return nil
}

func (it *health) pop() string {
	text, err := os.ReadFile(filepath.Join(it.run, "name"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
