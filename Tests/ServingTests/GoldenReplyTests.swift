import NIOHTTP1
import Serving
import Testing
import TensorTypes

@Suite("golden replies") struct GoldenReplyTests {
  let one = Bench(.one)
  let two = Bench(.two)

  // MARK: Open Inference Protocol

  @Test func serverMetadata() {
    let reply = one.get("/v2")
    #expect(reply.status == 200)
    #expect(reply.text == #"{"name":"ingot","version":"","extensions":["binary_tensor_data"]}"#)
  }

  @Test func health() {
    #expect(one.get("/v2/health/live").text == #"{"live":true}"#)
    #expect(one.get("/v2/health/ready").text == #"{"ready":true}"#)
    #expect(one.get("/v2/models/echo/ready").text == #"{"name":"echo","ready":true}"#)
    let draining = Bench(.one)
    draining.service.readiness.beginDraining()
    #expect(draining.get("/v2/health/live").status == 200)
    #expect(draining.get("/v2/health/ready").status == 503)
    #expect(draining.get("/v2/models/echo/ready").status == 503)
  }

  @Test func modelMetadata() {
    let text = #"{"name":"echo","versions":["1"],"platform":"ingot_native","inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],"#
      + #""outputs":[{"name":"y","datatype":"FP32","shape":[-1,4]}]}"#
    #expect(one.get("/v2/models/echo").text == text)
    #expect(one.get("/v2/models/echo/versions/1").text == text)
  }

