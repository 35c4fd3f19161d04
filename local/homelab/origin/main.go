// Origin is the web server of a home, as small as one can be and still show what happens on the way: it counts the requests that
// really reached it, so that a cache in front can be seen at work, and it can be told to be slow or to fail.
//
//	GET  /            a page: hit number, time, the X-Forwarded-For it saw. Any other path is such a page too.
//	GET  /echo        JSON: method, path, host, remote address and headers of this request
//	GET  /api/hits    JSON: {"total": 3, "paths": {"/": 2, "/a": 1}}, pages only
//	POST /api/behave  how pages behave from now on, by the switches below in its query; without any, as at the start
//
// Switches, in the query of a page for this one request, or of /api/behave for all that follow (a page's own win):
//
//	sleep=1500ms      wait so long before the answer, a minute at most
//	status=503        answer with this status, 200 to 599
//	cache=max-age=60  the Cache-Control header; without it there is none
//	size=1048576      that many bytes of text instead of the page, 64 MiB at most
//
// It listens on the address of its one argument, such as 100.64.0.1:8080, and writes a line for each request.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("origin: takes one argument, the address to listen on, such as 100.64.0.1:8080")
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server := &http.Server{
		Addr:              os.Args[1],
		Handler:           logged(newOrigin()),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	go func() {
		<-stopped.Done()
		patience, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_ = server.Shutdown(patience) // what is still open then is cut by the exit
	}()
	log.Printf("origin listens on %s", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatalf("origin: cannot listen on %s: %v", server.Addr, err)
	}
}

// logged writes one line a request: time, client, forwarded client, request, status, bytes, duration.
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

func (r *recorder) Write(bytes []byte) (int, error) {
	n, err := r.ResponseWriter.Write(bytes)
	r.bytes += n
	return n, err
}
