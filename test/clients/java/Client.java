import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.AttributesBuilder;
import io.opentelemetry.api.common.KeyValue;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanBuilder;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.TraceStateBuilder;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.api.trace.TracerBuilder;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.IdGenerator;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.SpanLimits;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Sends the known trace with OpenTelemetry's Java SDK.
 *
 * <p>java -cp JARS Client.java grpc|http/protobuf HOST:PORT TRACE.json gzip|none
 */
public final class Client {
  /** OTLP's flag for a context that came from another process. */
  private static final int IS_REMOTE = 0x200;

  /** Gives each span the ID that it is to have. */
  private static final class Ids implements IdGenerator {
    private JsonObject span;

    @Override
    public String generateTraceId() {
      return span.get("traceId").getAsString();
    }

    @Override
    public String generateSpanId() {
      return span.get("spanId").getAsString();
    }
  }

  public static void main(String[] args) throws Exception {
    String text = Files.readString(Path.of(args[2]), StandardCharsets.UTF_8);
    JsonObject known = JsonParser.parseString(text).getAsJsonObject();
    boolean sent = true;
    for (JsonElement e : list(known, "resourceSpans")) {
      sent &= send(e.getAsJsonObject(), limits(known.getAsJsonObject("limits")), exporter(args[0], args[1], args[3]));
    }
    System.exit(sent ? 0 : 1); // the exporter has said why on standard error
  }

  private static SpanExporter exporter(String protocol, String endpoint, String compression) {
    if (protocol.equals("grpc")) {
      return OtlpGrpcSpanExporter.builder().setEndpoint("http://" + endpoint).setCompression(compression).build();
    }
    return OtlpHttpSpanExporter.builder().setEndpoint("http://" + endpoint + "/v1/traces").setCompression(compression).build();
  }

  private static SpanLimits limits(JsonObject known) {
    return SpanLimits.builder()
        .setMaxNumberOfAttributes(known.get("attributes").getAsInt())
        .setMaxNumberOfEvents(known.get("events").getAsInt())
        .setMaxNumberOfLinks(known.get("links").getAsInt())
        .setMaxNumberOfAttributesPerEvent(known.get("eventAttributes").getAsInt())
        .setMaxNumberOfAttributesPerLink(known.get("linkAttributes").getAsInt())
        .build();
  }

  /** Sends what one resource has, and tells whether it was taken. */
  private static boolean send(JsonObject known, SpanLimits limits, SpanExporter exporter) {
    Ids ids = new Ids();
    Attributes resource = attributes(list(known.getAsJsonObject("resource"), "attributes"), 0);
    SdkTracerProvider provider =
        SdkTracerProvider.builder()
            .setResource(Resource.create(resource, text(known, "schemaUrl", null)))
            .setIdGenerator(ids)
            .setSpanLimits(limits)
            .addSpanProcessor(BatchSpanProcessor.builder(exporter).build())
            .build();
    for (JsonElement e : list(known, "scopeSpans")) {
      JsonObject spans = e.getAsJsonObject();
      JsonObject scope = spans.getAsJsonObject("scope");
      TracerBuilder tracer = provider.tracerBuilder(text(scope, "name", ""));
      if (scope.has("version")) {
        tracer.setInstrumentationVersion(text(scope, "version", ""));
      }
      if (spans.has("schemaUrl")) {
        tracer.setSchemaUrl(text(spans, "schemaUrl", ""));
      }
      for (JsonElement span : list(spans, "spans")) {
        ids.span = span.getAsJsonObject();
        play(tracer.build(), ids.span);
      }
    }
    CompletableResultCode flushed = provider.forceFlush().join(20, TimeUnit.SECONDS);
    provider.close();
    return flushed.isSuccess();
  }