  @Test(arguments: ["[1,2.5,-3,4e0]", "[[1,2.5,-3,4e0]]", " [ [ 1 , 2.5 , -3 , 4.0 ] ] "])
  func inferTakesNestedAndFlatData(_ data: String) {
    let reply = one.post("/v2/models/echo/infer", #"{"id":"a1","inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":\#(data)}]}"#)
    #expect(reply.status == 200)
    #expect(
      reply.text
        == #"{"model_name":"echo","model_version":"1","id":"a1","outputs":[{"name":"y","datatype":"FP32","shape":[1,4],"data":[1.0,2.5,-3.0,4.0]}]}"#)
  }

  @Test func inferTakesKeysInAnyOrderAndSelectsOutputs() {
    let reply = two.post(
      "/v2/models/echo/versions/1/infer",
      #"{"outputs":[{"name":"flags"}],"inputs":[{"data":[true,false],"datatype":"BOOL","shape":[2],"name":"mask"},"#
        + #"{"data":[[1,2],[9007199254740993,-4]],"shape":[2,2],"name":"ids","datatype":"INT64"}],"parameters":{"a":1}}"#)
    #expect(reply.status == 200)
    #expect(reply.text == #"{"model_name":"echo","model_version":"1","outputs":[{"name":"flags","datatype":"BOOL","shape":[2],"data":[true,false]}]}"#)
  }

  @Test func inferTakesAndGivesBinaryTensors() {
    let json = #"{"inputs":[{"name":"ids","shape":[1,2],"datatype":"INT64","parameters":{"binary_data_size":16}},"#
      + #"{"name":"mask","shape":[1],"datatype":"BOOL","parameters":{"binary_data_size":1}}],"#
      + #""outputs":[{"name":"codes","parameters":{"binary_data":true}},{"name":"flags"}]}"#
    let tail: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 1]
    let reply = two.send(
      .POST, "/v2/models/echo/infer", Array(json.utf8) + tail, headers: [("Inference-Header-Content-Length", "\(json.utf8.count)")])
    #expect(reply.status == 200)
    let head = #"{"model_name":"echo","model_version":"1","outputs":[{"name":"codes","datatype":"INT64","shape":[1,2],"parameters":{"binary_data_size":16}},"#
      + #"{"name":"flags","datatype":"BOOL","shape":[1],"data":[true]}]}"#
    #expect(reply.response.body == Array(head.utf8) + tail.prefix(16))
    #expect(reply.response.headers.contains { $0.name == "Inference-Header-Content-Length" && $0.value == "\(head.utf8.count)" })
    #expect(reply.response.contentType == "application/octet-stream")
  }

  @Test func inferTakesABodyThatIsTheTensor() {
    let bytes: [UInt8] = [0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64, 0, 0, 128, 64]
    let reply = one.send(.POST, "/v2/models/echo/infer", bytes, headers: [("Inference-Header-Content-Length", "0")])
    #expect(reply.status == 200)
    #expect(Array(reply.response.body.suffix(16)) == bytes)
    let asked = one.post(
      "/v2/models/echo/infer",
      #"{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}"#)
    #expect(Array(asked.response.body.suffix(16)) == bytes)
  }

  // MARK: TensorFlow Serving

  @Test func predictByRow() {
    #expect(one.post("/v1/models/echo:predict", #"{"instances":[[1,2,3,4],[5,6,7,8]]}"#).text == #"{"predictions":[[1.0,2.0,3.0,4.0],[5.0,6.0,7.0,8.0]]}"#)
    #expect(one.post("/v1/models/echo/versions/1:predict", #"{"instances":[{"x":[1,2,3,4]}]}"#).text == #"{"predictions":[[1.0,2.0,3.0,4.0]]}"#)
    #expect(
      two.post("/v1/models/echo%3Apredict", #"{"signature_name":"serving_default","instances":[{"ids":[1,2],"mask":true},{"mask":false,"ids":[3,4]}]}"#)
        .text == #"{"predictions":[{"codes":[1,2],"flags":true},{"codes":[3,4],"flags":false}]}"#)
  }

  @Test func predictByColumn() {
    #expect(one.post("/v1/models/echo:predict", #"{"inputs":[[1,2,3,4]]}"#).text == #"{"outputs":[[1.0,2.0,3.0,4.0]]}"#)
    #expect(one.post("/v1/models/echo:predict", #"{"inputs":{"x":[[1,2,3,4]]}}"#).text == #"{"outputs":[[1.0,2.0,3.0,4.0]]}"#)
    #expect(
      two.post("/v1/models/echo:predict", #"{"inputs":{"ids":[[1,2]],"mask":[true]}}"#).text == #"{"outputs":{"codes":[[1,2]],"flags":[true]}}"#)
  }

  @Test func predictSpeaksOfNumbersThatJSONDoesNotKnow() {
    #expect(
      one.post("/v1/models/echo:predict", #"{"instances":[[NaN,Infinity,-Infinity,1e-3]]}"#).text
        == #"{"predictions":[[NaN,Infinity,-Infinity,0.001]]}"#)
  }

  @Test func status() {
    let text = #"{"model_version_status":[{"version":"1","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}]}"#
    #expect(one.get("/v1/models/echo").text == text)
    #expect(one.get("/v1/models/echo/versions/1").text == text)
  }

  @Test func metadata() {
    let port = { (name: String) in
      #""\#(name)":{"dtype":"DT_FLOAT","tensor_shape":{"dim":[{"size":"-1","name":"batch"},{"size":"4","name":""}],"unknown_rank":false},"name":"\#(name)"}"#
    }
    #expect(
      one.get("/v1/models/echo/metadata").text
        == #"{"model_spec":{"name":"echo","signature_name":"","version":"1"},"metadata":{"signature_def":{"signature_def":{"serving_default":{"inputs":{\#(port("x"))},"outputs":{\#(port("y"))},"method_name":"tensorflow/serving/predict"}}}}}"#
    )
  }

  // MARK: /predict

  @Test func predictAlias() {
    let id = [("X-Request-Id", "r-7")]
    let tail = #","model":"echo","version":"1","request_id":"r-7"}"#
    #expect(one.post("/predict", #"{"input_data":[[1,2,3,4]]}"#, headers: id).text == #"{"predictions":[[1.0,2.0,3.0,4.0]]"# + tail)
    #expect(one.post("/predict", #"{"input_data":[1,2,3,4]}"#, headers: id).text == #"{"predictions":[[1.0,2.0,3.0,4.0]]"# + tail)
    #expect(one.post("/predict", #"{"input_data":{"x":[[1,2,3,4]]}}"#, headers: id).text == #"{"predictions":[[1.0,2.0,3.0,4.0]]"# + tail)
    let refused = one.post("/predict", #"{"input_data":[[1,2,3]]}"#, headers: id)
    #expect(refused.status == 400)
    #expect(
      refused.text
        == #"{"error":{"code":"shape_mismatch","message":"input \"x\": expected shape [batch,4], got [1,3]: axis 1 must be 4, got 3","request_id":"r-7"}}"#)
  }

  // MARK: The rest

  @Test func metricsAreInThePrometheusFormat() {
    let reply = one.get("/metrics")
    #expect(reply.response.contentType == "text/plain; version=0.0.4; charset=utf-8")
    #expect(reply.text.contains("ingot_model_info{name=\"echo\",version=\"1\",target=\"test\"} 1\n"))
    #expect(reply.text.contains("# TYPE ingot_http_request_duration_seconds histogram\n"))
    #expect(reply.text.contains("process_resident_memory_bytes "))
    for line in reply.text.split(separator: "\n") where !line.hasPrefix("#") {
      #expect(line.split(separator: " ").count == 2 && Double(line.split(separator: " ")[1]) != nil, "\(line)")
    }
  }

  @Test func routesAreSayable() {
    let unknown = one.get("/v3/models")
    #expect(unknown.status == 404 && unknown.text.contains("POST /predict"))
    let verb = one.send(.PUT, "/predict")
    #expect(verb.status == 405 && verb.response.headers.contains { $0 == ("Allow", "POST") })
    let other = one.get("/v2/models/resnet")
    #expect(other.status == 404 && other.text.contains(#"this server has \"echo\""#))
    #expect(one.send(.HEAD, "/v2/health/live").status == 200)
  }
}
