package strict

import (
	"strings"
	"testing"
)

type Inner struct {
	Mode string `json:"mode"`
}

type outer struct {
	Name string `json:"name"`
	List []struct {
		Inner
		Port int `json:"port"`
	} `json:"list"`
	Free    map[string]int `json:"free"`
	Pointer *Inner         `json:"pointer"`
}

func TestDecode(t *testing.T) {
	for name, test := range map[string]struct{ text, says string }{
		"all it knows":          {`{"name": "a", "list": [{"mode": "b", "port": 1}], "free": {"any": 1}, "pointer": {"mode": "c"}}`, ""},
		"nothing":               {`{}`, ""},
		"null":                  {`{"pointer": null, "list": null}`, ""},
		"empty":                 {``, "not JSON"},
		"two objects":           {`{} {}`, "expected one object, but there is more"},
		"a list":                {`[]`, "it is a array"},
		"an unknown field":      {`{"nam": 1}`, "unknown: nam"},
		"another case":          {`{"Name": "a"}`, "unknown: Name"},
		"an unknown field deep": {`{"list": [{}, {"port": 1, "prot": 2}]}`, "unknown: list[1].prot"},
		"behind a pointer":      {`{"pointer": {"mod": 1}}`, "unknown: pointer.mod"},
		"several":               {`{"b": 1, "a": 2}`, "unknown: a, b"},
		"a wrong type":          {`{"list": [{"port": "1"}]}`, "list.port is a string, expected int"},
		"a wrong type embedded": {`{"list": [{"mode": 1}]}`, "list.mode is a number, expected string"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Decode([]byte(test.text), &outer{})
			if (err == nil) != (test.says == "") || (err != nil && !strings.Contains(err.Error(), test.says)) {
				t.Errorf("error is %v, want %q", err, test.says)
			}
		})
	}
}
