package main

// GET /metrics of the health port, in Prometheus's text format: https://prometheus.io/docs/instrumenting/exposition_formats/. Fly scrapes it every 15
// seconds and adds app, region and instance. Counters start at 0 with this process. Written by hand: the client library keeps a registry for what is read
// from elsewhere here, and costs more memory than the rest of health.

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"fly-pops/pop/certs"
)

type sample struct {
	// Names and values by turns.
	labels []string
	value  float64
	// Of a histogram: "_bucket", "_sum", "_count".
	suffix string
}

type metric struct {
	name, kind, help string
	samples          []sample
}

func one(value float64, labels ...string) sample { return sample{labels: labels, value: value} }

func (h *health) serveMetrics(answer http.ResponseWriter) {
	answer.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	answer.Header().Set("Cache-Control", "no-store")
	var text strings.Builder
	for _, metric := range h.metrics() {
		metric.write(&text)
	}
	// Whoever asked may be gone: nothing to do about it.
	_, _ = io.WriteString(answer, text.String())
}

// metrics: one that cannot be had is left out, as an absent sample says more than a 0.
func (h *health) metrics() []metric {
	now := h.current()
	all := []metric{
		{"pop_info", "gauge", "1, with the name of the PoP.", []sample{one(1, "pop", now.Pop)}},
		buildMetric(now.Image),
		{"pop_serving", "gauge", "1 while visitors are served, which is what Fly's check sees.", []sample{one(truth(now.Status != failing))}},
		componentsMetric(now.Components),
		certificatesMetric("pop_certificate_not_before_timestamp_seconds", "Start of a certificate's validity, in seconds since 1970.", now.Certificates,
			func(it certificateStatus) (float64, bool) {
				return float64(it.NotBefore.Unix()), !it.NotBefore.IsZero()
			}),
		certificatesMetric("pop_certificate_not_after_timestamp_seconds", "End of a certificate's validity, in seconds since 1970.", now.Certificates,
			func(it certificateStatus) (float64, bool) { return float64(it.NotAfter.Unix()), !it.NotAfter.IsZero() }),
		certificatesMetric("pop_certificate_self_signed", "1 while a site has a certificate that the PoP signed itself.", now.Certificates,
			func(it certificateStatus) (float64, bool) { return truth(it.SelfSigned), !it.NotAfter.IsZero() }),
	}
	all = append(all, secretIDMetrics(now.VaultSecretID)...)
	all = append(all, nginxMetrics(now.nginx)...)
	all = append(all, now.counts...)
	all = append(all, memoryMetrics(now.Memory)...)
	all = append(all, pathMetrics(now.Origins)...)
	all = append(all, tailnetMetrics(now.tailnet)...)
	return append(all, volumeMetrics(now.volume)...)
}

func buildMetric(context string) metric {
	it := metric{"pop_build_info", "gauge", "1, with the digest of the build context the image was made from.", nil}
	if context != "" {
		it.samples = []sample{one(1, "context", context)}
	}
	return it
}

func componentsMetric(components map[string]component) metric {
	it := metric{"pop_component_up", "gauge", "1 while a component of the PoP is healthy. If it is not, /healthz has the reason.", nil}
	for _, name := range sorted(components) {
		it.samples = append(it.samples, one(truth(components[name].Status == ok), "component", name))
	}
	return it
}

func certificatesMetric(name, help string, all []certificateStatus, value func(certificateStatus) (float64, bool)) metric {
	it := metric{name, "gauge", help, nil}
	for _, status := range all {
		if number, known := value(status); known {
			it.samples = append(it.samples, one(number, "site", status.Host))
		}
	}
	return it
}

// secretIDMetrics are there as far as they are known; what does not end is +Inf.
func secretIDMetrics(found *certs.SecretIDStatus) []metric {
	known := metric{"pop_vault_secret_id_known", "gauge", "1 while the vault knows the secret_id, so that a PoP that starts can log in.", nil}
	created := metric{"pop_vault_secret_id_created_timestamp_seconds", "gauge", "Creation time of the vault's secret_id, in seconds since 1970.", nil}
	ends := metric{"pop_vault_secret_id_not_after_timestamp_seconds", "gauge", "End of the vault's secret_id, in seconds since 1970. +Inf: it does not end.", nil}
	uses := metric{"pop_vault_secret_id_uses_left", "gauge", "Logins left with the vault's secret_id. +Inf: any number.", nil}
	if found == nil {
		return nil
	}
	isTold := found.Unknown == ""
	if isTold {
		known.samples = []sample{one(truth(!found.Gone))}
	}
	if found.CreatedAt != nil {
		created.samples = []sample{one(float64(found.CreatedAt.Unix()))}
	}
	switch {
	case found.EndsAt != nil:
		ends.samples = []sample{one(float64(found.EndsAt.Unix()))}
	case isTold && !found.Gone:
		ends.samples = []sample{one(math.Inf(1))}
	}
	switch {
	case found.UsesLeft != nil:
		uses.samples = []sample{one(float64(*found.UsesLeft))}
	case isTold && !found.Gone:
		uses.samples = []sample{one(math.Inf(1))}
	}
	return []metric{known, created, ends, uses}
}

