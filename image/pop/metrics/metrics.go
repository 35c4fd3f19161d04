// Package metrics writes metrics in Prometheus's text format: https://prometheus.io/docs/instrumenting/exposition_formats/. The client library is not used:
// it keeps a registry of values, while the values here are read from elsewhere for each scrape, and it takes more memory than the rest of `pop health`.
package metrics

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// ContentType of what Write writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Sample is one value of a family.
type Sample struct {
	// Names and values of the labels, alternating.
	Labels []string
	Value  float64
	// For a histogram: _bucket, _sum or _count.
	Suffix string
}

// Family is all samples of one metric. Without samples it is not written: an absent metric says more than a 0.
type Family struct {
	// gauge, counter or histogram
	Name, Type, Help string
	Samples          []Sample
}

// NewSample returns a sample with labels, given as names and values, alternating.
func NewSample(value float64, labels ...string) Sample { return Sample{Labels: labels, Value: value} }

// Gauge returns a family of values that rise and fall.
func Gauge(name, help string, samples ...Sample) Family { return Family{name, "gauge", help, samples} }

// Counter returns a family of values that only rise.
func Counter(name, help string, samples ...Sample) Family {
	return Family{name, "counter", help, samples}
}

// Histogram returns a family of buckets with their sum and count.
func Histogram(name, help string, samples ...Sample) Family {
	return Family{name, "histogram", help, samples}
}

// Add appends a sample with labels, given as names and values, alternating.
func (f *Family) Add(value float64, labels ...string) {
	f.Samples = append(f.Samples, NewSample(value, labels...))
}

// Bool is 1 for true and 0 for false.
func Bool(value bool) float64 {
	if value {
		return 1
	}
	return 0
}

// Write writes the families that have samples.
func Write(w io.Writer, families []Family) {
	for _, family := range families {
		family.write(w)
	}
}

func (f Family) write(w io.Writer) {
	if len(f.Samples) == 0 {
		return
	}
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", f.Name, f.Help, f.Name, f.Type)
	for _, sample := range f.Samples {
		fmt.Fprintf(w, "%s%s%s %s\n", f.Name, sample.Suffix, formatLabels(sample.Labels), formatValue(sample.Value))
	}
}

// formatValue writes integers in full, because 1e+09 bytes is hard to read.
func formatValue(value float64) string {
	if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
		return strconv.FormatInt(int64(value), 10)
	}
	return strconv.FormatFloat(value, 'g', -1, 64)
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func formatLabels(pairs []string) string {
	if len(pairs) == 0 {
		return ""
	}
	texts := []string{}
	for i := 0; i < len(pairs); i += 2 {
		texts = append(texts, fmt.Sprintf(`%s="%s"`, pairs[i], escaper.Replace(pairs[i+1])))
	}
	return "{" + strings.Join(texts, ",") + "}"
}
