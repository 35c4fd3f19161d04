package purge

import (
	"slices"
	"strings"
)

// ignored are the parameters of a query that a site ignores (image/nginx/query.c), as in the key:
// www.example.org[fbclid,utm_*]/img/a.png. `*` at the end of a name matches anything; alone, the whole query.
type ignored []string

func (i ignored) isAll() bool { return slices.Contains(i, "*") }

func (i ignored) has(parameter string) bool {
	if strings.ContainsAny(parameter, ";#") {
		return false
	}
	name, _, _ := strings.Cut(parameter, "=")
	return slices.ContainsFunc(i, func(one string) bool {
		start, isStart := strings.CutSuffix(one, "*")
		return name == one || isStart && strings.HasPrefix(name, start)
	})
}

// trim removes ignored parameters from a target as the visitor wrote it.
func (i ignored) trim(text string) string {
	path, query, found := strings.Cut(text, "?")
	if !found || len(i) == 0 || strings.Contains(path, "#") {
		return text
	}
	if i.isAll() {
		return path
	}
	all := strings.Split(query, "&")
	kept := slices.DeleteFunc(slices.Clone(all), i.has)
	if len(kept) == 0 {
		return path
	}
	return path + "?" + strings.Join(kept, "&")
}
