package openapi

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"unicode"
)

// object is a JSON object.
type object = map[string]any

// Ref is an answer whose schema is one of those that the document has by name.
type Ref string

// OneOf is implemented by a type whose values are one of several types: it returns a value of each. A slice that implements it has such elements.
type OneOf interface{ OneOf() []any }

// patterns are the forms of texts, by the name that a field's tag "form" has for them.
var patterns = map[string]object{
	"time":        {"type": "string", "pattern": "^[0-9]{1,20}$", "description": "Unix nanoseconds, in decimal"},
	"trace":       {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "trace ID"},
	"span":        {"type": "string", "pattern": "^[0-9a-f]{16}$", "description": "span ID"},
	"spanOrEmpty": {"type": "string", "pattern": "^([0-9a-f]{16})?$", "description": "span ID, or empty"},
	"date":        {"type": "string", "format": "date-time"},
}

// schemas collects the schemas of types by their names.
type schemas struct {
	named object
	types map[string]reflect.Type
}

// of returns the schema of a type as encoding/json writes it. Fields say more by tags: doc, what they are; form, one of patterns; enum, which texts there are.
// All fields are there but those with omitempty or omitzero, and no others.
func (s *schemas) of(t reflect.Type) object {
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Uint, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Slice:
		if one, ok := reflect.TypeAssert[OneOf](reflect.Zero(t)); ok {
			return object{"type": "array", "items": s.oneOf(one)}
		}
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		return s.ref(t)
	}
	panic(fmt.Sprintf("there is no schema of %v", t))
}

func (s *schemas) oneOf(one OneOf) object {
	var all []object
	for _, v := range one.OneOf() {
		all = append(all, s.of(reflect.TypeOf(v)))
	}
	return object{"oneOf": all}
}

// ref returns a reference to the schema of a struct, which is added if it is not there.
func (s *schemas) ref(t reflect.Type) object {
	name := []rune(t.Name())
	if len(name) == 0 {
		return s.structure(t)
	}
	name[0] = unicode.ToUpper(name[0])
	key := string(name)
	if known, ok := s.types[key]; !ok {
		s.types[key] = t
		s.named[key] = s.structure(t)
	} else if known != t {
		panic(fmt.Sprintf("%v and %v have one name in the document", known, t))
	}
	return object{"$ref": "#/components/schemas/" + key}
}

func (s *schemas) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	s.fields(t, func(name string, optional bool, schema object) {
		properties[name] = schema
		if !optional {
			required = append(required, name)
		}
	})
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func (s *schemas) fields(t reflect.Type, add func(name string, optional bool, schema object)) {
	for f := range t.Fields() {
		if f.Anonymous {
			s.fields(f.Type, add)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		add(name, strings.Contains(options, "omit"), s.field(&f))
	}
}

func (s *schemas) field(f *reflect.StructField) object {
	var schema object
	if form := f.Tag.Get("form"); form != "" {
		schema = maps.Clone(patterns[form])
	} else {
		schema = s.of(f.Type)
	}
	if enum := f.Tag.Get("enum"); enum != "" {
		inner := schema
		if f.Type.Kind() == reflect.Slice {
			inner = schema["items"].(object)
		}
		inner["enum"] = strings.Split(enum, ",")
	}
	if doc := f.Tag.Get("doc"); doc != "" {
		schema["description"] = doc
	}
	return schema
}
