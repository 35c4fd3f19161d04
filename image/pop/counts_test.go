package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func counted(lines ...string) *counts {
	it := newCounts([]string{"www.example.org", "b.example.org"})
	for _, line := range lines {
		it.add([]byte(line))
	}
	return it
}

func TestCountsByWhatALineSays(t *testing.T) {
	it := counted(
		"www.example.org HIT 200 5000 300 0.004 -",
		"www.example.org MISS 200 5000 300 0.300 -",
		"b.example.org - 301 200 100 0.000 -",
		"_ - 421 150 90 0.000 -",
	)
	www := it.sites["www.example.org"]
	if www.statuses[2] != 2 || www.sent != 10000 || www.received != 600 || www.cache["HIT"] != 1 || www.cache["MISS"] != 1 {
		t.Errorf("%+v", www)
	}
	if b := it.sites["b.example.org"]; b.statuses[3] != 1 || len(b.cache) != 0 {
		t.Errorf("%+v", b)
	}
	if other := it.sites[otherSite]; other.statuses[4] != 1 || it.refused != 0 {
		t.Errorf("%+v, refused %d", other, it.refused)
	}
}

func TestCountsWhatWasRejected(t *testing.T) {
	it := counted(
		"www.example.org - 429 300 100 0.000 requests", "www.example.org - 429 300 100 0.000 requests", "www.example.org - 503 300 100 0.000 connections",
		"b.example.org - 403 300 100 0.000 blocked", "b.example.org MISS 429 300 100 0.100 -", "b.example.org MISS 429 300 100 0.100 madeUp",
	)
	if www := it.sites["www.example.org"].rejected; www["requests"] != 2 || www["connections"] != 1 || www["blocked"] != 0 {
		t.Errorf("%v", www)
	}
	if b := it.sites["b.example.org"].rejected; len(b) != 1 || b["blocked"] != 1 {
		t.Errorf("%v", b)
	}
	if sum := it.traffic().Rejected; sum != 4 || it.refused != 0 {
		t.Errorf("%d in all, refused %d", sum, it.refused)
	}
}

// Whatever names visitors make up, there are as many sites as the image has, and one.
func TestNamesOfNobodyMakeNoNewSite(t *testing.T) {
	it := newCounts([]string{"www.example.org"})
	for at := range 1000 {
		it.add(fmt.Appendf(nil, "site%d.example MISS 200 1 1 0.0 -", at))
	}
	if len(it.sites) != 2 || it.sites[otherSite].requests() != 1000 {
		t.Errorf("%d sites, other has %d", len(it.sites), it.sites[otherSite].requests())
	}
}

func TestLinesThatAreNone(t *testing.T) {
	for _, line := range []string{
		"", "www.example.org HIT 200 1 1", "www.example.org HIT 200 1 1 0.1", "www.example.org HIT 200 1 1 0.1 - more", "www.example.org HIT 20 1 1 0.1 -",
		"www.example.org HIT 200 -1 1 0.1 -", "www.example.org HIT 200 1 x 0.1 -", "www.example.org HIT 200 1 1 -0.1 -", "www.example.org HIT 200 1 1 soon -",
	} {
		if it := counted(line); it.refused != 1 || it.traffic().Requests != 0 {
			t.Errorf("%q: refused %d, counted %d", line, it.refused, it.traffic().Requests)
		}
	}
}

func TestHitRate(t *testing.T) {
	line := func(word string) string { return "www.example.org " + word + " 200 1 1 0.1 -" }
	for name, test := range map[string]struct {
		words []string
		rate  float64
	}{
		"all from the cache":             {[]string{"HIT", "HIT"}, 1},
		"all from the origin":            {[]string{"MISS", "EXPIRED"}, 0},
		"stale answers spare the origin": {[]string{"STALE", "UPDATING", "REVALIDATED", "MISS"}, 0.75},
		"what bypasses could not be one": {[]string{"HIT", "BYPASS", "BYPASS", "-"}, 1},
	} {
		lines := []string{}
		for _, word := range test.words {
			lines = append(lines, line(word))
		}
		if rate := counted(lines...).traffic().HitRate; rate == nil || math.Abs(*rate-test.rate) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, rate, test.rate)
		}
	}
	if rate := counted(line("BYPASS"), line("-")).traffic().HitRate; rate != nil {
		t.Errorf("without a request for the cache it is %v", *rate)
	}
}

