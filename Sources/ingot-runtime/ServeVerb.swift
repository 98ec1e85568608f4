import Glibc
import Runtime
import Serving

/// `serve`: the model behind HTTP, until SIGTERM.
enum ServeVerb {
  static let verb = Verb(
    name: "serve",
    summary: "Serves the model over HTTP/1.1 until SIGTERM: Open Inference Protocol v2, TensorFlow Serving REST, /predict, /metrics.",
    operands: nil,
    options: [
      Option(name: "--host", value: "ADDRESS", help: "IP address to listen on (127.0.0.1)"),
      Option(name: "--port", value: "PORT", help: "port to listen on; 0 takes a free one, which is printed (8080)"),
      Option(name: "--allow-remote", help: "allow an address that other machines can reach;\nthe server has no password and no encryption"),
      Option(name: "--name", value: "NAME", help: "the model's name in URLs (as compiled)"),
      Option(name: "--threads", value: "N", help: "kernel threads per run (all cores this process may use)"),
      Option(name: "--memory-limit", value: "BYTES", help: "most memory of one run, such as 512M or 4G; larger requests get 400\n(half of what this process may use)"),
      Option(name: "--workers", value: "N", help: "requests that run at the same time, each with memory of its own (1)"),
      Option(name: "--queue", value: "N", help: "requests that may wait for the model; more get 503 (256)"),
      Option(name: "--event-loops", value: "N", help: "threads that read and write sockets (1 per 4 cores, at most 4)"),
      Option(name: "--body-limit", value: "BYTES", help: "largest request body, such as 512K or 64M (64M)"),
      Option(name: "--body-memory", value: "BYTES", help: "memory for the bodies of all requests together (512M, at least --body-limit)"),
      Option(name: "--connections", value: "N", help: "open connections at most (4096)"),
      Option(name: "--read-timeout", value: "SECONDS", help: "for a request to arrive once its head is there,\nand for a client to take the reply (60)"),
      Option(name: "--idle-timeout", value: "SECONDS", help: "for the next request on an open connection (75)"),
      Option(name: "--request-timeout", value: "SECONDS", help: "for a request to wait for the model; later ones get 504, unrun (30).\nA loop that runs for longer is stopped, and gets 504 too"),
      Option(name: "--grace-seconds", value: "SECONDS", help: "after SIGTERM: how long requests are still accepted\nwhile readiness already fails (1)"),
      Option(name: "--drain-seconds", value: "SECONDS", help: "after SIGTERM: when requests still in flight are cut off (25)"),
    ],
    examples: ["serve", "serve --port 9000 --workers 2 --threads 4", "serve --host 0.0.0.0 --allow-remote   # in a container"],
    run: run)

  private static func run(_ arguments: Arguments) throws(Failure) -> Int32 {
    var options = ServerOptions()
    options.host = arguments.text("--host") ?? options.host
    options.port = try arguments.integer("--port", in: 0...65535) ?? options.port
    options.allowsRemote = arguments.has("--allow-remote")
    options.workers = try arguments.integer("--workers", in: 1...256) ?? options.workers
    options.queueCapacity = try arguments.integer("--queue", in: 1...1_000_000) ?? options.queueCapacity
    options.eventLoops = try arguments.integer("--event-loops", in: 1...64) ?? min(4, max(1, Allowance.cpus / 4))
    options.bodyLimitBytes = try arguments.bytes("--body-limit") ?? options.bodyLimitBytes
    options.bodyMemoryBytes = max(try arguments.bytes("--body-memory") ?? options.bodyMemoryBytes, options.bodyLimitBytes)
    options.connectionLimit = try arguments.integer("--connections", in: 1...1_000_000) ?? options.connectionLimit
    options.readTimeoutSeconds = try arguments.seconds("--read-timeout") ?? options.readTimeoutSeconds
    options.idleTimeoutSeconds = try arguments.seconds("--idle-timeout") ?? options.idleTimeoutSeconds
    options.requestTimeoutSeconds = try arguments.seconds("--request-timeout") ?? options.requestTimeoutSeconds
    options.graceSeconds = try arguments.seconds("--grace-seconds") ?? options.graceSeconds
    options.drainSeconds = try arguments.seconds("--drain-seconds") ?? options.drainSeconds
    let threads = try arguments.integer("--threads", in: 1...4096)

    let givenLimit = try arguments.bytes("--memory-limit")

    // Before any other thread exists, so that all of them leave the signals to this one.
    let drain = Drain()
    let model = try OwnModel.load()
    // A model that finds its sizes itself may take all that a run is allowed: the workers share it.
    let limit = givenLimit ?? (model.manifest.computedSymbols.isEmpty ? nil : Allowance.memoryBytes / 2 / options.workers)
    do throws(ServerError) {
      let engine = try ModelEngine(model, name: arguments.text("--name"), threads: threads, maximumBytes: limit)
      let server = try Server(engine: engine, options: options) { reason in
        Console.error("the model cannot run: \(reason)")
        exit(1)
      }
      let host = server.host.contains(":") ? "[\(server.host)]" : server.host
      Console.print("serving \(engine.signature.name) on http://\(host):\(server.port)")
      return drain.run(server, options) { Console.print($0) }
    } catch {
      throw .failed(error.message)
    }
  }
}
