package main

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

	"fly-pops/pop/internal/exit"
)

// blog is a health whose luggage "blog" is asked as the test says.
func blog(t *testing.T, how Check) *health {
	t.Helper()
	it := popWith(t, fine)
	how.EverySeconds, how.TimeoutSeconds = 10, 1
	it.manifest.Luggage = map[string]Check{"blog": how}
	if err := os.MkdirAll(filepath.Join(it.run, "luggage", "blog"), 0o755); err != nil {
		t.Fatal(err)
	}
	return it
}

func program(t *testing.T, script string) Check {
	t.Helper()
	return Check{Command: []string{"/bin/sh", "-c", script}, Folder: t.TempDir()}
}

func TestACheckIsWellOrSaysWhyNot(t *testing.T) {
	answers := func(status int) Check {
		server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			answer.Header().Set("Location", "http://192.0.2.1/") // nobody follows it
			answer.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		return Check{URL: server.URL + "/healthz"}
	}
	for name, test := range map[string]struct {
		how    Check
		reason string
	}{
		"200":                     {answers(200), ""},
		"a redirect":              {answers(302), ""},
		"404":                     {answers(404), "answered 404"},
		"503":                     {answers(503), "answered 503"},
		"nobody":                  {Check{URL: "http://127.0.0.1:1/"}, "connection refused"},
		"0":                       {program(t, "exit 0"), ""},
		"3":                       {program(t, "echo secret; exit 3"), "sh: exit status 3"},
		"too long":                {program(t, "sleep 60 & sleep 60"), "no answer in 1s"},
		"a program that is not":   {Check{Command: []string{"/nowhere"}, Folder: "/"}, "no such file"},
		"a folder that is not":    {Check{Command: []string{"/bin/true"}, Folder: "/nowhere"}, "no such file"},
		"killed by its own hands": {program(t, "kill -9 $$"), "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			it := blog(t, test.how)
			it.now = time.Now
			err := check(it.manifest, "blog", it.run)
			if (err == nil) != (test.reason == "") || exit.Code(err) > exit.Retryable {
				t.Fatalf("%v", err)
			}
			found := it.luggageComponent("blog", it.manifest.Luggage["blog"])
			if found.Status == ok != (test.reason == "") || !strings.Contains(found.Reason, test.reason) {
				t.Errorf("%+v", found)
			}
			if strings.Contains(found.Reason, "secret") {
				t.Errorf("what the program said went into health: %s", found.Reason)
			}
		})
	}
}

func TestLuggageThatFailsMakesAPoPDegradedAndNeverDead(t *testing.T) {
	it := blog(t, Check{URL: "http://127.0.0.1:1/"})
	status, seen := get(t, it, "GET", "/healthz")
	if status != 200 || seen.Components["luggage-blog"] != (component{degraded, "no word from it"}) {
		t.Errorf("%d %+v", status, seen)
	}
}

func TestLuggageThatFallsSilentIsTold(t *testing.T) {
	it := blog(t, Check{URL: "http://127.0.0.1:1/"})
	how := it.manifest.Luggage["blog"]
	for age, want := range map[time.Duration]string{30 * time.Second: ok, 32 * time.Second: degraded} {
		text, _ := json.Marshal(checkStatus{At: now.Add(-age)})
		write(t, it, "luggage/blog/status.json", string(text))
		if found := it.luggageComponent("blog", how); found.Status != want {
			t.Errorf("%s: %+v", age, found)
		}
	}
}

func TestWhatLuggagePutsInTheStatusFilesPlaceHurtsNobody(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a pipe nobody writes to": func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a link to a key":         func(path string) error { return os.Symlink("/etc/passwd", path) },
		"a folder":                func(path string) error { return os.Mkdir(path, 0o755) },
		"no JSON":                 func(path string) error { return os.WriteFile(path, []byte("{"), 0o644) },
		"a book": func(path string) error {
			return os.WriteFile(path, []byte(fmt.Sprintf(`{"at":"2026-11-25T00:00:00Z","error":%q}`, strings.Repeat("x", 1<<20))), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			it := blog(t, Check{URL: "http://127.0.0.1:1/"})
			if err := put(statusOf(it.run, "blog")); err != nil {
				t.Fatal(err)
			}
			found := it.luggageComponent("blog", it.manifest.Luggage["blog"])
			if found != (component{degraded, "no word from it"}) {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestALongReasonIsCut(t *testing.T) {
	it := blog(t, Check{URL: "http://127.0.0.1:1/"})
	text, _ := json.Marshal(checkStatus{At: now, Error: strings.Repeat("é", 400)})
	write(t, it, "luggage/blog/status.json", string(text))
	found := it.luggageComponent("blog", it.manifest.Luggage["blog"])
	if len(found.Reason) > longestReason || found.Status != degraded {
		t.Errorf("%d %+v", len(found.Reason), found)
	}
}

func TestACheckOfLuggageThatIsNotThereIsAMistake(t *testing.T) {
	it := blog(t, Check{URL: "http://127.0.0.1:1/"})
	if err := check(it.manifest, "other", it.run); exit.Code(err) != exit.Usage {
		t.Errorf("%v", err)
	}
}
