package load

import "strings"

// The exceptions that the shop's operations record, in the form their languages write them.
var (
	errUpstream = &exception{"Error", "upstream request failed", nodeStacks("Error: upstream request failed", "render", "fetchUpstream", "handleRequest")}
	errToken    = &exception{"*errors.errorString", "token is expired", goStacks("auth.(*Verifier).Verify", "auth.(*Server).Validate")}
	errDatabase = &exception{"*pgconn.PgError", "canceling statement due to statement timeout (SQLSTATE 57014)", goStacks("catalog.(*Store).Get", "catalog.(*Server).GetProduct")}
	errCart     = &exception{"StackExchange.Redis.RedisTimeoutException", "Timeout performing HGET (5000ms), next: HGET, inst: 0, qu: 0, qs: 3, aw: False", dotnetStacks()}
	errTimeout  = &exception{"TimeoutError", "ranking took longer than 250 ms", pythonStacks()}
	errAds      = &exception{"java.lang.IllegalStateException", "no campaign is active", javaStacks("java.lang.IllegalStateException: no campaign is active", "shop.ad.Campaigns.pick", "shop.ad.AdService.getAds")}
	errPool     = &exception{"java.sql.SQLTransientConnectionException", "HikariPool-1 - Connection is not available, request timed out after 30000ms", javaStacks("java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 30000ms", "com.zaxxer.hikari.pool.HikariPool.getConnection", "shop.inventory.StockRepository.available")}
	errSearch   = &exception{"org.elasticsearch.ElasticsearchStatusException", "all shards failed", javaStacks("org.elasticsearch.ElasticsearchStatusException: all shards failed", "org.elasticsearch.client.RestClient.performRequest", "shop.search.ProductIndex.query")}
	errPassword = &exception{"*auth.WrongPassword", "login or password is wrong", goStacks("auth.(*Server).Login", "auth.compare")}
	errQuote    = &exception{"RuntimeException", "no tariff for this weight", []string{"RuntimeException: no tariff for this weight in /var/www/app/quote.php:41\nStack trace:\n#0 /var/www/app/routes.php(28): calculateQuote(Array)\n#1 /var/www/vendor/slim/slim/Slim/Handlers/Strategies/RequestResponse.php(38): {closure}\n#2 /var/www/vendor/slim/slim/Slim/Routing/Route.php(363): invoke\n#3 {main}"}}
	errBank     = &exception{"*net.OpError", "read tcp 10.42.1.20:51544->203.0.113.80:443: read: connection reset by peer", goStacks("bank.(*Client).Charge", "http.(*Transport).roundTrip")}
	errCard     = &exception{"Error", "card issuer declined: insufficient funds", nodeStacks("Error: card issuer declined: insufficient funds", "charge", "authorize", "chargeServiceHandler")}
	errMail     = &exception{"Net::SMTPServerBusy", "450 4.2.1 mailbox temporarily unavailable", []string{"/usr/lib/ruby/3.4.0/net/smtp.rb:1098:in 'Net::SMTP#check_response'\n/usr/lib/ruby/3.4.0/net/smtp.rb:1060:in 'Net::SMTP#getok'\n/email/worker.rb:52:in 'Worker#deliver'\n/email/worker.rb:31:in 'block in Worker#run'\n/email/worker.rb:28:in 'Worker#run'"}}
)

