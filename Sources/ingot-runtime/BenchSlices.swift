import Artifact
import Runtime

/// `bench --slices`: measures in short slices on request, so that another program can alternate this model with something else.
///
/// Every line of standard input holds seconds, such as `0.2`; the answer is one line of JSON. With 0 it comes after a single
/// run, untimed: for measuring how soon a started artifact answers. Ends with the input.
enum BenchSlices {
  static func run(_ session: Session) throws(Failure) {
    var median = 0.0
    while let line = readLine() {
      let word = line.split(separator: " ").joined()
      if word.isEmpty { continue }
      guard let seconds = Double(word), seconds >= 0, seconds <= 3600 else { throw .failed("a slice takes seconds, such as 0.2, got '\(line)'") }
      if seconds == 0 {
        do throws(RunError) { try session.invoke() } catch { throw .failed("\(error)") }
        Console.print(JSON.object([.init("runs", .integer(1)), .init("threads", .integer(session.threads))]).text())
        continue
      }
      let result: Benchmark.Result
      do throws(RunError) {
        // The last slice has warmed up; these runs bring the caches back that the other program took. A long run does that itself.
        for _ in 0..<(median >= 0.25 ? 0 : median >= 0.02 ? 1 : 2) { try session.invoke() }
        result = try Benchmark(length: .seconds(seconds), warmUpSeconds: 0).run { () throws(RunError) in try session.invoke() }
      } catch { throw .failed("\(error)") }
      median = result.median
      let members: [JSON.Member] = [
        .init("median_seconds", .number(result.median)), .init("minimum_seconds", .number(result.minimum)), .init("p99_seconds", .number(result.p99)),
        .init("runs", .integer(result.samples.count * result.runsPerSample)), .init("threads", .integer(session.threads)),
      ]
      Console.print(JSON.object(members).text())
    }
  }
}
