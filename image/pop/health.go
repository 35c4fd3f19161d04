package main

// pop health answers GET /healthz on the health port with one JSON object and one status, and GET /metrics (metrics.go) with numbers for Prometheus.
//
// It has no flags; ports, hosts, the components to expect and the time Fly's check allows are in /etc/pop/pop.json. It asks nginx, unbound and tailscaled (when
// its socket is there) directly, and reads what postInit, secrets and certs left under /run/pop. All checks run in parallel and end within half the
// timeout of Fly's check: a component that hangs is degraded, and every client gets a response. The status is 503 only if nginx does not answer, while no host
// has a certificate from the vault that has yet to send the first, or when the image is not the expected one (image.go). Any other fault makes the PoP
// "degraded", with the reason beside the component, and a machine that still serves stays in service.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"fly-pops/pop/certs"
	"fly-pops/pop/internal/gctune"
	"fly-pops/pop/tailnet"
)

const (
	ok = "ok"
	// Something is wrong, visitors are served all the same: status 200, so that Fly does not take a machine out that still does its work.
	degraded = "degraded"
	// Visitors are not served: status 503.
	failing = "failing"

	// Checks come from Fly and from process-compose alike; one round of questions serves all of them for this long.
	freshFor = time.Second
	// At 10,000 requests a second some megabytes lie there meanwhile.
	countEvery = 10 * time.Second

	// How long a client may take to send its request, and to read the response.
	requestTimeout, answerTimeout = 5 * time.Second, 10 * time.Second
	// Longer than Prometheus' scrape interval of 15 seconds.
	idleTimeout = time.Minute
	// Some 20 KB each: many slow clients must not use up the PoP's memory.
	mostConnections = 200
)

type component struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

type report struct {
	Status string `json:"status"`
	// Why it is failing, by component. Near the front: Fly keeps a little of a body as the check's output, and who deploys reads the first 200 characters.
	Reason string `json:"reason,omitempty"`
	Pop    string `json:"pop"`
	// Digest of the build context the image was made from; absent where the image does not say.
	Image string `json:"image,omitempty"`
	// What secrets must be sealed to for this PoP.
	Recipient    string               `json:"recipient,omitempty"`
	Components   map[string]component `json:"components"`
	Certificates []certificateStatus  `json:"certificates"`
	// What the PoP logs in to the vault with. Absent where there is no vault, or it was not asked yet.
	VaultSecretID *certs.SecretIDStatus `json:"vaultSecretId,omitempty"`
	// Since this process started.
	Traffic traffic `json:"traffic"`
	// Of the ports of raw TCP, by number. Absent where there are none.
	Ports map[string]connectionTraffic `json:"ports,omitempty"`
	// Of the sites whose TLS ends at home, by host. Absent where there are none.
	PassThrough map[string]connectionTraffic `json:"passThrough,omitempty"`
	// Absent where the kernel does not say.
	Memory *memory `json:"memory,omitempty"`
	// The ways through the tailnet to those origins that are reached by it.
	Origins []tailnet.Path `json:"origins,omitempty"`
	// Hosts that are answered with 503 until somebody ends their maintenance.
	Maintenance []string `json:"maintenance"`
}

// snapshot is the result of one round of checks: the report, and what only /metrics shows. It is not modified once it has been handed out.
type snapshot struct {
	report
	// nil: not known.
	volume *volume
	nginx  *stubStatus
	// nil: not known, or no tailnet.
	tailnet []tailnet.Traffic
	// Of what nginx counted.
	counts []metric
}

type health struct {
	manifest *Manifest
	image    image
	run      string
	// tailscaled's socket.
	tailscaled  string
	origins     watch[[]tailnet.Path]
	maintenance string
	// nil: no name is refused because of its signatures.
	dnssec watch[error]
	// The time all checks of a round have together.
	patience time.Duration
	tally    *tally
	memory   func() (memory, error)
	volume   func() (volume, error)
	now      func() time.Time

	// Of whoever runs the round.
	questions []*question

	lock sync.Mutex
	last *round
}

// round is one run of all checks.
type round struct {
	// Closed when found is there.
	done  chan struct{}
	found snapshot
	at    time.Time
}

