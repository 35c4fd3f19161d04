package metrics

import (
	"math"
	"strings"
	"testing"
)

func TestLabelsAreEscaped(t *testing.T) {
	if text := formatLabels([]string{"site", "a\"b\\c\nd"}); text != `{site="a\"b\\c\nd"}` {
		t.Error(text)
	}
}

func TestFamiliesAreWrittenWithHelpAndType(t *testing.T) {
	var text strings.Builder
	bytes := Counter("pop_bytes_total", "Bytes.", NewSample(1e9, "site", "a"))
	bytes.Add(0.5, "site", "b")
	Write(&text, []Family{bytes, Gauge("pop_absent", "Without samples."), Gauge("pop_end", "Never.", NewSample(math.Inf(1)))})
	const want = `# HELP pop_bytes_total Bytes.
# TYPE pop_bytes_total counter
pop_bytes_total{site="a"} 1000000000
pop_bytes_total{site="b"} 0.5
# HELP pop_end Never.
# TYPE pop_end gauge
pop_end +Inf
`
	if text.String() != want {
		t.Errorf("got %s", text.String())
	}
}
