package counts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fixture is a file and the lines that were read of it.
type fixture struct {
	t    *testing.T
	tail *logTail
	seen []string
}

func newFixture(t *testing.T) *fixture {
	return &fixture{t: t, tail: &logTail{path: filepath.Join(t.TempDir(), "requests")}}
}

func (f *fixture) append(text string) {
	f.t.Helper()
	file, err := os.OpenFile(f.tail.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.WriteString(text)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) read() []string {
	f.t.Helper()
	f.seen = nil
	if err := f.tail.each(func(line []byte) { f.seen = append(f.seen, string(line)) }); err != nil {
		f.t.Fatal(err)
	}
	return f.seen
}

func (f *fixture) blocks() int64 {
	f.t.Helper()
	info, err := os.Stat(f.tail.path)
	if err != nil {
		f.t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestEachLineIsReadOnce(t *testing.T) {
	f := newFixture(t)
	if seen := f.read(); seen != nil {
		t.Errorf("of a missing file: %q", seen)
	}
	f.append("a 1\nb 2\nc")
	if seen := f.read(); strings.Join(seen, "|") != "a 1|b 2" {
		t.Errorf("%q", seen)
	}
	f.append(" 3\nd 4\n")
	if seen := f.read(); strings.Join(seen, "|") != "c 3|d 4" {
		t.Errorf("%q", seen)
	}
	if seen := f.read(); seen != nil {
		t.Errorf("once more: %q", seen)
	}
}

func TestALineThatIsTooLongIsSkipped(t *testing.T) {
	f := newFixture(t)
	f.append(strings.Repeat("x", 10*bufferSize))
	f.read()
	f.append("\na 1\n")
	if seen := f.read(); strings.Join(seen, "|") != "a 1" {
		t.Errorf("%q", seen)
	}
}

func TestATruncatedFileIsReadFromItsStart(t *testing.T) {
	f := newFixture(t)
	f.append("a 1\nb 2\n")
	f.read()
	if err := os.Truncate(f.tail.path, 0); err != nil {
		t.Fatal(err)
	}
	f.append("c\n")
	if seen := f.read(); strings.Join(seen, "|") != "c" {
		t.Errorf("%q", seen)
	}
}

func TestATruncatedFileHasNoRestOfALongLine(t *testing.T) {
	f := newFixture(t)
	f.append(strings.Repeat("x", 2*maxLineLength))
	f.read()
	if err := os.Truncate(f.tail.path, 0); err != nil {
		t.Fatal(err)
	}
	f.append("a 1\nb 2\n")
	if seen := f.read(); strings.Join(seen, "|") != "a 1|b 2" {
		t.Errorf("%q", seen)
	}
}

// However long nginx writes, and after a restart of the reader: no line is read twice, none is lost, and the file stays small.
func TestSpaceIsFreed(t *testing.T) {
	f := newFixture(t)
	line := strings.Repeat("y", 59) + "\n"
	for range 40 {
		f.append(strings.Repeat(line, 2000))
		if seen := f.read(); len(seen) != 2000 {
			t.Fatalf("read %d lines of 2000", len(seen))
		}
	}
	if used := f.blocks(); used > 2*punchAfter {
		t.Errorf("4.8 MB were written and read, %d bytes are still there", used)
	}
	f.append(strings.Repeat(line, 3))
	after := &fixture{t: t, tail: &logTail{path: f.tail.path}}
	seen := after.read()
	if len(seen) == 0 || len(seen) > punchAfter/len(line)+4 || seen[len(seen)-1]+"\n" != line || seen[1]+"\n" != line {
		t.Errorf("a new reader sees %d lines, the first %q", len(seen), seen[:min(2, len(seen))])
	}
}
