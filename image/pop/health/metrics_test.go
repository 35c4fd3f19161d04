package health

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fly-pops/pop/metrics"
	"fly-pops/pop/selfsigned"
	"fly-pops/pop/tailnet"
)

const stubText = "Active connections: 7 \nserver accepts handled requests\n 30 29 400 \nReading: 1 Writing: 2 Waiting: 4 \n"

func nginxWithStatus(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/status" {
		fmt.Fprint(w, stubText)
		return
	}
	fine(w, r)
}

func scrape(t *testing.T, h *health) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	return w.Body.String()
}

func wants(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("%q is not in the metrics:\n%s", line, text)
		}
	}
}

// busy is a PoP with a certificate, some traffic, and memory of the test's.
func busy(t *testing.T) *health {
	t.Helper()
	h := popWith(t, nginxWithStatus)
	if err := os.Mkdir(filepath.Join(h.run, "counts"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, h, "counts/requests", host+" HIT 200 5000 300 0.004 -\n"+host+" MISS 502 100 300 3 -\n_ - 421 10 10 0.001 -\n")
	status, err := json.Marshal([]selfsigned.Status{{Host: host, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), SelfSigned: true}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, h, "certs/status.json", string(status))
	h.memory = func() (memory, error) { return memory{UsedBytes: 100 << 20, LimitBytes: 256 << 20, OomKills: 2}, nil }
	return h
}

func TestMetrics(t *testing.T) {
	text := scrape(t, busy(t))
	wants(t, text,
		`pop_info{pop="cdg-1"} 1`, `pop_serving 1`, `pop_component_up{component="nginx"} 1`, `pop_component_up{component="unbound"} 0`,
		fmt.Sprintf(`pop_certificate_not_after_timestamp_seconds{site="%s"} %d`, host, now.Add(time.Hour).Unix()),
		fmt.Sprintf(`pop_certificate_not_before_timestamp_seconds{site="%s"} %d`, host, now.Add(-time.Hour).Unix()),
		fmt.Sprintf(`pop_certificate_self_signed{site="%s"} 1`, host),
		`pop_nginx_connections{state="active"} 7`, `pop_nginx_connections{state="waiting"} 4`,
		`pop_nginx_connections_accepted_total 30`, `pop_nginx_connections_handled_total 29`,
		fmt.Sprintf(`pop_requests_total{site="%s",status="2xx"} 1`, host), fmt.Sprintf(`pop_requests_total{site="%s",status="5xx"} 1`, host),
		`pop_requests_total{site="other",status="4xx"} 1`,
		fmt.Sprintf(`pop_cache_requests_total{site="%s",cache="HIT"} 1`, host), fmt.Sprintf(`pop_sent_bytes_total{site="%s"} 5100`, host),
		fmt.Sprintf(`pop_request_duration_seconds_bucket{site="%s",le="0.005"} 1`, host), fmt.Sprintf(`pop_request_duration_seconds_bucket{site="%s",le="+Inf"} 2`, host),
		fmt.Sprintf(`pop_request_duration_seconds_sum{site="%s"} 3.004`, host), fmt.Sprintf(`pop_request_duration_seconds_count{site="%s"} 2`, host),
		`pop_request_duration_seconds_bucket{site="other",le="0.005"} 1`, `pop_request_duration_seconds_count{site="other"} 1`,
		`pop_memory_used_bytes 104857600`, `pop_memory_limit_bytes 268435456`, `pop_oom_kills_total 2`,
	)
}

// https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
func TestMetricsAreInTheFormat(t *testing.T) {
	comment := regexp.MustCompile(`^# (HELP|TYPE) (pop_[a-z_]+) (.+)$`)
	line := regexp.MustCompile(`^(pop_[a-z_]+?)(?:_bucket|_sum|_count)?(?:\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? -?[0-9.e+-]+$`)
	kinds, seen := map[string]string{}, map[string]bool{}
	text := scrape(t, busy(t))
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no newline")
	}
	for _, text := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if header := comment.FindStringSubmatch(text); header != nil {
			if header[1] == "TYPE" {
				kinds[header[2]] = header[3]
			}
			continue
		}
		found := line.FindStringSubmatch(text)
		if found == nil || kinds[found[1]] == "" {
			t.Errorf("%q is not a sample of a known metric", text)
			continue
		}
		series, _, _ := strings.Cut(text, "} ")
		if seen[series] {
			t.Errorf("duplicate: %s", series)
		}
		seen[series] = true
		if counter := kinds[found[1]] == "counter"; counter != strings.HasSuffix(found[1], "_total") {
			t.Errorf("%s is a %s", found[1], kinds[found[1]])
		}
	}
}

func TestTailnetMetricsHaveAFamilyPerDirection(t *testing.T) {
	var text strings.Builder
	metrics.Write(&text, tailnetFamilies([]tailnet.Traffic{
		{Direction: "in", Path: "derp", Bytes: 5}, {Direction: "out", Path: "derp", Bytes: 7}, {Direction: "in", Path: "direct_ipv4", Bytes: 9},
	}))
	wants(t, text.String(), `pop_tailnet_received_bytes_total{path="derp"} 5`, `pop_tailnet_received_bytes_total{path="direct_ipv4"} 9`,
		`pop_tailnet_sent_bytes_total{path="derp"} 7`)
	if strings.Contains(text.String(), "direction") {
		t.Error(text.String())
	}
}

func TestUnknownValuesAreLeftOut(t *testing.T) {
	h := popWith(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	h.memory = func() (memory, error) { return memory{}, os.ErrNotExist }
	text := scrape(t, h)
	wants(t, text, `pop_serving 0`, `pop_component_up{component="nginx"} 0`)
	for _, name := range []string{"pop_nginx_connections", "pop_memory_used_bytes", "pop_certificate_not_after_timestamp_seconds"} {
		if strings.Contains(text, name) {
			t.Errorf("%s has a value", name)
		}
	}
}

func TestAnInvalidStatusOfNginxIsLeftOut(t *testing.T) {
	for _, text := range []string{"", "ok", "Active connections: many", strings.Repeat("7 ", 100)} {
		h := popWith(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
		if seen := scrape(t, h); strings.Contains(seen, "pop_nginx_connections") {
			t.Errorf("%q gives %s", text, seen)
		}
	}
}

func TestReportHasTrafficAndMemory(t *testing.T) {
	_, seen := get(t, busy(t), "GET", "/healthz")
	if seen.Traffic.Requests != 3 || seen.Traffic.SentBytes != 5110 || seen.Traffic.HitRate == nil || *seen.Traffic.HitRate != 0.5 {
		t.Errorf("%+v", seen.Traffic)
	}
	if seen.Memory == nil || seen.Memory.LimitBytes != 256<<20 || seen.Components["counts"].Status != ok {
		t.Errorf("%+v %+v", seen.Memory, seen.Components["counts"])
	}
}

func TestUnreadableCountsAreReported(t *testing.T) {
	h := popWith(t, fine)
	if err := os.MkdirAll(filepath.Join(h.run, "counts", "requests"), 0o755); err != nil {
		t.Fatal(err)
	}
	if status, seen := get(t, h, "GET", "/healthz"); status != 200 || seen.Components["counts"].Status != degraded || seen.Components["counts"].Reason == "" {
		t.Errorf("%d %+v", status, seen.Components["counts"])
	}
}