// goStacks are two ways to the same place, as Go prints them.
func goStacks(inner, outer string) []string {
	frame := func(fn, at string) string { return fn + "(...)\n\t" + at + "\n" }
	head := "goroutine 8137 [running]:\n" + frame("runtime/debug.Stack", "/usr/local/go/src/runtime/debug/stack.go:26 +0x5e") +
		frame("go.opentelemetry.io/otel/sdk/trace.recordStackTrace", "/go/pkg/mod/go.opentelemetry.io/otel/sdk@v1.38.0/trace/span.go:567 +0x25") +
		frame(inner, "/src/server.go:212 +0x3f1")
	tail := frame(outer, "/src/server.go:131 +0x1c4") + frame("google.golang.org/grpc.(*Server).processUnaryRPC", "/go/pkg/mod/google.golang.org/grpc@v1.75.1/server.go:1431 +0x101c") +
		frame("google.golang.org/grpc.(*Server).handleStream", "/go/pkg/mod/google.golang.org/grpc@v1.75.1/server.go:1842 +0xcf3") +
		frame("created by google.golang.org/grpc.(*Server).serveStreams.func2", "/go/pkg/mod/google.golang.org/grpc@v1.75.1/server.go:1071 +0x14c")
	return []string{head + tail, head + frame("main.withDeadline", "/src/deadline.go:44 +0x88") + tail}
}

func javaStacks(first, inner, outer string) []string {
	at := func(fn, file string) string { return "\n\tat " + fn + "(" + file + ")" }
	top := first + at(inner, "Unknown Source") + at(outer, "Service.java:118")
	rest := at("io.grpc.stub.ServerCalls$UnaryServerCallHandler$UnaryServerCallListener.onHalfClose", "ServerCalls.java:182") +
		at("io.grpc.internal.ServerCallImpl$ServerStreamListenerImpl.halfClosed", "ServerCallImpl.java:356") +
		at("io.grpc.internal.ContextRunnable.run", "ContextRunnable.java:37") + at("io.grpc.internal.SerializingExecutor.run", "SerializingExecutor.java:133") +
		at("java.base/java.util.concurrent.ThreadPoolExecutor.runWorker", "ThreadPoolExecutor.java:1144") +
		at("java.base/java.util.concurrent.ThreadPoolExecutor$Worker.run", "ThreadPoolExecutor.java:642") + at("java.base/java.lang.Thread.run", "Thread.java:1583")
	return []string{top + rest, top + "\nCaused by: java.net.SocketTimeoutException: Read timed out" + at("java.base/sun.nio.ch.NioSocketImpl.timedRead", "NioSocketImpl.java:278") + "\n\t... 14 more"}
}

func nodeStacks(first string, frames ...string) []string {
	var b strings.Builder
	b.WriteString(first)
	for i, f := range frames {
		b.WriteString("\n    at " + f + " (/usr/src/app/" + [...]string{"charge.js:64:13", "index.js:41:22", "server.js:120:9"}[i%3] + ")")
	}
	b.WriteString("\n    at AsyncLocalStorage.run (node:internal/async_local_storage/async_context_frame:63:14)\n    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)")
	return []string{b.String()}
}

func dotnetStacks() []string {
	return []string{"StackExchange.Redis.RedisTimeoutException: Timeout performing HGET (5000ms)\n   at cart.cartstore.ValkeyCartStore.GetCartAsync(String userId) in /usr/src/app/src/cartstore/ValkeyCartStore.cs:line 178\n   at cart.services.CartService.GetCart(GetCartRequest request, ServerCallContext context) in /usr/src/app/src/services/CartService.cs:line 66\n   at Grpc.Shared.Server.UnaryServerMethodInvoker`3.ResolvedInterceptorInvoker(TRequest resolvedRequest, ServerCallContext resolvedContext)\n   at Grpc.AspNetCore.Server.Internal.CallHandlers.UnaryServerCallHandler`3.HandleCallAsyncCore(HttpContext httpContext, HttpContextServerCallContext serverCallContext)"}
}

func pythonStacks() []string {
	return []string{"Traceback (most recent call last):\n  File \"/srv/app/recommendation_server.py\", line 71, in ListRecommendations\n    ranked = rank(user, candidates)\n  File \"/srv/app/rank.py\", line 141, in rank\n    return future.result(timeout=0.25)\n  File \"/usr/local/lib/python3.13/concurrent/futures/_base.py\", line 458, in result\n    raise TimeoutError()\nTimeoutError: ranking took longer than 250 ms\n"}
}
