package health

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
		"another one": {image{otherContext, wantedContext}, "wrong image: expected context 0a1b0a1b0a1b0a1b, and this image was made from 9f8e9f8e9f8e9f8e"},
		"an image from before this check": {image{"", wantedContext},
			"wrong image: expected context 0a1b0a1b0a1b0a1b, and this image does not say what it was made from"},
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			h.image = test.image
			status, seen := get(t, h, "GET", "/healthz")
			if status != 503 || seen.Status != failing || seen.Components["image"] != (component{failing, test.reason}) || seen.Image != test.image.context {
				t.Errorf("%d %+v", status, seen)
			}
			// The reason is in the part of the body that Fly keeps.
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
			if body := w.Body.String(); !strings.Contains(body[:min(len(body), 180)], test.reason) {
				t.Errorf("the reason is not in the first 180 characters of %s", body)
			}
			wants(t, scrape(t, h), `pop_serving 0`, `pop_component_up{component="image"} 0`)
		})
	}
}

func TestTheRightImageIsReported(t *testing.T) {
	h := popWith(t, fine)
	h.image = image{wantedContext, wantedContext}
	status, seen := get(t, h, "GET", "/healthz")
	if status != 200 || seen.Components["image"].Status != ok || seen.Image != wantedContext {
		t.Errorf("%d %+v", status, seen)
	}
	wants(t, scrape(t, h), `pop_build_info{context="`+wantedContext+`"} 1`, `pop_component_up{component="image"} 1`)
}

func TestWithoutAnExpectedImageAnyIsFine(t *testing.T) {
	for _, context := range []string{"", otherContext} {
		h := popWith(t, fine)
		h.image = image{context: context}
		status, seen := get(t, h, "GET", "/healthz")
		if _, there := seen.Components["image"]; status != 200 || there || seen.Image != context {
			t.Errorf("%q: %d %+v", context, status, seen)
		}
		if reported := strings.Contains(scrape(t, h), "pop_build_info"); reported != (context != "") {
			t.Errorf("%q: reported is %v", context, reported)
		}
	}
}

func TestImageAndMachineSetDifferentVariables(t *testing.T) {
	t.Setenv(contextVariable, otherContext)
	t.Setenv(expectedContextVariable, wantedContext)
	if found := imageFromEnv(); found != (image{otherContext, wantedContext}) {
		t.Errorf("%+v", found)
	}
}
