import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.jaegertracing.internal.JaegerSpan;
import io.jaegertracing.internal.JaegerTracer;
import io.jaegertracing.internal.reporters.InMemoryReporter;
import io.jaegertracing.internal.reporters.RemoteReporter;
import io.jaegertracing.internal.samplers.ConstSampler;
import io.jaegertracing.internal.samplers.HttpSamplingManager;
import io.jaegertracing.internal.samplers.ProbabilisticSampler;
import io.jaegertracing.internal.samplers.RemoteControlledSampler;
import io.jaegertracing.spi.Sender;
import io.jaegertracing.thrift.internal.senders.HttpSender;
import io.jaegertracing.thrift.internal.senders.UdpSender;
import io.opentracing.References;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** Sends a trace, or asks how to sample, with jaeger-client. Arguments: udp|http|sampling HOST:PORT FILE. */
public class Client {
  public static void main(String[] args) throws Exception {
    String host = args[1].split(":")[0];
    int port = Integer.parseInt(args[1].split(":")[1]);
    JsonElement told = JsonParser.parseString(Files.readString(Path.of(args[2])));
    if (args[0].equals("sampling")) {
      System.out.println(decisions(args[1], told.getAsJsonArray()));
      System.exit(0);
    }
    Sender sender = args[0].equals("udp") ? new UdpSender(host, port, 0) : new HttpSender.Builder("http://" + args[1] + "/api/traces").build();
    send(sender, told.getAsJsonObject());
  }

  static Object value(JsonArray tag) {
    JsonElement v = tag.get(2);
    switch (tag.get(1).getAsString()) {
      case "bool": return v.getAsBoolean();
      case "int": return v.getAsLong();
      case "double": return v.getAsDouble();
      default: return v.getAsString();
    }
  }

  static void send(Sender sender, JsonObject told) {
    JaegerTracer.Builder builder = new JaegerTracer.Builder(told.get("service").getAsString())
        .withSampler(new ConstSampler(true)).withTraceId128Bit()
        .withReporter(new RemoteReporter.Builder().withSender(sender).withFlushInterval(50).build());
    for (JsonElement t : told.getAsJsonArray("process")) {
      builder.withTag(t.getAsJsonArray().get(0).getAsString(), value(t.getAsJsonArray()).toString());
    }
    JaegerTracer tracer = builder.build();
    Map<String, JaegerSpan> spans = new LinkedHashMap<>();
    for (JsonElement e : told.getAsJsonArray("spans")) {
      JsonObject s = e.getAsJsonObject();
      JaegerTracer.SpanBuilder b = tracer.buildSpan(s.get("name").getAsString()).withStartTimestamp(s.get("start").getAsLong() * 1000);
      if (!s.get("parent").getAsString().isEmpty()) {
        b.addReference(References.CHILD_OF, spans.get(s.get("parent").getAsString()).context());
      }
      for (JsonElement name : s.getAsJsonArray("follows")) {
        b.addReference(References.FOLLOWS_FROM, spans.get(name.getAsString()).context());
      }
      JaegerSpan span = b.start();
      for (JsonElement t : s.getAsJsonArray("tags")) {
        set(span, t.getAsJsonArray().get(0).getAsString(), value(t.getAsJsonArray()));
      }
      if (!s.get("kind").getAsString().isEmpty()) {
        span.setTag("span.kind", s.get("kind").getAsString());
      }
      if (s.get("error").getAsBoolean()) {
        span.setTag("error", true);
      }
      for (JsonElement l : s.getAsJsonArray("logs")) {
        Map<String, Object> fields = new LinkedHashMap<>();
        for (JsonElement f : l.getAsJsonObject().getAsJsonArray("fields")) {
          fields.put(f.getAsJsonArray().get(0).getAsString(), value(f.getAsJsonArray()));
        }
        span.log(l.getAsJsonObject().get("at").getAsLong() * 1000, fields);
      }
      span.finish((s.get("start").getAsLong() + s.get("duration").getAsLong()) * 1000);
      spans.put(s.get("name").getAsString(), span);
    }
    tracer.close();
    JsonObject ids = new JsonObject();
    spans.forEach((name, span) -> ids.addProperty(name, String.format("%016x", span.context().getSpanId())));
    JsonObject out = new JsonObject();
    out.addProperty("traceID", spans.values().iterator().next().context().getTraceId());
    out.add("spans", ids);
    System.out.println(new Gson().toJson(out));
  }

  static void set(JaegerSpan span, String key, Object value) {
    if (value instanceof Boolean) {
      span.setTag(key, (Boolean) value);
    } else if (value instanceof Number) {
      span.setTag(key, (Number) value);
    } else {
      span.setTag(key, (String) value);
    }
  }

  static String decisions(String address, JsonArray told) throws Exception {
    Map<String, JaegerTracer> tracers = new LinkedHashMap<>();
    for (JsonElement e : told) {
      String service = e.getAsJsonObject().get("service").getAsString();
      boolean sampled = e.getAsJsonObject().get("sampled").getAsBoolean();
      tracers.computeIfAbsent(service, name -> new JaegerTracer.Builder(name).withReporter(new InMemoryReporter())
          .withSampler(new RemoteControlledSampler.Builder(name).withSamplingManager(new HttpSamplingManager(address))
              .withInitialSampler(new ProbabilisticSampler(sampled ? 0 : 1)).withPollingInterval(100).build()).build());
    }
    JsonArray got = null;
    for (long end = System.currentTimeMillis() + 20000; System.currentTimeMillis() < end; Thread.sleep(50)) {
      got = new JsonArray();
      for (JsonElement e : told) {
        JsonObject d = e.getAsJsonObject().deepCopy();
        d.addProperty("sampled", tracers.get(d.get("service").getAsString()).buildSpan(d.get("operation").getAsString()).start().context().isSampled());
        got.add(d);
      }
      if (got.equals(told)) {
        break;
      }
    }
    return new Gson().toJson(got);
  }
}
