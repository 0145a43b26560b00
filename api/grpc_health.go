package api

import (
	"net/http"
	"slices"

	"google.golang.org/grpc/codes"

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
		if !isCall(w, r) {
			return
		}
		s := newStream(w)
		defer s.end()
		message, err := question(r)
		name, fields := "", wire.NewFields(message)
		for fields.Next() {
			if fields.ID == 1<<3|wire.Length {
				name = string(fields.Body)
			}
		}
		if fields.Broken {
			err = trace.Errorf(trace.Invalid, "broken message")
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
