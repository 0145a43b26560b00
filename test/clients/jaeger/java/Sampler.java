import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.extension.trace.jaeger.sampler.JaegerRemoteSampler;
import io.opentelemetry.sdk.trace.samplers.SamplingDecision;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Asks over gRPC how to sample, with OpenTelemetry's sampler for Jaeger. Arguments: sampling HOST:PORT FILE. */
public class Sampler {
  public static void main(String[] args) throws Exception {
    JsonArray told = JsonParser.parseString(Files.readString(Path.of(args[2]))).getAsJsonArray();
    Map<String, JaegerRemoteSampler> samplers = new LinkedHashMap<>();
    for (JsonElement e : told) {
      boolean sampled = e.getAsJsonObject().get("sampled").getAsBoolean();
      samplers.computeIfAbsent(e.getAsJsonObject().get("service").getAsString(), name -> JaegerRemoteSampler.builder().setServiceName(name)
          .setEndpoint("http://" + args[1]).setPollingInterval(Duration.ofMillis(100))
          .setInitialSampler(sampled ? io.opentelemetry.sdk.trace.samplers.Sampler.alwaysOff() : io.opentelemetry.sdk.trace.samplers.Sampler.alwaysOn()).build());
    }
    JsonArray got = null;
    for (long end = System.currentTimeMillis() + 20000; System.currentTimeMillis() < end; Thread.sleep(50)) {
      got = new JsonArray();
      for (JsonElement e : told) {
        JsonObject d = e.getAsJsonObject().deepCopy();
        d.addProperty("sampled", samplers.get(d.get("service").getAsString())
            .shouldSample(Context.root(), "0af7651916cd43dd8448eb211c80319c", d.get("operation").getAsString(), SpanKind.INTERNAL, Attributes.empty(), List.of())
            .getDecision() == SamplingDecision.RECORD_AND_SAMPLE);
        got.add(d);
      }
      if (got.equals(told)) {
        break;
      }
    }
    System.out.println(new Gson().toJson(got));
    System.exit(0);
  }
}