func newHealth(manifest *Manifest, run string) *health {
	return &health{
		origins:  watch[[]tailnet.Path]{every: time.Minute, soon: 10 * time.Second},
		dnssec:   watch[error]{every: 5 * time.Minute, soon: 20 * time.Second},
		manifest: manifest, image: imageOfEnvironment(), run: run, tailscaled: tailnet.Socket, patience: manifest.patience(), now: time.Now,
		tally:       newTally(run, manifest),
		maintenance: maintenanceFolder,
		memory:      func() (memory, error) { return readMemory(cgroupFolder, procFolder) },
		volume:      func() (volume, error) { return statVolume(volumeFolder) },
	}
}

func serveHealth(h *health) error {
	gctune.LimitMemory()
	go h.keepCounting()
	if h.manifest.Tailnet != nil {
		go h.origins.keep(context.Background(), h.probeOrigins)
	}
	go h.dnssec.keep(context.Background(), h.validate)
	server := h.server()
	server.Addr = fmt.Sprintf(":%d", h.manifest.Ports.Health)
	return server.ListenAndServe()
}

func (h *health) server() *http.Server {
	return &http.Server{
		Handler:        h,
		ReadTimeout:    requestTimeout,
		WriteTimeout:   answerTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: 8 << 10,
		ConnState:      (&connections{most: mostConnections}).track,
	}
}

// keepCounting gives back the space of nginx's lines even while nobody asks.
func (h *health) keepCounting() {
	for range time.Tick(countEvery) {
		_ = h.tally.catchUp() // who asks for /healthz is told
	}
}

func (h *health) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		answer.Header().Set("Allow", "GET, HEAD")
		http.Error(answer, "GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	switch request.URL.Path {
	case "/healthz":
		h.serveReport(answer)
	case "/metrics":
		h.serveMetrics(answer)
	default:
		http.NotFound(answer, request)
	}
}

