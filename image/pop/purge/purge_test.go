package purge

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fileOf is a file of nginx's cache.
func fileOf(key string) []byte {
	start := make([]byte, headerSize)
	binary.NativeEndian.PutUint64(start, headerVersion)
	head := append(start, []byte(keyMark+key+"\n")...)
	binary.NativeEndian.PutUint16(head[headerStartAt:], uint16(len(head)))
	return append(head, []byte("HTTP/1.1 200 OK\r\n\r\nbody")...)
}

type fake struct {
	dir, socket string
	lock        sync.Mutex
	removed     []string
	requests    int
	status      int
}

// store puts a file in its place; variant: of the same key, as Vary makes several.
func (f *fake) store(t *testing.T, key, variant string) {
	t.Helper()
	sum := md5.Sum([]byte(key + variant))
	f.place(t, hex.EncodeToString(sum[:]), fileOf(key))
}

func (f *fake) place(t *testing.T, name string, content []byte) {
	t.Helper()
	dir := filepath.Join(f.dir, name[31:32], name[29:31])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.requests++
	if f.status != 0 {
		w.WriteHeader(f.status)
		return
	}
	names := r.URL.RawQuery
	for at := 0; at < len(names); at += 32 {
		name := names[at : at+32]
		f.removed = append(f.removed, name)
		os.Remove(filepath.Join(f.dir, name[31:32], name[29:31], name))
	}
	fmt.Fprint(w, len(names)/32)
}

func newFake(t *testing.T) *fake {
	dir := t.TempDir()
	f := &fake{dir: filepath.Join(dir, "cache"), socket: filepath.Join(dir, "s")}
	listener, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return f
}

