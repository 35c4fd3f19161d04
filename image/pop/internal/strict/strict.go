// Package strict decodes JSON that people write. Unknown fields are errors, with their paths.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Decode decodes one JSON object into a struct.
func Decode(text []byte, into any) error {
	var raw any
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&raw); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("expected one object, but there is more")
	}
	if unknown := unknownFields(raw, reflect.TypeOf(into), ""); len(unknown) > 0 {
		return fmt.Errorf("unknown: %s", strings.Join(unknown, ", "))
	}
	err := json.Unmarshal(text, into)
	if wrong, is := errors.AsType[*json.UnmarshalTypeError](err); is {
		return fmt.Errorf("%s is a %s, expected %s", fieldPath(wrong.Field), wrong.Value, wrong.Type)
	}
	return err
}

// fieldPath leaves out the names of embedded structs, which exist only in Go. Names in JSON start with a lower-case letter here.
func fieldPath(path string) string {
	steps := slices.DeleteFunc(strings.Split(path, "."), func(step string) bool { return step != "" && unicode.IsUpper(rune(step[0])) })
	if field := strings.Join(steps, "."); field != "" {
		return field
	}
	return "it"
}

// unknownFields returns the path of each key of a decoded JSON value that its type does not have: otherwise a typo would count as "not set". Names must match
// exactly; encoding/json accepts "Owner" for "owner", and does not return the path of an unknown field.
func unknownFields(value any, shape reflect.Type, path string) []string {
	for shape.Kind() == reflect.Pointer {
		shape = shape.Elem()
	}
	var unknown []string
	switch value := value.(type) {
	case []any:
		if shape.Kind() != reflect.Slice {
			return nil // encoding/json reports the wrong type
		}
		for i, item := range value {
			unknown = append(unknown, unknownFields(item, shape.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
		}
	case map[string]any:
		for key, item := range value {
			where := strings.TrimPrefix(path+"."+key, ".")
			if shape.Kind() == reflect.Map { // any key is allowed, but not any value
				unknown = append(unknown, unknownFields(item, shape.Elem(), where)...)
				continue
			}
			if shape.Kind() != reflect.Struct {
				return nil // encoding/json reports the wrong type
			}
			if field, found := fieldOf(shape, key); found {
				unknown = append(unknown, unknownFields(item, field.Type, where)...)
			} else {
				unknown = append(unknown, where)
			}
		}
	}
	slices.Sort(unknown)
	return unknown
}

func fieldOf(shape reflect.Type, key string) (reflect.StructField, bool) {
	for _, field := range reflect.VisibleFields(shape) { // including those of embedded structs
		if field.Tag.Get("json") == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}
