package probe

import "testing"

func TestParseStubStatus(t *testing.T) {
	const text = "Active connections: 7 \nserver accepts handled requests\n 30 29 400 \nReading: 1 Writing: 2 Waiting: 4 \n"
	if status, err := parseStubStatus(text); err != nil || status != (StubStatus{7, 30, 29, 400, 1, 2, 4}) {
		t.Errorf("%+v %v", status, err)
	}
	for _, text := range []string{
		"", "ok", "Active connections: many", "Active connections: 7 server accepts handled requests 30 29 400 Reading: 1 Writing: 2 Waiting: x",
		"Active connections: 7 server accepts handled requests 30 29 400 Reading: 1 Writing: 2 Pending: 4",
		"Active connections: 7 server accepts handled requests 30 29 400 Reading: 1 Writing: 2 Waiting: 4 more",
	} {
		if status, err := parseStubStatus(text); err == nil {
			t.Errorf("%q is %+v", text, status)
		}
	}
}