func (h *health) serveReport(answer http.ResponseWriter) {
	now := h.current()
	text, err := json.Marshal(now.report)
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

// current returns the last round's snapshot while that is fresh. Otherwise it starts a round; callers during a round wait for the same one, so nobody waits
// longer than one round takes.
func (h *health) current() snapshot {
	h.lock.Lock()
	if h.last == nil || h.last.isOver() && !h.isFresh(h.last) {
		h.last = &round{done: make(chan struct{})}
		go h.ask(h.last)
	}
	last := h.last
	h.lock.Unlock()
	<-last.done
	return last.found
}

func (r *round) isOver() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (h *health) isFresh(of *round) bool {
	age := h.now().Sub(of.at)
	return age >= 0 && age < freshFor
}

// ask runs all checks at once, and returns when all have answered or the time is up.
func (h *health) ask(r *round) {
	ctx, cancel := context.WithTimeout(context.Background(), h.patience)
	defer cancel()
	if h.questions == nil {
		h.questions = h.allQuestions()
	}
	found := snapshot{report: report{Components: map[string]component{}, Certificates: []certificateStatus{}, Maintenance: []string{}}}
	found.Traffic.Cache = map[string]uint64{}
	found.Image = h.image.context
	isIfAny("image", h.image.component())(&found)
	started := map[*question]bool{}
	for _, question := range h.questions {
		started[question] = question.start(ctx)
	}
	for _, question := range h.questions {
		var answer answer
		if started[question] {
			answer = question.wait(ctx)
		}
		if answer != nil {
			answer(&found)
		} else if question.component != "" {
			found.Components[question.component] = component{Status: question.otherwise, Reason: h.noAnswer()}
		}
	}
	for _, name := range h.manifest.Expects {
		if _, there := found.Components[name]; !there {
			found.Components[name] = component{Status: degraded, Reason: "no word from it"}
		}
	}
	found.Status, found.Reason = worst(found.Components), whyFailing(found.Components)
	r.found, r.at = found, h.now()
	close(r.done)
}

func (h *health) noAnswer() string {
	return fmt.Sprintf("did not answer within %g s", h.patience.Seconds())
}

// asked is judge for checks over a connection: the various timeout errors become one message.
func (h *health) asked(otherwise string, err error) component {
	var timed interface{ Timeout() bool }
	if errors.As(err, &timed) && timed.Timeout() {
		return component{Status: otherwise, Reason: h.noAnswer()}
	}
	return judge(otherwise, err)
}

func (h *health) allQuestions() []*question {
	// Checks without a component of their own are left out if they do not answer.
	silent := func(ask func(context.Context) answer) *question { return &question{ask: ask} }
	all := []*question{
		{component: "nginx", otherwise: failing, ask: func(ctx context.Context) answer {
			return is("nginx", h.asked(failing, askNginx(ctx, h.manifest.Ports.NginxStatus)))
		}},
		// Cached pages, sites in the image and origins given by address still work without DNS.
		{component: "unbound", otherwise: degraded, ask: func(ctx context.Context) answer {
			if err := askUnbound(ctx, h.manifest.Ports.DNS); err != nil {
				return is("unbound", h.asked(degraded, err))
			}
			return is("unbound", judge(degraded, h.dnssec.get()))
		}},
		{component: "tailnet", otherwise: degraded, ask: h.tailnet},
		{component: "secrets", otherwise: degraded, ask: h.secrets},
		{component: "certificates", otherwise: degraded, ask: h.certificates},
		{component: "volume", otherwise: degraded, ask: h.volumeComponent},
		{component: "counts", otherwise: degraded, ask: h.counts},
		silent(func(ctx context.Context) answer {
			status, err := askStubStatus(ctx, h.manifest.Ports.NginxStatus)
			return func(to *snapshot) {
				if err == nil {
					to.nginx = &status
				}
			}
		}),
		silent(func(context.Context) answer {
			found, err := h.memory()
			return func(to *snapshot) {
				if err == nil {
					to.Memory = &found
				}
			}
		}),
		silent(func(context.Context) answer {
			hosts := inMaintenance(h.manifest, h.maintenance)
			return func(to *snapshot) { to.Maintenance = hosts }
		}),
		silent(func(context.Context) answer {
			name := popName(h.run)
			return func(to *snapshot) { to.Pop = name }
		}),
	}
	for name, how := range h.manifest.Luggage {
		component := "luggage-" + name
		all = append(all, &question{component: component, otherwise: degraded, ask: func(context.Context) answer {
			return is(component, h.luggageComponent(name, how))
		}})
	}
	return all
}

func is(name string, found component) answer {
	return func(to *snapshot) { to.Components[name] = found }
}

// isIfAny leaves out what is not there: the PoP may not have it.
func isIfAny(name string, found *component) answer {
	return func(to *snapshot) {
		if found != nil {
			to.Components[name] = *found
		}
	}
}

func judge(otherwise string, err error) component {
	if err == nil {
		return component{Status: ok}
	}
	return component{Status: otherwise, Reason: err.Error()}
}

func worst(components map[string]component) string {
	status := ok
	for _, component := range components {
		if component.Status == failing || (component.Status == degraded && status == ok) {
			status = component.Status
		}
	}
	return status
}

func whyFailing(components map[string]component) string {
	var reasons []string
	for _, name := range sorted(components) {
		if components[name].Status == failing {
			reasons = append(reasons, name+": "+components[name].Reason)
		}
	}
	return strings.Join(reasons, ", ")
}

// volumeComponent combines what postInit found at boot (an empty file means no fault) with how full the volume is now.
func (h *health) volumeComponent(context.Context) answer {
	atBoot := h.volumeAtBoot()
	now, err := h.volume()
	found := volumeComponent(atBoot, err)
	if err == nil {
		found = volumeComponent(atBoot, now.shortage())
	}
	return func(to *snapshot) {
		to.Components["volume"] = found
		if err == nil {
			to.volume = &now
		}
	}
}

func volumeComponent(atBoot, now error) component {
	if atBoot != nil && now != nil {
		return judge(degraded, fmt.Errorf("%w. Also: %w", atBoot, now))
	}
	return judge(degraded, errors.Join(atBoot, now))
}

func (h *health) volumeAtBoot() error {
	text, err := os.ReadFile(filepath.Join(h.run, "volume"))
	if err != nil {
		return err
	}
	return told(strings.TrimSpace(string(text)))
}

func (h *health) counts(context.Context) answer {
	err := h.tally.catchUp()
	var sum traffic
	var all []metric
	var ports, passThrough map[string]connectionTraffic
	h.tally.read(func(counts *counts, tcp tcpCounts) {
		sum, all = counts.traffic(), append(counts.metrics(), tcp.metrics()...)
		ports, passThrough = tcp.ports.traffic(), tcp.sites.traffic()
	})
	return func(to *snapshot) {
		to.Components["counts"] = judge(degraded, err)
		to.Traffic, to.counts = sum, all
		to.Ports, to.PassThrough = ports, passThrough
	}
}

// popName is how this PoP is called, as post-init left it. Empty: it left nothing.
func popName(runFolder string) string {
	text, err := os.ReadFile(filepath.Join(runFolder, "name"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
