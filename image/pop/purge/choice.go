package purge

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// choice says which responses are removed. Keys are a site's host and the request's target as the visitor wrote it, www.example.org/img/a.png?v=2; where a site
// has several names, with the one that was asked for: www.example.org@example.net/img/a.png?v=2. Where parameters of the query do not tell responses apart, with
// those, and without them in the query: www.example.org[utm_*]/img/a.png?v=2
type choice struct {
	all bool
	// Of one site; empty if targets say all.
	site string
	// Of paths on the site; none: any.
	patterns []pattern
	// Single URLs.
	targets map[target]bool
	// The same as they were written, from the host on: what a site ignores of them is known when its keys are seen.
	urls []string
}

// target is what visitors ask for. Escapes are resolved: a response is stored under each spelling somebody used, and whoever purges a page means all of them.
type target struct {
	// What was asked for.
	host, path, query string
	hasQuery          bool
}

func parse(arguments []string) (*choice, error) {
	found := &choice{targets: map[target]bool{}}
	for len(arguments) > 0 {
		word := arguments[0]
		arguments = arguments[1:]
		switch word {
		case "--all":
			found.all = true
		case "--site", "--path":
			if len(arguments) == 0 {
				return nil, fmt.Errorf("%s takes a value", word)
			}
			if word == "--site" {
				found.site = strings.ToLower(arguments[0])
			} else {
				found.patterns = append(found.patterns, patternOf(arguments[0]))
			}
			arguments = arguments[1:]
		default:
			url, err := urlOf(word)
			if err != nil {
				return nil, err
			}
			found.urls = append(found.urls, url)
			found.targets[wanted(url)] = true
		}
	}
	kinds := 0
	for _, is := range []bool{found.all, found.site != "", len(found.targets) > 0} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return nil, errors.New("takes one of URL..., --site HOST, --all")
	}
	if len(found.patterns) > 0 && found.site == "" {
		return nil, errors.New("--path goes with --site")
	}
	return found, nil
}

// urlOf reads a URL, https://www.example.org/img/a.png, and leaves www.example.org/img/a.png of it. What stands behind # is the visitor's own.
func urlOf(text string) (string, error) {
	whole, _, _ := strings.Cut(text, "#")
	scheme, rest, found := strings.Cut(whole, "://")
	if !found || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return "", fmt.Errorf("%s is not a URL as https://www.example.org/page", text)
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, _, _ := strings.Cut(rest[:end], ":")
	if host == "" || strings.Contains(host, "@") {
		return "", fmt.Errorf("%s is not a URL as https://www.example.org/page", text)
	}
	path := rest[end:]
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return strings.ToLower(host) + path, nil
}

func wanted(url string) target {
	_, _, asked := apart(url)
	return asked
}

// apart takes a key apart: the host of the site, what does not tell its responses apart, and what was asked for.
func apart(key string) (string, ignored, target) {
	at := strings.IndexByte(key, '/')
	if at < 0 {
		at = len(key)
	}
	var without ignored
	names, list, isTrimmed := strings.Cut(strings.TrimSuffix(key[:at], "]"), "[")
	if isTrimmed {
		without = strings.Split(list, ",")
	}
	site, asked, hasSeveral := strings.Cut(names, "@")
	if !hasSeveral {
		asked = site
	}
	path, query, hasQuery := strings.Cut(key[at:], "?")
	return site, without, target{asked, unescape(path), unescape(query), hasQuery}
}

func (c *choice) has(key string) bool {
	site, without, t := apart(key)
	if c.site == "" {
		if len(without) == 0 {
			return c.targets[t]
		}
		return slices.ContainsFunc(c.urls, func(url string) bool { return wanted(without.trim(url)) == t })
	}
	if site != c.site {
		return false
	}
	for _, pattern := range c.patterns {
		if pattern.matches(t, without) {
			return true
		}
	}
	return len(c.patterns) == 0
}

// pattern is a path in which * stands for anything. Whatever the query, unless it says one itself.
type pattern struct {
	path, query []string // what stands between the stars
	hasQuery    bool
}

func patternOf(text string) pattern {
	path, query, hasQuery := strings.Cut(text, "?")
	return pattern{strings.Split(unescape(path), "*"), strings.Split(unescape(query), "*"), hasQuery}
}

func (p pattern) matches(t target, without ignored) bool {
	return inOrder(p.path, t.path) && (!p.hasQuery || without.isAll() || t.hasQuery && inOrder(p.query, t.query))
}

// inOrder says whether the pieces make the text, with anything between them.
func inOrder(pieces []string, text string) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return text == first
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for _, piece := range pieces[1 : len(pieces)-1] {
		at := strings.Index(text, piece)
		if at < 0 {
			return false
		}
		text = text[at+len(piece):]
	}
	return strings.HasSuffix(text, last)
}

// unescape resolves escapes; a text with a broken one stays as it is.
func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}
