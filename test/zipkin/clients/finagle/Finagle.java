import com.twitter.finagle.stats.NullStatsReceiver;
import com.twitter.finagle.tracing.Annotation;
import com.twitter.finagle.tracing.Flags;
import com.twitter.finagle.tracing.Record;
import com.twitter.finagle.tracing.SpanId;
import com.twitter.finagle.tracing.TraceId;
import com.twitter.finagle.util.DefaultTimer;
import com.twitter.finagle.zipkin.thrift.ScribeRawZipkinTracer;
import com.twitter.util.Await;
import com.twitter.util.Time;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Arrays;
import scala.Option;
import scala.Some;

/** Sends the known spans with Finagle's own tracer, as linkerd 1.x does: HTTP SCRIBE CLIENT. */
public class Finagle {
  static ScribeRawZipkinTracer tracer;

  public static void main(String[] args) throws Exception {
    String[] at = args[1].split(":");
    tracer = ScribeRawZipkinTracer.apply(at[0], Integer.parseInt(at[1]), NullStatsReceiver.get(), DefaultTimer.getInstance());
    warmUp(args[0]);
    Option none = Option.apply(null);
    TraceId root = new TraceId(none, none, new SpanId(0x34429b04b6bbf478L), (Option) new Some<>(true), Flags.apply(), none);
    TraceId child = new TraceId(some(root.spanId()), some(root.spanId()), new SpanId(0x263edc9b65773b08L), (Option) new Some<>(true), Flags.apply(), none);
    InetAddress here = InetAddress.getByName("10.0.0.1"), there = InetAddress.getByName("10.0.0.7");

    record(root, new Annotation.ServiceName(args[2]));
    record(root, new Annotation.Rpc("get /cart"));
    record(root, new Annotation.LocalAddr(new InetSocketAddress(here, 80)));
    record(root, new Annotation.ServerRecv());
    record(root, new Annotation.BinaryAnnotation("http.method", (Object) "GET"));
    record(root, new Annotation.BinaryAnnotation("http.rsp.status", (Object) Integer.valueOf(200)));
    record(root, new Annotation.BinaryAnnotation("http.rsp.content-length", (Object) Long.valueOf(31)));
    record(root, new Annotation.BinaryAnnotation("l5d.weight", (Object) Double.valueOf(0.5)));
    record(root, new Annotation.BinaryAnnotation("l5d.success", (Object) Boolean.TRUE));

    record(child, new Annotation.ServiceName(args[2]));
    record(child, new Annotation.Rpc("get /stock"));
    record(child, new Annotation.LocalAddr(new InetSocketAddress(here, 81)));
    record(child, new Annotation.ServerAddr(new InetSocketAddress(there, 8080)));
    record(child, new Annotation.ClientSend());
    record(child, new Annotation.Message("retry"));
    record(child, new Annotation.BinaryAnnotation("error", (Object) "timeout"));
    Thread.sleep(5); // times are in milliseconds
    record(child, new Annotation.ClientRecv());
    record(root, new Annotation.ServerSend());
    Await.result(tracer.flush());
    if (!arrived(args[0], args[2], 200, "get /cart", "get /stock")) {
      System.err.println("the spans have not arrived");
      System.exit(1);
    }
    System.exit(0);
  }

  /** Sends spans until one arrives: the tracer gives a call a second, which the first may not be done in on a busy machine, and sends none again. */
  static void warmUp(String http) throws Exception {
    for (long n = 1; n <= 20; n++) {
      Option none = Option.apply(null);
      TraceId id = new TraceId(none, none, new SpanId(n), (Option) new Some<>(true), Flags.apply(), none);
      record(id, new Annotation.ServiceName("warm-up"));
      record(id, new Annotation.Rpc("warm-up"));
      record(id, new Annotation.ServerRecv());
      record(id, new Annotation.ServerSend());
      Await.result(tracer.flush());
      if (arrived(http, "warm-up", 20, "warm-up")) {
        return;
      }
    }
  }

  /** Waits until spans with some names are there, for so many tenths of a second: the tracer does not say when it has sent them. */
  static boolean arrived(String http, String service, int tenths, String... names) throws Exception {
    HttpRequest ask = HttpRequest.newBuilder(URI.create(http + "/api/v2/spans?serviceName=" + service)).build();
    HttpClient client = HttpClient.newHttpClient();
    for (int i = 0; i < tenths; i++) {
      String answer = client.send(ask, HttpResponse.BodyHandlers.ofString()).body();
      if (Arrays.stream(names).allMatch(answer::contains)) {
        return true;
      }
      Thread.sleep(100);
    }
    return false;
  }

  static Option<SpanId> some(SpanId id) {
    return new Some<>(id);
  }

  static void record(TraceId id, Annotation a) {
    tracer.record(Record.apply(id, Time.now(), a));
  }
}