func TestSecondsFallIntoTheBucketOfTheirBound(t *testing.T) {
	it := counted("b.example.org - 200 1 1 0.005 -", "b.example.org - 200 1 1 0.006 -", "b.example.org - 200 1 1 99 -")
	b := it.sites["b.example.org"].seconds
	if b[0] != 1 || b[1] != 1 || b[len(secondsBounds)] != 1 {
		t.Errorf("%v", b)
	}
	if www := it.sites["www.example.org"].seconds; www[0] != 0 || www[1] != 0 {
		t.Errorf("another site has %v", www)
	}
}

// lines is a file and what has been read of it.
type lines struct {
	t    *testing.T
	file *lineFile
	seen []string
}

func newLines(t *testing.T) *lines {
	return &lines{t: t, file: &lineFile{path: filepath.Join(t.TempDir(), "requests")}}
}

func (it *lines) append(text string) {
	it.t.Helper()
	file, err := os.OpenFile(it.file.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.WriteString(text)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		it.t.Fatal(err)
	}
}

func (it *lines) read() []string {
	it.t.Helper()
	it.seen = nil
	if err := it.file.each(func(line []byte) { it.seen = append(it.seen, string(line)) }); err != nil {
		it.t.Fatal(err)
	}
	return it.seen
}

func (it *lines) blocks() int64 {
	it.t.Helper()
	info, err := os.Stat(it.file.path)
	if err != nil {
		it.t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestEachLineIsReadOnce(t *testing.T) {
	it := newLines(t)
	if seen := it.read(); seen != nil {
		t.Errorf("of a file that is not there: %q", seen)
	}
	it.append("a 1\nb 2\nc")
	if seen := it.read(); strings.Join(seen, "|") != "a 1|b 2" {
		t.Errorf("%q", seen)
	}
	it.append(" 3\nd 4\n")
	if seen := it.read(); strings.Join(seen, "|") != "c 3|d 4" {
		t.Errorf("%q", seen)
	}
	if seen := it.read(); seen != nil {
		t.Errorf("once more: %q", seen)
	}
}

func TestALineBeyondAnyLengthIsPassedOver(t *testing.T) {
	it := newLines(t)
	it.append(strings.Repeat("x", 10*pieceSize))
	it.read()
	it.append("\na 1\n")
	if seen := it.read(); strings.Join(seen, "|") != "a 1" {
		t.Errorf("%q", seen)
	}
}

func TestATruncatedFileIsReadFromItsStart(t *testing.T) {
	it := newLines(t)
	it.append("a 1\nb 2\n")
	it.read()
	if err := os.Truncate(it.file.path, 0); err != nil {
		t.Fatal(err)
	}
	it.append("c\n")
	if seen := it.read(); strings.Join(seen, "|") != "c" {
		t.Errorf("%q", seen)
	}
}

// However long nginx writes, and whoever reads on after a restart: nothing is read twice, nothing is lost, and the file stays small.
func TestSpaceIsGivenBack(t *testing.T) {
	it := newLines(t)
	line := strings.Repeat("y", 59) + "\n"
	for range 40 {
		it.append(strings.Repeat(line, 2000))
		if seen := it.read(); len(seen) != 2000 {
			t.Fatalf("read %d lines of 2000", len(seen))
		}
	}
	if used := it.blocks(); used > 2*giveBackAfter {
		t.Errorf("4.8 MB were written and read, %d bytes are still there", used)
	}
	it.append(strings.Repeat(line, 3))
	after := &lines{t: t, file: &lineFile{path: it.file.path}}
	seen := after.read()
	if len(seen) == 0 || len(seen) > giveBackAfter/len(line)+4 || seen[len(seen)-1]+"\n" != line || seen[1]+"\n" != line {
		t.Errorf("a reader that starts anew sees %d lines, the first %q", len(seen), seen[:min(2, len(seen))])
	}
}
