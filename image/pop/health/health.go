// Package health is `pop health`: it answers GET /healthz on the health port with a JSON report, and GET /metrics with numbers for Prometheus.
//
// It has no flags; ports, hosts, the components to expect and the timeout of Fly's check are in /etc/pop/pop.json. It probes nginx, unbound and tailscaled (if
// its socket is there), and reads the status files that postInit, secrets and certs write below /run/pop. All checks run in parallel and end within half the
// timeout of Fly's check: a component that hangs is degraded, and every client gets a response. The status is 503 only if nginx does not answer, if no host has
// a certificate yet although one is on its way, or if the image is not the expected one (image.go). Any other fault makes the PoP "degraded", with a reason
// beside the component, and a machine that still serves stays in service.
package health

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"fly-pops/pop/certs"
	"fly-pops/pop/counts"
	"fly-pops/pop/internal/gctune"
	"fly-pops/pop/maintenance"
	"fly-pops/pop/manifest"
	"fly-pops/pop/metrics"
	"fly-pops/pop/probe"
	"fly-pops/pop/selfsigned"
	"fly-pops/pop/tailnet"
)

// Statuses of the PoP and of its components.
const (
	ok = "ok"
	// Something is wrong, but visitors are served: status 200, so that Fly keeps the machine in service.
	degraded = "degraded"
	// Visitors are not served: status 503.
	failing = "failing"
)

const (
	// Fly and process-compose both check; within this time they get the result of the same round.
	freshFor = time.Second
	// At 10,000 requests per second, some megabytes of log accumulate in this time.
	countInterval = 10 * time.Second

	// How long a client may take to send its request, and to read the response.
	readTimeout, writeTimeout = 5 * time.Second, 10 * time.Second
	// Longer than Prometheus' scrape interval of 15 seconds.
	idleTimeout = time.Minute
	// Some 20 KB each: many slow clients must not use up the PoP's memory.
	maxConnections = 200
)

type component struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

type report struct {
	Status string `json:"status"`
	// Why it is failing, by component. Near the front, because Fly keeps only the beginning of a body as the check's output, and flyctl shows 200 characters of
	// it.
	Reason string `json:"reason,omitempty"`
	Pop    string `json:"pop"`
	// Digest of the build context that the image was made from; absent if the image does not have it.
	Image string `json:"image,omitempty"`
	// Public key that secrets for this PoP must be encrypted to.
	Recipient    string               `json:"recipient,omitempty"`
	Components   map[string]component `json:"components"`
	Certificates []selfsigned.Status  `json:"certificates"`
	// What the PoP logs in to the vault with. Absent without a vault, and before it was asked.
	VaultSecretID *certs.SecretIDStatus `json:"vaultSecretId,omitempty"`
	// Since this process started.
	Traffic counts.Traffic `json:"traffic"`
	// By port of raw TCP. Absent if there are none.
	Ports map[string]counts.ConnectionTraffic `json:"ports,omitempty"`
	// By host of the sites whose TLS ends at home. Absent if there are none.
	PassThrough map[string]counts.ConnectionTraffic `json:"passThrough,omitempty"`
	// Absent if it is unknown.
	Memory *memory `json:"memory,omitempty"`
	// Paths through the tailnet to the origins that are reached by it.
	Origins []tailnet.Path `json:"origins,omitempty"`
	// Hosts in maintenance, which get 503.
	Maintenance []string `json:"maintenance"`
}

// snapshot is the result of one round of checks: the report, and what only /metrics shows. It is not modified after the round.
type snapshot struct {
	report
	// nil: unknown.
	volume *volume
	nginx  *probe.StubStatus
	// nil: unknown, or no tailnet.
	tailnet []tailnet.Traffic
	counts  []metrics.Family
}

type health struct {
	manifest *manifest.Manifest
	image    image
	// Directory of status files, /run/pop.
	run string
	// tailscaled's socket.
	tailscaled     string
	origins        watch[[]tailnet.Path]
	home           home
	maintenanceDir string
	// nil: no name is rejected because of its signatures.
	dnssec watch[error]
	// Time limit of a round.
	roundTimeout time.Duration
	counter      *counts.Counter
	memory       func() (memory, error)
	volume       func() (volume, error)
	now          func() time.Time

	// Used only by the round in progress.
	checks []*check

	lock sync.Mutex
	last *round
}

// round is one run of all checks.
type round struct {
	// Closed when result is there.
	done   chan struct{}
	result snapshot
	at     time.Time
}

