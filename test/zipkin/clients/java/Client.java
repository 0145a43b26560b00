import brave.Span;
import brave.Tracing;
import brave.handler.SpanHandler;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.zipkin.ZipkinSpanExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import zipkin2.reporter.AsyncReporter;
import zipkin2.reporter.BytesMessageSender;
import zipkin2.reporter.Encoding;
import zipkin2.reporter.SpanBytesEncoder;
import zipkin2.reporter.brave.ZipkinSpanHandler;
import zipkin2.reporter.libthrift.LibthriftSender;
import zipkin2.reporter.urlconnection.URLConnectionSender;

/** Sends the known spans with clients of Java: HTTP SCRIBE CLIENT..., where each CLIENT is a service that sends them and says how. */
public class Client {
  static String http, scribe;

  public static void main(String[] args) throws Exception {
    http = args[0];
    scribe = args[1];
    for (int i = 2; i < args.length; i++) {
      send(args[i]);
    }
    System.exit(0);
  }

  static void send(String name) throws Exception {
    switch (name) {
      case "brave-v1": brave(name, post("/api/v1/spans", Encoding.JSON), SpanBytesEncoder.JSON_V1); break;
      case "brave-thrift": brave(name, post("/api/v1/spans", Encoding.THRIFT), SpanBytesEncoder.THRIFT); break;
      case "brave-v2": brave(name, post("/api/v2/spans", Encoding.JSON), SpanBytesEncoder.JSON_V2); break;
      case "brave-proto": brave(name, post("/api/v2/spans", Encoding.PROTO3), SpanBytesEncoder.PROTO3); break;
      case "brave-scribe": {
        String[] at = scribe.split(":");
        brave(name, LibthriftSender.newBuilder().host(at[0]).port(Integer.parseInt(at[1])).build(), SpanBytesEncoder.THRIFT);
        break;
      }
      case "java-otel": openTelemetry(name); break;
      default: throw new IllegalArgumentException("unknown client " + name);
    }
  }

  static BytesMessageSender post(String path, Encoding encoding) {
    return URLConnectionSender.newBuilder().endpoint(http + path).encoding(encoding).build();
  }

  static void brave(String name, BytesMessageSender sender, SpanBytesEncoder encoder) throws Exception {
    AsyncReporter<zipkin2.Span> reporter = AsyncReporter.builder(sender).build(encoder);
    SpanHandler handler = ZipkinSpanHandler.create(reporter);
    Tracing tracing = Tracing.newBuilder().localServiceName(name).localIp("10.0.0.1").localPort(80).traceId128Bit(true).addSpanHandler(handler).build();
    Span root = tracing.tracer().newTrace().kind(Span.Kind.SERVER).name("get /cart").tag("http.method", "GET").start();
    Span child = tracing.tracer().newChild(root.context()).kind(Span.Kind.CLIENT).name("get /stock").start();
    child.remoteServiceName("stock");
    child.remoteIpAndPort("10.0.0.7", 8080);
    child.annotate("retry");
    child.tag("error", "timeout");
    child.finish();
    root.finish();
    reporter.flush();
    tracing.close();
    reporter.close();
    sender.close();
  }

  static void openTelemetry(String name) {
    SdkTracerProvider provider = SdkTracerProvider.builder()
        .setResource(Resource.create(Attributes.of(AttributeKey.stringKey("service.name"), name)))
        .addSpanProcessor(SimpleSpanProcessor.create(ZipkinSpanExporter.builder().setEndpoint(http + "/api/v2/spans").build()))
        .build();
    io.opentelemetry.api.trace.Tracer tracer = provider.get("known");
    io.opentelemetry.api.trace.Span root = tracer.spanBuilder("get /cart").setSpanKind(SpanKind.SERVER).setNoParent().setAttribute("http.method", "GET").startSpan();
    io.opentelemetry.api.trace.Span child = tracer.spanBuilder("get /stock").setSpanKind(SpanKind.CLIENT).setParent(Context.root().with(root)).setAttribute("peer.service", "stock").startSpan();
    child.addEvent("retry");
    child.setStatus(StatusCode.ERROR, "timeout");
    child.end();
    root.end();
    provider.close();
  }
}
