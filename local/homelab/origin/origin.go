package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

type origin struct {
	mux  *http.ServeMux
	mu   sync.Mutex
	hits hits
	as   url.Values // the switches of /api/behave
}

type hits struct {
	Total       int            `json:"total"`
	Paths       map[string]int `json:"paths"`
	Connections map[string]int `json:"connections"` // by the address listened on
}

// Visitors choose the paths: past this many, new ones count in the total only.
const maxPaths = 1000

func newOrigin() *origin {
	o := &origin{mux: http.NewServeMux(), hits: hits{Paths: map[string]int{}, Connections: map[string]int{}}}
	o.mux.HandleFunc("GET /", o.page)
	o.mux.HandleFunc("GET /echo", echo)
	o.mux.HandleFunc("GET /api/hits", o.count)
	o.mux.HandleFunc("POST /api/behave", o.behave)
	o.mux.HandleFunc("POST /api/upload", upload)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) { o.mux.ServeHTTP(w, r) }

func (o *origin) page(w http.ResponseWriter, r *http.Request) {
	number, as := o.hit(r)
	for name, values := range r.URL.Query() {
		as[name] = values
	}
	how, err := parse(as)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(how.sleep):
	case <-r.Context().Done():
		return // the client has gone
	}
	if how.cache != "" {
		w.Header().Set("Cache-Control", how.cache)
	}
	if how.size >= 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if !how.chunked {
			w.Header().Set("Content-Length", strconv.Itoa(how.size))
		}
		w.WriteHeader(how.status)
		if how.chunked {
			// Sent by themselves: of an answer that fits its buffer, net/http would find out the length and say it. An error here is a client that went away.
			_ = http.NewResponseController(w).Flush()
		}
		fill(w, how.size)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(how.status)
	// An error here is a client that went away.
	_ = html.Execute(w, map[string]any{
		"Hit": number, "Host": r.Host, "Path": r.URL.Path, "Status": how.status,
		"Time": time.Now().UTC().Format(time.RFC1123), "Forwarded": r.Header.Get("X-Forwarded-For"),
	})
}

// hit counts a request and returns its number and a copy of the standing switches.
func (o *origin) hit(r *http.Request) (int, url.Values) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hits.Total++
	if _, known := o.hits.Paths[r.URL.Path]; known || len(o.hits.Paths) < maxPaths {
		o.hits.Paths[r.URL.Path]++
	}
	as := maps.Clone(o.as)
	if as == nil {
		as = url.Values{}
	}
	return o.hits.Total, as
}

// countConnections returns a hook for http.Server that counts the connections taken on an address.
func (o *origin) countConnections(address string) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state != http.StateNew {
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.hits.Connections[address]++
	}
}

func (o *origin) count(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	writeJSON(w, o.hits)
}

func (o *origin) behave(w http.ResponseWriter, r *http.Request) {
	as := r.URL.Query()
	if _, err := parse(as); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	o.as = as
	o.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func upload(w http.ResponseWriter, r *http.Request) {
	bytes, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, fmt.Sprintf("the body ended after %d bytes: %v", bytes, err), http.StatusBadRequest)
		return
	}
	if size := r.URL.Query().Get("size"); size != "" && size != strconv.FormatInt(bytes, 10) {
		http.Error(w, fmt.Sprintf("the body had %d bytes, size is %q", bytes, size), http.StatusBadRequest)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(w, "%d\n", bytes)
}

func echo(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, map[string]any{
		"method": r.Method, "path": r.URL.RequestURI(), "host": r.Host, "remote": r.RemoteAddr, "headers": r.Header,
	})
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(value)
}

type behaviour struct {
	sleep   time.Duration
	status  int
	cache   string
	size    int // -1: the page
	chunked bool
}

const (
	maxSleep = time.Minute
	maxSize  = 64 << 20
)

func parse(as url.Values) (behaviour, error) {
	how := behaviour{status: http.StatusOK, cache: as.Get("cache"), size: -1, chunked: as.Has("chunked")}
	var err error
	if text := as.Get("sleep"); text != "" {
		if how.sleep, err = time.ParseDuration(text); err != nil || how.sleep < 0 || how.sleep > maxSleep {
			return how, fmt.Errorf("sleep is %q: write a duration from 0s to %s, such as 1500ms", text, maxSleep)
		}
	}
	if text := as.Get("status"); text != "" {
		if how.status, err = strconv.Atoi(text); err != nil || how.status < 200 || how.status > 599 {
			return how, fmt.Errorf("status is %q: write a number from 200 to 599", text)
		}
	}
	if text := as.Get("size"); text != "" {
		if how.size, err = strconv.Atoi(text); err != nil || how.size < 0 || how.size > maxSize {
			return how, fmt.Errorf("size is %q: write a number of bytes from 0 to %d", text, maxSize)
		}
	}
	return how, nil
}

var text = strings.Repeat("All work and no play makes a cache a dull box.\n", 1400)

func fill(w http.ResponseWriter, size int) {
	for size > 0 {
		n, err := w.Write([]byte(text[:min(size, len(text))]))
		if err != nil {
			return
		}
		size -= n
	}
}

var html = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A server at home</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 12vh auto; padding: 0 1rem; color: #223; }
  h1 { font-size: 1.6rem; } dt { color: #667; } dd { margin: 0 0 .6rem; font-variant-numeric: tabular-nums; }
</style>
<h1>Hello from a server at home</h1>
<p>This page was made behind the PoPs. Load it again: while the number stays, a PoP answered from its cache and home was not asked.</p>
<dl>
  <dt>Request that reached home</dt><dd>number {{.Hit}}</dd>
  <dt>Made at</dt><dd>{{.Time}}</dd>
  <dt>For</dt><dd>{{.Host}}{{.Path}}</dd>
  <dt>Client, as reported by the PoP (X-Forwarded-For)</dt><dd>{{with .Forwarded}}{{.}}{{else}}not reported{{end}}</dd>
  {{if ne .Status 200}}<dt>Status</dt><dd>{{.Status}}</dd>{{end}}
</dl>
</html>
`))
