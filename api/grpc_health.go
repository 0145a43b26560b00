package api

import (
	"net/http"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// HealthMethod is the path of what Kubernetes' probes of gRPC, load balancers and grpc_health_probe call.
//
// Source: gRPC's "GRPC Health Checking Protocol".
const HealthMethod = "/grpc.health.v1.Health/Check"

// Health answers that a service of a name serves, or that there is none. It takes no turn: a server that has much to answer must not be taken
// for a dead one.
func Health(services ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 || !wire.IsGRPC(r) {
			http.Error(w, "this is a call of gRPC, which is POST over HTTP/2 with content-type application/grpc", http.StatusUnsupportedMediaType)
			return
		}
		s := newStream(w)
		defer s.end()
		message, err := question(r)
		name := ""
		for b := message; len(b) > 0 && err == nil; {
			number, typ, n := protowire.ConsumeField(b)
			if n < 0 {
				err = trace.Errorf(trace.Invalid, "broken message")
				break
			}
			if number == 1 && typ == protowire.BytesType {
				_, _, tag := protowire.ConsumeTag(b)
				text, _ := protowire.ConsumeBytes(b[tag:])
				name = string(text)
			}
			b = b[n:]
		}
		switch {
		case err != nil:
			s.fail(codes.InvalidArgument, trace.ErrorOf(err).Msg)
		case name != "" && !slices.Contains(services, name):
			s.fail(codes.NotFound, "there is no service of that name here")
		default:
			if s.send([]byte{1 << 3, 1}) == nil { // status: SERVING
				s.succeed()
			}
		}
	})
}
