package purge

import (
	"slices"
	"strings"
)

// ignored are the parameters of a query that do not tell a site's responses apart (image/nginx/query.c), as the key says them:
// www.example.org[fbclid,utm_*]/img/a.png. `*` at a name's end stands for anything; alone, for the whole query.
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

// trim leaves out of a target, as the visitor wrote it, what is ignored.
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
