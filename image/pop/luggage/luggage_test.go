package luggage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"fly-pops/pop/internal/exit"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// blog returns a check of the luggage "blog", and a directory used as /run/pop.
func blog(t *testing.T, check Check) (map[string]Check, string) {
	t.Helper()
	run := t.TempDir()
	check.EverySeconds, check.TimeoutSeconds = 10, 1
	if err := os.MkdirAll(filepath.Join(run, "luggage", "blog"), 0o755); err != nil {
		t.Fatal(err)
	}
	return map[string]Check{"blog": check}, run
}

func writeStatus(t *testing.T, run string, status Status) {
	t.Helper()
	text, err := json.Marshal(status)
	if err == nil {
		err = os.WriteFile(statusPath(run, "blog"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func program(t *testing.T, script string) Check {
	t.Helper()
	return Check{Command: []string{"/bin/sh", "-c", script}, Dir: t.TempDir()}
}

func TestACheckPassesOrSaysWhyNot(t *testing.T) {
	answers := func(status int) Check {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://192.0.2.1/") // must not be followed
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		return Check{URL: server.URL + "/healthz"}
	}
	for name, test := range map[string]struct {
		check  Check
		reason string
	}{
		"200":                 {answers(200), ""},
		"a redirect":          {answers(302), ""},
		"404":                 {answers(404), "answered 404"},
		"503":                 {answers(503), "answered 503"},
		"nothing listens":     {Check{URL: "http://127.0.0.1:1/"}, "connection refused"},
		"0":                   {program(t, "exit 0"), ""},
		"3":                   {program(t, "echo secret; exit 3"), "sh: exit status 3"},
		"too long":            {program(t, "sleep 60 & sleep 60"), "no response within 1s"},
		"a missing program":   {Check{Command: []string{"/nowhere"}, Dir: "/"}, "no such file"},
		"a missing directory": {Check{Command: []string{"/bin/true"}, Dir: "/nowhere"}, "no such file"},
		"killed by itself":    {program(t, "kill -9 $$"), "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			checks, run := blog(t, test.check)
			err := Run(checks, "blog", run)
			if (err == nil) != (test.reason == "") || exit.Code(err) > exit.Retryable {
				t.Fatalf("%v", err)
			}
			problem := checks["blog"].Problem(run, "blog", time.Now())
			if (problem == nil) != (test.reason == "") || problem != nil && !strings.Contains(problem.Error(), test.reason) {
				t.Errorf("%v", problem)
			}
			if problem != nil && strings.Contains(problem.Error(), "secret") {
				t.Errorf("health has the program's output: %v", problem)
			}
		})
	}
}

func TestLuggageThatStopsReportingIsAProblem(t *testing.T) {
	checks, run := blog(t, Check{URL: "http://127.0.0.1:1/"})
	for age, want := range map[time.Duration]string{30 * time.Second: "", 32 * time.Second: "no status since 2026-11-24T11:59:28Z"} {
		writeStatus(t, run, Status{At: now.Add(-age)})
		if got := problemText(checks["blog"].Problem(run, "blog", now)); got != want {
			t.Errorf("%s: %q", age, got)
		}
	}
}

func problemText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestABrokenStatusFileIsNoStatus(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a pipe without a writer": func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a link to a key":         func(path string) error { return os.Symlink("/etc/passwd", path) },
		"a directory":             func(path string) error { return os.Mkdir(path, 0o755) },
		"invalid JSON":            func(path string) error { return os.WriteFile(path, []byte("{"), 0o644) },
		"a file of a megabyte": func(path string) error {
			return os.WriteFile(path, []byte(fmt.Sprintf(`{"at":"2026-11-25T00:00:00Z","error":%q}`, strings.Repeat("x", 1<<20))), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			checks, run := blog(t, Check{URL: "http://127.0.0.1:1/"})
			if err := put(statusPath(run, "blog")); err != nil {
				t.Fatal(err)
			}
			if got := problemText(checks["blog"].Problem(run, "blog", now)); got != "no status reported" {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestALongReasonIsCut(t *testing.T) {
	checks, run := blog(t, Check{URL: "http://127.0.0.1:1/"})
	for _, reason := range []string{strings.Repeat("é", 400), "x" + strings.Repeat("é", 400)} {
		writeStatus(t, run, Status{At: now, Error: reason})
		got := problemText(checks["blog"].Problem(run, "blog", now))
		if len(got) < maxReasonLength-1 || len(got) > maxReasonLength || !strings.HasPrefix(reason, got) || !utf8.ValidString(got) {
			t.Errorf("%d %q", len(got), got)
		}
	}
}

func TestACheckOfUnknownLuggageIsAUsageError(t *testing.T) {
	checks, run := blog(t, Check{URL: "http://127.0.0.1:1/"})
	if err := Run(checks, "other", run); exit.Code(err) != exit.Usage {
		t.Errorf("%v", err)
	}
}