  /** Makes one span. The SDK drops the latest attributes, events and links: that is where the surplus goes. */
  private static void play(Tracer tracer, JsonObject s) {
    SpanBuilder builder =
        tracer
            .spanBuilder(text(s, "name", ""))
            .setSpanKind(SpanKind.values()[number(s, "kind") - 1])
            .setStartTimestamp(s.get("startTimeUnixNano").getAsLong(), TimeUnit.NANOSECONDS)
            .setNoParent();
    if (s.has("parentSpanId")) {
      builder.setParent(Context.root().with(Span.wrap(spanContext(s, text(s, "parentSpanId", "")))));
    }
    Span span = builder.startSpan();
    span.setAllAttributes(attributes(list(s, "attributes"), 0));
    span.setAllAttributes(attributes(new JsonArray(), number(s, "droppedAttributesCount")));
    for (JsonElement e : list(s, "events")) {
      JsonObject event = e.getAsJsonObject();
      Attributes attributes = attributes(list(event, "attributes"), number(event, "droppedAttributesCount"));
      span.addEvent(text(event, "name", ""), attributes, event.get("timeUnixNano").getAsLong(), TimeUnit.NANOSECONDS);
    }
    for (int i = 0; i < number(s, "droppedEventsCount"); i++) {
      span.addEvent("surplus");
    }
    for (JsonElement e : list(s, "links")) {
      JsonObject link = e.getAsJsonObject();
      Attributes attributes = attributes(list(link, "attributes"), number(link, "droppedAttributesCount"));
      span.addLink(spanContext(link, text(link, "spanId", "")), attributes);
    }
    for (int i = 0; i < number(s, "droppedLinksCount"); i++) {
      span.addLink(span.getSpanContext());
    }
    JsonObject status = s.getAsJsonObject("status");
    if (status.has("code")) {
      span.setStatus(number(status, "code") == 1 ? StatusCode.OK : StatusCode.ERROR, text(status, "message", ""));
    }
    span.end(s.get("endTimeUnixNano").getAsLong(), TimeUnit.NANOSECONDS);
  }

  private static SpanContext spanContext(JsonObject known, String spanId) {
    TraceStateBuilder state = TraceState.builder();
    List<String> entries = new ArrayList<>(List.of(text(known, "traceState", "").split(",")));
    for (int i = entries.size() - 1; i >= 0; i--) { // each put goes to the front
      String[] entry = entries.get(i).split("=", 2);
      if (entry.length == 2) {
        state.put(entry[0], entry[1]);
      }
    }
    int flags = number(known, "flags");
    String traceId = text(known, "traceId", "");
    TraceFlags traceFlags = TraceFlags.fromByte((byte) flags);
    return (flags & IS_REMOTE) != 0
        ? SpanContext.createFromRemoteParent(traceId, spanId, traceFlags, state.build())
        : SpanContext.create(traceId, spanId, traceFlags, state.build());
  }

  /** Returns known attributes as the SDK's, and a surplus that sorts behind them, since it cuts a sorted list. */
  private static Attributes attributes(JsonArray known, int surplus) {
    AttributesBuilder out = Attributes.builder();
    for (JsonElement e : known) {
      JsonObject attribute = e.getAsJsonObject();
      put(out, text(attribute, "key", ""), attribute.getAsJsonObject("value"));
    }
    for (int i = 0; i < surplus; i++) {
      out.put("~surplus." + i, i);
    }
    return out.build();
  }

  private static void put(AttributesBuilder out, String key, JsonObject v) {
    if (v.has("stringValue")) {
      out.put(key, v.get("stringValue").getAsString());
    } else if (v.has("boolValue")) {
      out.put(key, v.get("boolValue").getAsBoolean());
    } else if (v.has("intValue")) {
      out.put(key, v.get("intValue").getAsLong());
    } else if (v.has("doubleValue")) {
      out.put(key, v.get("doubleValue").getAsDouble());
    } else {
      out.put(AttributeKey.valueKey(key), value(v));
    }
  }

  private static Value<?> value(JsonObject v) {
    if (v.has("stringValue")) {
      return Value.of(v.get("stringValue").getAsString());
    }
    if (v.has("boolValue")) {
      return Value.of(v.get("boolValue").getAsBoolean());
    }
    if (v.has("intValue")) {
      return Value.of(v.get("intValue").getAsLong());
    }
    if (v.has("doubleValue")) {
      return Value.of(v.get("doubleValue").getAsDouble());
    }
    if (v.has("bytesValue")) {
      return Value.of(Base64.getDecoder().decode(v.get("bytesValue").getAsString()));
    }
    if (v.has("arrayValue")) {
      List<Value<?>> values = new ArrayList<>();
      for (JsonElement e : list(v.getAsJsonObject("arrayValue"), "values")) {
        values.add(value(e.getAsJsonObject()));
      }
      return Value.of(values);
    }
    if (v.has("kvlistValue")) {
      List<KeyValue> values = new ArrayList<>();
      for (JsonElement e : list(v.getAsJsonObject("kvlistValue"), "values")) {
        JsonObject entry = e.getAsJsonObject();
        values.add(KeyValue.of(text(entry, "key", ""), value(entry.getAsJsonObject("value"))));
      }
      return Value.of(values.toArray(new KeyValue[0]));
    }
    return Value.empty();
  }

  private static JsonArray list(JsonObject o, String name) {
    return o.has(name) ? o.getAsJsonArray(name) : new JsonArray();
  }

  private static int number(JsonObject o, String name) {
    return o.has(name) ? o.get(name).getAsInt() : 0;
  }

  private static String text(JsonObject o, String name, String otherwise) {
    return o.has(name) ? o.get(name).getAsString() : otherwise;
  }
}
