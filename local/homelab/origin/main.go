// Origin is the web server of a home, as small as one can be and still show what happens on the way: it counts the requests that
// really reached it, so that a cache in front can be seen at work, and it can be set to be slow or to fail.
//
//	GET  /            a page: hit number, time, the X-Forwarded-For it saw. Any other path is such a page too.
//	GET  /echo        JSON: method, path, host, remote address and headers of this request
//	GET  /api/hits    JSON: {"total": 3, "paths": {"/": 2, "/a": 1}, "connections": {":8080": 2}}: pages, and TCP connections by the address they came to
//	POST /api/upload  takes a body of any length; with size=N in the query it answers 400 to one of any other length
//	POST /api/behave  how pages behave from now on, by the switches below in its query; without any, as at the start
//
// Switches, in the query of a page for this one request, or of /api/behave for all that follow (a page's own win):
//
//	sleep=1500ms      wait so long before the answer, a minute at most
//	status=503        answer with this status, 200 to 599
//	cache=max-age=60  the Cache-Control header; without it there is none
//	size=1048576      that many bytes of text instead of the page, 64 MiB at most
//	chunked=yes       with size: the answer does not say its length beforehand
//
// It listens on the address of its first argument, such as 100.64.0.1:8080, and writes a line for each request. With three more, an address and PEM files
// of a certificate and its key, it answers there by https as well.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 && len(os.Args) != 5 {
		log.Fatal("origin: takes one argument, the address to listen on, such as 100.64.0.1:8080, or four: that, the address for https, a certificate and its key")
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o := newOrigin()
	plain := o.server(os.Args[1])
	servers := []*http.Server{plain}
	failed := make(chan error)
	log.Printf("origin listens on %s", plain.Addr)
	go func() { failed <- plain.ListenAndServe() }()
	if len(os.Args) == 5 {
		secure := o.server(os.Args[2])
		servers = append(servers, secure)
		log.Printf("origin listens on %s, https", secure.Addr)
		go func() { failed <- secure.ListenAndServeTLS(os.Args[3], os.Args[4]) }()
	}
	select {
	case err := <-failed:
		log.Fatalf("origin: cannot serve: %v", err)
	case <-stopped.Done():
	}
	timeout, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for _, server := range servers {
		_ = server.Shutdown(timeout) // what is still open then is cut by the exit
	}
}

func (o *origin) server(address string) *http.Server {
	return &http.Server{
		Addr:              address,
		Handler:           logged(o),
		ConnState:         o.countConnections(address),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
}

// logged writes one line per request: time, client, forwarded client, request, status, bytes, duration.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		answer := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		forwarded := r.Header.Get("X-Forwarded-For")
		if forwarded == "" {
			forwarded = "-"
		}
		log.Printf("%s %s %q %q %d %d %s", begin.UTC().Format(time.RFC3339), r.RemoteAddr, forwarded,
			r.Method+" "+r.Host+r.RequestURI, answer.status, answer.bytes, time.Since(begin).Round(time.Millisecond))
	})
}

type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) Write(bytes []byte) (int, error) {
	n, err := r.ResponseWriter.Write(bytes)
	r.bytes += n
	return n, err
}