// Where the kernel reports memory, and where the volume is mounted.
const (
	cgroupDir = "/sys/fs/cgroup"
	procDir   = "/proc"
	volumeDir = "/var"
)

func newHealth(m *manifest.Manifest, run string) *health {
	h := &health{
		home:     home{isThere: hasOriginsAtHome(m.Origins, m.Tailnet)},
		origins:  watch[[]tailnet.Path]{interval: time.Minute, retryInterval: 10 * time.Second},
		dnssec:   watch[error]{interval: 5 * time.Minute, retryInterval: 20 * time.Second},
		manifest: m, image: imageFromEnv(), run: run, tailscaled: tailnet.Socket, roundTimeout: m.HealthTimeout(), now: time.Now,
		counter:        counts.NewCounter(run, counts.Config{Hosts: m.Hosts, Ports: m.TCPPorts, PassThrough: m.PassThrough}),
		maintenanceDir: maintenance.Dir,
		memory:         func() (memory, error) { return readMemory(cgroupDir, procDir) },
		volume:         func() (volume, error) { return statVolume(volumeDir) },
	}
	h.origins.isHurried = h.isLookingForHome
	return h
}

// Serve answers on the health port. `run` is the directory of status files, /run/pop.
func Serve(m *manifest.Manifest, run string) error {
	gctune.LimitMemory()
	h := newHealth(m, run)
	go h.countLoop()
	if m.Tailnet != nil {
		go h.origins.run(context.Background(), h.probeOrigins)
	}
	go h.dnssec.run(context.Background(), h.probeDNSSEC)
	server := h.server()
	server.Addr = fmt.Sprintf(":%d", m.Ports.Health)
	return server.ListenAndServe()
}

func (h *health) server() *http.Server {
	return &http.Server{
		Handler:        h,
		ReadTimeout:    readTimeout,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: 8 << 10,
		ConnState:      (&connectionLimit{max: maxConnections}).track,
	}
}

// countLoop frees the space of nginx's lines even if no client asks for the counts.
func (h *health) countLoop() {
	for range time.Tick(countInterval) {
		_ = h.counter.Ingest() // an error is in /healthz, which tries again
	}
}

func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/healthz":
		h.serveReport(w)
	case "/metrics":
		h.serveMetrics(w)
	default:
		http.NotFound(w, r)
	}
}

func (h *health) serveReport(w http.ResponseWriter) {
	found := h.current()
	text, err := json.Marshal(found.report)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if found.Status == failing {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// The client may be gone.
	_, _ = w.Write(append(text, '\n'))
}

// current returns the last round's snapshot while it is fresh. Otherwise it starts a round; callers during a round wait for the same one, so that none waits
// longer than one round takes.
func (h *health) current() snapshot {
	h.lock.Lock()
	if h.last == nil || h.last.isDone() && !h.isFresh(h.last) {
		h.last = &round{done: make(chan struct{})}
		go h.collect(h.last)
	}
	last := h.last
	h.lock.Unlock()
	<-last.done
	return last.result
}

func (r *round) isDone() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (h *health) isFresh(r *round) bool {
	age := h.now().Sub(r.at)
	return age >= 0 && age < freshFor
}

// collect runs all checks in parallel, and returns when all have ended or the time is up.
func (h *health) collect(r *round) {
	ctx, cancel := context.WithTimeout(context.Background(), h.roundTimeout)
	defer cancel()
	if h.checks == nil {
		h.checks = h.allChecks()
	}
	found := snapshot{report: report{Components: map[string]component{}, Certificates: []selfsigned.Status{}, Maintenance: []string{}}}
	found.Traffic.Cache = map[string]uint64{}
	found.Image = h.image.context
	setComponentIfAny("image", h.image.component())(&found)
	started := map[*check]bool{}
	for _, check := range h.checks {
		started[check] = check.start(ctx)
	}
	for _, check := range h.checks {
		var update update
		if started[check] {
			update = check.wait(ctx)
		}
		if update != nil {
			update(&found)
		} else if check.component != "" {
			found.Components[check.component] = component{Status: check.fallback, Reason: h.timeoutReason()}
		}
	}
	for _, name := range h.manifest.Expects {
		if _, reported := found.Components[name]; !reported {
			found.Components[name] = component{Status: degraded, Reason: "no status reported"}
		}
	}
	found.Status, found.Reason = overallStatus(found.Components), failureReason(found.Components)
	r.result, r.at = found, h.now()
	close(r.done)
}

func (h *health) timeoutReason() string {
	return fmt.Sprintf("did not answer within %g s", h.roundTimeout.Seconds())
}
