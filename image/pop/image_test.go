package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

var wantedContext, otherContext = strings.Repeat("0a1b", 16), strings.Repeat("9f8e", 16)

func TestTheWrongImageFails(t *testing.T) {
	for name, test := range map[string]struct {
		image  image
		reason string
	}{
		"another one": {image{otherContext, wantedContext}, "wrong image: context 0a1b0a1b0a1b0a1b is expected, this image was made from 9f8e9f8e9f8e9f8e"},
		"one from before images said": {image{"", wantedContext},
			"wrong image: context 0a1b0a1b0a1b0a1b is expected, this image does not say what it was made from"},
	} {
		t.Run(name, func(t *testing.T) {
			it := popWith(t, fine)
			it.image = test.image
			status, seen := get(t, it, "GET", "/healthz")
			if status != 503 || seen.Status != failing || seen.Components["image"] != (component{failing, test.reason}) || seen.Image != test.image.context {
				t.Errorf("%d %+v", status, seen)
			}
			// What Fly keeps of the body has the sentence in it.
			answer := httptest.NewRecorder()
			it.ServeHTTP(answer, httptest.NewRequest("GET", "/healthz", nil))
			if body := answer.Body.String(); !strings.Contains(body[:min(len(body), 180)], test.reason) {
				t.Errorf("the reason is not in the first 180 characters of %s", body)
			}
			wants(t, scrape(t, it), `pop_serving 0`, `pop_component_up{component="image"} 0`)
		})
	}
}

func TestTheRightImageIsTold(t *testing.T) {
	it := popWith(t, fine)
	it.image = image{wantedContext, wantedContext}
	status, seen := get(t, it, "GET", "/healthz")
	if status != 200 || seen.Components["image"].Status != ok || seen.Image != wantedContext {
		t.Errorf("%d %+v", status, seen)
	}
	wants(t, scrape(t, it), `pop_build_info{context="`+wantedContext+`"} 1`, `pop_component_up{component="image"} 1`)
}

func TestWhereNoImageIsExpectedAnyWillDo(t *testing.T) {
	for _, context := range []string{"", otherContext} {
		it := popWith(t, fine)
		it.image = image{context: context}
		status, seen := get(t, it, "GET", "/healthz")
		if _, there := seen.Components["image"]; status != 200 || there || seen.Image != context {
			t.Errorf("%q: %d %+v", context, status, seen)
		}
		if told := strings.Contains(scrape(t, it), "pop_build_info"); told != (context != "") {
			t.Errorf("%q: told is %v", context, told)
		}
	}
}

func TestTheImagesOwnWordIsNotTheMachines(t *testing.T) {
	t.Setenv(contextVariable, otherContext)
	t.Setenv(expectedContextVariable, wantedContext)
	if found := imageOfEnvironment(); found != (image{otherContext, wantedContext}) {
		t.Errorf("%+v", found)
	}
}