// nginxMetrics are its stub_status, https://nginx.org/en/docs/http/ngx_http_stub_status_module.html
func nginxMetrics(status *stubStatus) []metric {
	if status == nil {
		return nil
	}
	return []metric{
		{"pop_nginx_connections", "gauge", "Connections of visitors by state. active is the sum of the others.", []sample{
			one(status.active, "state", "active"), one(status.reading, "state", "reading"),
			one(status.writing, "state", "writing"), one(status.waiting, "state", "waiting"),
		}},
		{"pop_nginx_connections_accepted_total", "counter", "Connections accepted since nginx started.", []sample{one(status.accepted)}},
		{"pop_nginx_connections_handled_total", "counter", "Connections handled since nginx started. Fewer than accepted if there were too many.", []sample{one(status.handled)}},
	}
}

func (it *counts) metrics() []metric {
	requests := metric{"pop_requests_total", "counter", "Requests by site and class of status.", nil}
	cache := metric{"pop_cache_requests_total", "counter", "Requests of proxied sites by cache status.", nil}
	rejected := metric{"pop_requests_rejected_total", "counter", "Rejected requests by site and reason: a limit of requests or connections, or a blocked address.", nil}
	sent := metric{"pop_sent_bytes_total", "counter", "Bytes of responses, before TLS.", nil}
	received := metric{"pop_received_bytes_total", "counter", "Bytes of requests, before TLS.", nil}
	for _, name := range sorted(it.sites) {
		site := it.sites[name]
		for class := 1; class <= 5; class++ {
			requests.samples = append(requests.samples, one(float64(site.statuses[class]), "site", name, "status", fmt.Sprintf("%dxx", class)))
		}
		if site.statuses[0] > 0 {
			requests.samples = append(requests.samples, one(float64(site.statuses[0]), "site", name, "status", "other"))
		}
		for _, word := range cacheWords {
			cache.samples = append(cache.samples, one(float64(site.cache[word]), "site", name, "cache", word))
		}
		for _, word := range rejections {
			rejected.samples = append(rejected.samples, one(float64(site.rejected[word]), "site", name, "reason", word))
		}
		sent.samples = append(sent.samples, one(float64(site.sent), "site", name))
		received.samples = append(received.samples, one(float64(site.received), "site", name))
	}
	refused := metric{"pop_access_log_parse_errors_total", "counter", "Lines of nginx's access log that could not be parsed. More than 0: this program and nginx.conf do not match.", []sample{one(float64(it.refused))}}
	return []metric{requests, cache, rejected, sent, received, it.secondsMetric(), refused}
}

func (it *counts) secondsMetric() metric {
	found := metric{"pop_request_duration_seconds", "histogram", "Time from a request's first byte to its response's last, in seconds, by site.", nil}
	for _, name := range sorted(it.sites) {
		found.samples = append(found.samples, it.sites[name].secondsSamples(name)...)
	}
	return found
}

func (it *siteCounts) secondsSamples(site string) []sample {
	samples := []sample{}
	sum := uint64(0)
	for at, count := range it.seconds {
		sum += count
		bound := "+Inf"
		if at < len(secondsBounds) {
			bound = strconv.FormatFloat(secondsBounds[at], 'g', -1, 64)
		}
		samples = append(samples, sample{[]string{"site", site, "le", bound}, float64(sum), "_bucket"})
	}
	return append(samples,
		sample{[]string{"site", site}, it.secondsTotal, "_sum"}, sample{[]string{"site", site}, float64(sum), "_count"})
}

func memoryMetrics(found *memory) []metric {
	if found == nil {
		return nil
	}
	return []metric{
		{"pop_memory_used_bytes", "gauge", "Memory of the whole PoP, without what the kernel can free at once.", []sample{one(float64(found.UsedBytes))}},
		{"pop_memory_limit_bytes", "gauge", "Memory of the machine.", []sample{one(float64(found.LimitBytes))}},
		{"pop_oom_kills_total", "counter", "Processes killed because memory ran out, since boot.", []sample{one(float64(found.OomKills))}},
	}
}

func volumeMetrics(found *volume) []metric {
	if found == nil {
		return nil
	}
	return []metric{
		{"pop_volume_size_bytes", "gauge", "Size of the volume.", []sample{one(found.sizeBytes)}},
		{"pop_volume_free_bytes", "gauge", "Free space on the volume.", []sample{one(found.freeBytes)}},
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (it metric) write(out io.Writer) {
	if len(it.samples) == 0 {
		return
	}
	fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", it.name, it.help, it.name, it.kind)
	for _, sample := range it.samples {
		fmt.Fprintf(out, "%s%s%s %s\n", it.name, sample.suffix, labels(sample.labels), value(sample.value))
	}
}

// value: whole numbers in full, for 1e+09 bytes is hard to read.
func value(number float64) string {
	if number == math.Trunc(number) && math.Abs(number) < 1<<53 {
		return strconv.FormatInt(int64(number), 10)
	}
	return strconv.FormatFloat(number, 'g', -1, 64)
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func labels(pairs []string) string {
	if len(pairs) == 0 {
		return ""
	}
	texts := []string{}
	for at := 0; at < len(pairs); at += 2 {
		texts = append(texts, fmt.Sprintf(`%s="%s"`, pairs[at], escape.Replace(pairs[at+1])))
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// The cgroup of the PoP, its volume, and where nginx leaves its lines.
const (
	cgroupFolder = "/sys/fs/cgroup"
	procFolder   = "/proc"
	volumeFolder = "/var"
)

func countsFile(run string) string { return filepath.Join(run, "counts", "requests") }
