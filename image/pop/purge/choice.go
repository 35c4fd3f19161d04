package purge

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// choice says which responses are removed. A key is a site's host and the request's target as the visitor wrote it: www.example.org/img/a.png?v=2. If a site
// has several names, the requested one is part of the key: www.example.org@example.net/img/a.png?v=2. Ignored parameters of the query are part of the key too,
// and left out of the query: www.example.org[utm_*]/img/a.png?v=2
type choice struct {
	all bool
	// Host of one site. Empty if targets contain the hosts.
	site string
	// Paths on the site. None: all.
	patterns []pattern
	// Single URLs.
	targets map[target]bool
	// The same from the host on, as they were written: which parameters a site ignores is known only from its keys.
	urls []string
}

// target is the target of a request. Escapes are decoded: a response is stored under each spelling that visitors used, and a purge of a page means all of them.
type target struct {
	// The requested name.
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
				return nil, fmt.Errorf("%s needs a value", word)
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
		return nil, errors.New("expected one of URL..., --site HOST, --all")
	}
	if len(found.patterns) > 0 && found.site == "" {
		return nil, errors.New("--path needs --site")
	}
	return found, nil
}

// urlOf returns www.example.org/img/a.png of the URL https://www.example.org/img/a.png. The fragment (#...) is dropped, as browsers do.
func urlOf(text string) (string, error) {
	whole, _, _ := strings.Cut(text, "#")
	scheme, rest, found := strings.Cut(whole, "://")
	if !found || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return "", fmt.Errorf("%s is not a URL such as https://www.example.org/page", text)
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, _, _ := strings.Cut(rest[:end], ":")
	if host == "" || strings.Contains(host, "@") {
		return "", fmt.Errorf("%s is not a URL such as https://www.example.org/page", text)
	}
	path := rest[end:]
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return strings.ToLower(host) + path, nil
}

func wanted(url string) target {
	_, _, asked := splitKey(url)
	return asked
}

// splitKey splits a key into the host of the site, the ignored parameters, and the target.
func splitKey(key string) (string, ignored, target) {
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
	site, without, t := splitKey(key)
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

// pattern is a path in which * matches anything. It matches any query, unless it contains one.
type pattern struct {
	path, query []string // the parts between the stars
	hasQuery    bool
}

func patternOf(text string) pattern {
	path, query, hasQuery := strings.Cut(text, "?")
	return pattern{strings.Split(unescape(path), "*"), strings.Split(unescape(query), "*"), hasQuery}
}

func (p pattern) matches(t target, without ignored) bool {
	return inOrder(p.path, t.path) && (!p.hasQuery || without.isAll() || t.hasQuery && inOrder(p.query, t.query))
}

// inOrder says whether the text consists of the pieces with anything between them.
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

// unescape decodes escapes. A text with an invalid one is returned unchanged.
func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}
