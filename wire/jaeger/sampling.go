package jaeger

import (
	"encoding/json"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// Strategy says how a service should sample its traces.
//
// Source: jaeger-idl, proto/api_v2/sampling.proto and thrift/sampling.thrift.
type Strategy struct {
	RateLimiting bool        // else probabilistic
	Rate         float64     // probabilistic: the share of traces to keep, 0 to 1
	PerSecond    int32       // rate limiting: the most traces to keep
	Operations   *Operations // nil: all are alike; else they count, for clients that know of them
}

// Operations says how to sample traces by the operation with which they begin.
type Operations struct {
	Default float64 // the share of traces of others
	List    []Operation
}

// Operation says which share of an operation's traces to keep.
type Operation struct {
	Name string
	Rate float64
}

// ServiceName returns the service that SamplingStrategyParameters ask for. An error is of kind Invalid.
func ServiceName(parameters []byte) (string, error) {
	f, name := wire.NewFields(parameters), ""
	for f.Next() {
		if f.ID == 1<<3|wire.Length {
			name = string(f.Body)
		}
	}
	if f.Broken {
		return "", trace.Errorf(trace.Invalid, "not SamplingStrategyParameters: broken field")
	}
	return name, nil
}

// AppendProto appends a SamplingStrategyResponse of sampling.proto.
func (s *Strategy) AppendProto(dst []byte) []byte {
	if s.RateLimiting {
		dst = protowire.AppendVarint(append(dst, 1<<3), 1)
		dst = protowire.AppendBytes(append(dst, 3<<3|2), protowire.AppendVarint([]byte{1 << 3}, uint64(s.PerSecond)))
	} else {
		dst = protowire.AppendBytes(append(dst, 2<<3|2), appendFloat(nil, 1, s.Rate))
	}
	if o := s.Operations; o != nil {
		body := appendFloat(nil, 1, o.Default)
		for _, op := range o.List {
			one := protowire.AppendString([]byte{1<<3 | 2}, op.Name)
			one = protowire.AppendBytes(append(one, 2<<3|2), appendFloat(nil, 1, op.Rate))
			body = protowire.AppendBytes(append(body, 3<<3|2), one)
		}
		dst = protowire.AppendBytes(append(dst, 4<<3|2), body)
	}
	return dst
}

func appendFloat(dst []byte, num protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(dst, num, protowire.Fixed64Type), math.Float64bits(v))
}

// JSON returns the answer over HTTP. classic: the type is a number, as the oldest clients expect it, else its name.
func (s *Strategy) JSON(classic bool) []byte {
	type probabilistic struct {
		SamplingRate float64 `json:"samplingRate"`
	}
	type rateLimiting struct {
		MaxTracesPerSecond int32 `json:"maxTracesPerSecond"`
	}
	type operation struct {
		Operation             string        `json:"operation"`
		ProbabilisticSampling probabilistic `json:"probabilisticSampling"`
	}
	type operations struct {
		DefaultSamplingProbability       float64     `json:"defaultSamplingProbability"`
		DefaultLowerBoundTracesPerSecond float64     `json:"defaultLowerBoundTracesPerSecond"`
		PerOperationStrategies           []operation `json:"perOperationStrategies"`
	}
	var out struct {
		StrategyType          any            `json:"strategyType"`
		ProbabilisticSampling *probabilistic `json:"probabilisticSampling,omitempty"`
		RateLimitingSampling  *rateLimiting  `json:"rateLimitingSampling,omitempty"`
		OperationSampling     *operations    `json:"operationSampling,omitempty"`
	}
	kind, name := 0, "PROBABILISTIC"
	if s.RateLimiting {
		kind, name = 1, "RATE_LIMITING"
		out.RateLimitingSampling = &rateLimiting{s.PerSecond}
	} else {
		out.ProbabilisticSampling = &probabilistic{s.Rate}
	}
	if out.StrategyType = any(name); classic {
		out.StrategyType = kind
	}
	if o := s.Operations; o != nil {
		out.OperationSampling = &operations{DefaultSamplingProbability: o.Default, PerOperationStrategies: []operation{}}
		for _, op := range o.List {
			out.OperationSampling.PerOperationStrategies = append(out.OperationSampling.PerOperationStrategies, operation{op.Name, probabilistic{op.Rate}})
		}
	}
	b, err := json.Marshal(out)
	if err != nil { // numbers are finite
		panic(err)
	}
	return b
}
