import NIOHTTP1
import Serving
import Testing
import TensorTypes

@Suite("strings over HTTP") struct StringTests {
  /// `x` string[n, 2] -> `y`.
  let bench = Bench(EchoEngine([("x", "y", TensorType(.string, [Extent(symbol: "n"), 2]))]))

  @Test func openInferenceCallsThemBytes() {
    let reply = bench.post("/v2/models/echo/infer", #"{"inputs":[{"name":"x","shape":[1,2],"datatype":"BYTES","data":["a\"b","\u00e9\n"]}]}"#)
    #expect(reply.status == 200)
    #expect(reply.text == #"{"model_name":"echo","model_version":"1","outputs":[{"name":"y","datatype":"BYTES","shape":[1,2],"data":["a\"b","é\n"]}]}"#)
  }

  @Test func openInferenceTakesAndGivesBinaryStrings() {
    let json = #"{"inputs":[{"name":"x","shape":[1,2],"datatype":"BYTES","parameters":{"binary_data_size":11}}],"parameters":{"binary_data_output":true}}"#
    let tail: [UInt8] = [2, 0, 0, 0, 0xc3, 0xa9, 1, 0, 0, 0, 0x62]
    let reply = bench.send(.POST, "/v2/models/echo/infer", Array(json.utf8) + tail, headers: [("Inference-Header-Content-Length", "\(json.utf8.count)")])
    #expect(reply.status == 200)
    #expect(Array(reply.response.body.suffix(11)) == tail)
  }

  @Test func tensorFlowServingTakesRowsColumnsAndBase64() {
    #expect(bench.post("/v1/models/echo:predict", #"{"instances":[["a","b"],["","é"]]}"#).text == #"{"predictions":[["a","b"],["","é"]]}"#)
    #expect(bench.post("/v1/models/echo:predict", #"{"inputs":{"x":[["a",{"b64":"w6k="}]]}}"#).text == #"{"outputs":[["a","é"]]}"#)
  }

  @Test(arguments: [
    #"{"instances":[["a",1]]}"#, #"{"instances":[["a",null]]}"#, #"{"instances":[["a","b"],["c"]]}"#, #"{"instances":[["a",{"b64":"/w=="}]]}"#,
    #"{"instances":[["a",{"b64":"!"}]]}"#, #"{"instances":[["a",{"x":"w6k="}]]}"#, #"{"instances":[["a","\ud800"]]}"#, #"{"instances":["a","b"]}"#,
  ]) func refusesWhatIsNoString(_ body: String) {
    #expect((400..<500).contains(bench.post("/v1/models/echo:predict", body).status), "\(body)")
  }

  @Test(arguments: [
    ([1, 0, 0, 0], 4), ([255, 255, 255, 255, 1], 5), ([1, 0, 0], 3), ([1, 0, 0, 0, 0xff, 0, 0, 0, 0], 9), ([0, 0, 0, 0], 4),
  ] as [([UInt8], Int)]) func refusesBadBinaryStrings(_ tail: [UInt8], _ size: Int) {
    let json = #"{"inputs":[{"name":"x","shape":[1,2],"datatype":"BYTES","parameters":{"binary_data_size":\#(size)}}]}"#
    let reply = bench.send(.POST, "/v2/models/echo/infer", Array(json.utf8) + tail, headers: [("Inference-Header-Content-Length", "\(json.utf8.count)")])
    #expect((400..<500).contains(reply.status), "\(tail)")
  }

  @Test func mapsAreObjects() {
    var engine = EchoEngine([("label", "label", TensorType(.string, [Extent(symbol: "n")])), ("p", "p", TensorType(.f32, [Extent(symbol: "n"), 2]))])
    engine.signature.outputs[1].keys = .strings(["no", "yes"])
    let maps = Bench(engine)
    let body = #"{"instances":[{"label":"yes","p":[0.25,0.75]},{"label":"no","p":[1,0]}]}"#
    #expect(
      maps.post("/v1/models/echo:predict", body).text
        == #"{"predictions":[{"label":"yes","p":{"no":0.25,"yes":0.75}},{"label":"no","p":{"no":1.0,"yes":0.0}}]}"#)
    #expect(
      maps.post("/v1/models/echo:predict", #"{"inputs":{"label":["yes"],"p":[[0.25,0.75]]}}"#).text
        == #"{"outputs":{"label":["yes"],"p":[{"no":0.25,"yes":0.75}]}}"#)
    #expect(maps.get("/v2/models/echo").text.contains(#"{"name":"p","datatype":"FP32","shape":[-1,2],"parameters":{"keys":["no","yes"]}}"#))
  }
}
