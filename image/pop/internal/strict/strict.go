// Package strict reads JSON that people write: what it does not know it refuses, by path.
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

// Decode fills a struct from one JSON object.
func Decode(text []byte, into any) error {
	var raw any
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&raw); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("there is more in it than one object")
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

// fieldPath leaves out the names of embedded structs, which are Go's alone: JSON's start with a small letter here.
func fieldPath(path string) string {
	steps := slices.DeleteFunc(strings.Split(path, "."), func(step string) bool { return step != "" && unicode.IsUpper(rune(step[0])) })
	if field := strings.Join(steps, "."); field != "" {
		return field
	}
	return "it"
}

// unknownFields names each key of a decoded JSON value that its type does not have, by its path: a typo would pass as "not set" otherwise. Names must match
// to the letter; encoding/json alone takes "Owner" for "owner", and does not say where an unknown one stands.
func unknownFields(value any, shape reflect.Type, path string) []string {
	for shape.Kind() == reflect.Pointer {
		shape = shape.Elem()
	}
	var unknown []string
	switch value := value.(type) {
	case []any:
		if shape.Kind() != reflect.Slice {
			return nil // encoding/json says what is wrong with the type
		}
		for i, item := range value {
			unknown = append(unknown, unknownFields(item, shape.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
		}
	case map[string]any:
		for key, item := range value {
			where := strings.TrimPrefix(path+"."+key, ".")
			if shape.Kind() == reflect.Map { // its keys are free, what lies under them is not
				unknown = append(unknown, unknownFields(item, shape.Elem(), where)...)
				continue
			}
			if shape.Kind() != reflect.Struct {
				return nil // encoding/json says what is wrong with the type
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
	for _, field := range reflect.VisibleFields(shape) { // those of embedded structs too
		if field.Tag.Get("json") == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}