func chosen(t *testing.T, words ...string) *choice {
	t.Helper()
	c, err := parse(words)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChoice(t *testing.T) {
	for _, test := range []struct {
		words    string
		has, not []string
	}{
		{"https://www.example.org/a", []string{"www.example.org/a", "www.example.org/%61"}, []string{"www.example.org/a?x", "www.example.org/a/", "example.org/a", "www.example.org/A"}},
		{"https://WWW.example.org:8443/a?x=1#top", []string{"www.example.org/a?x=1", "www.example.org/a?x=%31"}, []string{"www.example.org/a", "www.example.org/a%3Fx=1"}},
		{"http://www.example.org", []string{"www.example.org/"}, []string{"www.example.org/?", "www.example.org//"}},
		{"https://www.example.org?x", []string{"www.example.org/?x"}, []string{"www.example.org/"}},
		{"https://www.example.org/caf%C3%A9", []string{"www.example.org/café", "www.example.org/caf%c3%a9"}, nil},
		{"https://www.example.org/café", []string{"www.example.org/caf%C3%A9"}, nil},
		{"https://www.example.org/100%", []string{"www.example.org/100%", "www.example.org/100%25"}, nil},
		{"https://www.example.org/a https://example.org/b", []string{"www.example.org/a", "example.org/b"}, []string{"www.example.org/b"}},
		{"--site www.example.org", []string{"www.example.org/", "www.example.org/a?x"}, []string{"www.example.org.evil/", "xwww.example.org/"}},
		{"--site WWW.example.org --path /img/*", []string{"www.example.org/img/", "www.example.org/img/a/b.png?x", "www.example.org/%69mg/a"}, []string{"www.example.org/img", "www.example.org/x/img/a"}},
		{"--site www.example.org --path *.css --path /a", []string{"www.example.org/x/y.css?v=2", "www.example.org/a", "www.example.org/a?b"}, []string{"www.example.org/y.css/", "www.example.org/a.cssx", "www.example.org/ab"}},
		{"--site www.example.org --path /user/*/keys/*.json", []string{"www.example.org/user/1/keys/a.json"}, []string{"www.example.org/user/keys/a.json", "www.example.org/user/1/a.json"}},
		{"--site www.example.org --path /a?page=*", []string{"www.example.org/a?page=2"}, []string{"www.example.org/a", "www.example.org/a?x=1"}},
		{"--site www.example.org", []string{"www.example.org@example.net/", "www.example.org@www.example.org/a"}, []string{"example.net@www.example.org/"}},
		{"--site *.example.org --path /a", []string{"*.example.org@x.example.org/a"}, []string{"x.example.org/a"}},
		{"https://example.net/a", []string{"www.example.org@example.net/a", "example.net/a"}, []string{"example.net@www.example.org/a"}},
		{"https://www.example.org/a", []string{"www.example.org[*]/a", "www.example.org[utm_*]/a"}, []string{"www.example.org[*]/b", "example.org[*]/a"}},
		{"https://www.example.org/a?x=1&utm_source=news", []string{"www.example.org[*]/a", "www.example.org[utm_*]/a?x=1", "www.example.org[fbclid,utm_*]/a?x=%31"},
			[]string{"www.example.org[utm_*]/a", "www.example.org[fbclid]/a?x=1", "www.example.org/a", "www.example.org/a?x=1"}},
		{"https://www.example.org/a?utm_source=1;id=5", []string{"www.example.org[*]/a", "www.example.org[utm_*]/a?utm_source=1;id=5"}, []string{"www.example.org[utm_*]/a"}},
		{"https://example.net/a?fbclid=1", []string{"www.example.org@example.net[fbclid]/a"}, []string{"example.net@www.example.org[fbclid]/a"}},
		{"--site www.example.org", []string{"www.example.org[*]/a", "www.example.org@example.net[utm_*]/?x"}, []string{"example.net@www.example.org[*]/a"}},
		{"--site www.example.org --path /a?page=*", []string{"www.example.org[*]/a", "www.example.org[utm_*]/a?page=2"}, []string{"www.example.org[*]/b", "www.example.org[utm_*]/a"}},
		{"--site www.example.org --path ab*ab", []string{}, []string{"www.example.org/ab"}},
		{"--site www.example.org --path /ab*b", []string{"www.example.org/abb"}, []string{"www.example.org/ab"}},
	} {
		c := chosen(t, strings.Fields(test.words)...)
		for _, key := range test.has {
			if !c.has(key) {
				t.Errorf("%s: %s is not chosen", test.words, key)
			}
		}
		for _, key := range test.not {
			if c.has(key) {
				t.Errorf("%s: %s is chosen", test.words, key)
			}
		}
	}
}

func TestTrim(t *testing.T) {
	for text, trimmed := range map[string]string{
		"h/a":                        "h/a",
		"h/a?":                       "h/a?",
		"h/a?utm_":                   "h/a",
		"h/a?b=1&fbclid&c&utm_x=2&b": "h/a?b=1&c&b",
		"h/a?fbclids=1&FBCLID=2":     "h/a?fbclids=1&FBCLID=2",
		"h/a?b&&fbclid":              "h/a?b&",
		"h/a?b=?&fbclid=":            "h/a?b=?",
		"h/a?fbclid;x":               "h/a?fbclid;x",
		"h/a#b?fbclid":               "h/a#b?fbclid",
	} {
		if found := (ignored{"fbclid", "utm_*"}).trim(text); found != trimmed {
			t.Errorf("%s: %s", text, found)
		}
	}
}

func TestInvalidArguments(t *testing.T) {
	for words, says := range map[string]string{
		"":                           "expected one of",
		"--all --site www":           "expected one of",
		"--all https://www/":         "expected one of",
		"--site":                     "--site needs a value",
		"--all --path /a":            "--path needs --site",
		"www.example.org/a":          "not a URL",
		"ftp://www.example.org/a":    "not a URL",
		"https:///a":                 "not a URL",
		"https://user@example.org/a": "not a URL",
		"--everything":               "not a URL",
	} {
		if _, err := parse(strings.Fields(words)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", words, err)
		}
	}
}

func TestRemove(t *testing.T) {
	nginx := newFake(t)
	long := "www.example.org/long?" + strings.Repeat("x", 5000)
	for _, key := range []string{"www.example.org/a", "www.example.org/b", "example.org/a", long} {
		nginx.store(t, key, "")
	}
	nginx.store(t, "www.example.org/a", "variant")
	nginx.place(t, strings.Repeat("0", 32), []byte("cut off"))
	nginx.place(t, strings.Repeat("1", 32), bytes.Repeat([]byte{255}, 400))
	if err := os.WriteFile(filepath.Join(nginx.dir, "0", "00", strings.Repeat("0", 32)+".0000000001"), fileOf("www.example.org/a"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		words   string
		objects int64
	}{
		{"https://www.example.org/none", 0},
		{"https://www.example.org/a", 2},
		{"https://www.example.org/a", 0},
		{"https://" + long, 1},
		{"--site www.example.org", 1},
		{"--all", 3}, // example.org/a, and two files that are not responses
	} {
		result, err := remove(nginx.dir, nginx.socket, chosen(t, strings.Fields(test.words)...))
		if err != nil || result.Objects != test.objects || (result.Bytes > 0) != (test.objects > 0) {
			t.Errorf("%.60s: %+v, %v", test.words, result, err)
		}
	}
	if len(nginx.removed) != 7 {
		t.Errorf("removed %d", len(nginx.removed))
	}
}

func TestRemoveInParts(t *testing.T) {
	nginx := newFake(t)
	for number := range mostNames + 10 {
		nginx.place(t, fmt.Sprintf("%032x", number<<12), fileOf(fmt.Sprintf("www.example.org/%d", number)))
	}
	if result, err := remove(nginx.dir, nginx.socket, chosen(t, "--all")); err != nil || result.Objects != mostNames+10 || nginx.requests != 2 {
		t.Errorf("%+v, %v, %d requests", result, err, nginx.requests)
	}
}

func TestRemoveWithoutCacheOrNginx(t *testing.T) {
	nginx := newFake(t)
	if result, err := remove(nginx.dir, nginx.socket, chosen(t, "--all")); err != nil || result.Objects != 0 {
		t.Errorf("no directory: %+v, %v", result, err)
	}
	nginx.store(t, "www.example.org/a", "")
	nginx.status = http.StatusBadRequest
	if _, err := remove(nginx.dir, nginx.socket, chosen(t, "--all")); err == nil || !strings.Contains(err.Error(), "nginx responds with 400") {
		t.Errorf("refused: %v", err)
	}
	if _, err := remove(nginx.dir, filepath.Join(nginx.dir, "none"), chosen(t, "--all")); err == nil || !strings.Contains(err.Error(), "nginx does not respond") {
		t.Errorf("away: %v", err)
	}
}

func BenchmarkSite(b *testing.B) {
	dir := b.TempDir()
	for number := range 40_000 {
		key := fmt.Sprintf("www.example.org/%d", number)
		sum := md5.Sum([]byte(key))
		name := hex.EncodeToString(sum[:])
		path := filepath.Join(dir, name[31:32], name[29:31])
		if err := os.MkdirAll(path, 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, name), fileOf(key), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c, _ := parse([]string{"--site", "www.example.org", "--path", "/none"})
	for b.Loop() {
		if _, err := remove(dir, "", c); err != nil {
			b.Fatal(err)
		}
	}
}
